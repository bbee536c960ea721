"""CloudWatch alarms in the event of a function: from SNS, or the message of an SNS action alone."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from modelstack.monitoring.alarms.alarm import Alarm, Measure, NotAnAlarm, Said
from modelstack.platforms.aws.metrics import FAILED, LATENCY, SAGEMAKER

Json = Mapping[str, Any]
_ADDRESS = re.compile(r"arn:aws[\w-]*:cloudwatch:[\w-]*:\d*:alarm:")
_NUMBER = r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_VALUE = re.compile(rf"datapoints? \[{_NUMBER}")
_THRESHOLD = re.compile(rf"the threshold \({_NUMBER}")
_BREAKS: Mapping[object, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_MEASURES: Mapping[str, Measure] = {
    f"{SAGEMAKER}/{FAILED}": "errors",
    f"{SAGEMAKER}/{LATENCY}": "latency",
}


def read(event: object) -> list[Alarm | NotAnAlarm]:
    """Every alarm state change in a Lambda event. Never raises: unreadable ones become `NotAnAlarm`."""
    if not isinstance(event, Mapping):
        return [NotAnAlarm(f"the event is {type(event).__name__}, expected an object")]
    body = cast(Json, event)
    records = body.get("Records")
    if isinstance(records, Sequence) and not isinstance(records, str):
        return [_from_sns(record) for record in cast(Sequence[object], records)]
    if "AlarmName" in body:
        return [_from_message(body)]
    return [NotAnAlarm(f"the event has {', '.join(sorted(map(str, body))) or 'no keys'}: no alarm in any known form")]


def said(reason: str, data: object = None, threshold: object = None, comparison: object = None) -> Said:
    """Why an alarm is in its state. Never raises.

    Numbers that `data` does not have are parsed from the reason, as SNS does not send data. The value is the newest
    data point that breaks the threshold of a firing alarm, or None: others may be as they should.

    Args:
        reason: CloudWatch's own words. The ARNs of alarms in them are left out.
        data: StateReasonData, as JSON or parsed: it has the data points, the newest last.
        threshold: The alarm's threshold, if `data` has none.
        comparison: The ComparisonOperator of a firing alarm, if known.
    """
    try:
        numbers = _object(json.loads(data) if isinstance(data, str) else data)
    except (ValueError, RecursionError):
        numbers = _object(None)
    values = numbers.get("recentDatapoints")
    listed = cast(list[object], values) if isinstance(values, list) else list[object]()
    points = [number for number in map(_number, listed) if number is not None]
    limits = (_number(numbers.get("threshold")), _number(threshold), _found(_THRESHOLD, reason))
    limit = next((number for number in limits if number is not None), None)
    return Said(_ADDRESS.sub("", reason).removesuffix("."), _told(reason, points, limit, comparison), limit)


def reason(alarm: Mapping[str, Any]) -> Said:
    """Why an alarm is in its state, by the answer of `describe_alarms`."""
    comparison = alarm.get("ComparisonOperator") if alarm["StateValue"] == "ALARM" else None
    return said(alarm.get("StateReason", ""), alarm.get("StateReasonData"), alarm.get("Threshold"), comparison)


def _told(reason: str, points: Sequence[float], limit: float | None, comparison: object) -> float | None:
    """The newest value that caused the state; None if it is ambiguous."""
    breaks = _BREAKS.get(comparison) if isinstance(comparison, str) else None
    if breaks and limit is not None and points:
        return next((point for point in reversed(points) if breaks(point, limit)), None)
    named = _found(_VALUE, reason)  # the words list only those that count
    if named is not None:
        return named
    return points[0] if len(points) == 1 and "[Breaching]" not in reason else None


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int may be too large to be a float
            return float(value) if math.isfinite(value) else None
    return None


def _found(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return _number(float(match[1])) if match else None


def _from_sns(record: object) -> Alarm | NotAnAlarm:
    try:
        message = json.loads(cast(Any, record)["Sns"]["Message"])
    except (KeyError, TypeError, ValueError):
        return NotAnAlarm("a notification that is not an alarm's")
    return _from_message(message)


def _from_message(message: object) -> Alarm | NotAnAlarm:
    """The JSON text of an alarm's SNS action."""
    if not isinstance(message, Mapping) or "AlarmName" not in message:
        return NotAnAlarm("a notification that is not an alarm's")
    body = cast(Json, message)
    trigger = _object(body.get("Trigger"))
    metrics = [_object(_object(item.get("MetricStat")).get("Metric")) for item in _objects(trigger.get("Metrics"))]
    if trigger.get("MetricName"):
        metrics.append(trigger)
    watched = [item for item in metrics if item.get("MetricName")]
    dimensions = [_pairs(item.get("Dimensions")) for item in watched]
    names = tuple(dict.fromkeys(f"{item.get('Namespace')}/{item['MetricName']}" for item in watched))
    return Alarm(
        name=str(body["AlarmName"]),
        state=str(body.get("NewStateValue") or ""),
        said=said(str(body.get("NewStateReason") or ""), threshold=trigger.get("Threshold")),
        at=_epoch(body.get("StateChangeTime")),
        endpoint=_only(one.get("EndpointName") for one in dimensions),
        variant=_only(one.get("VariantName") for one in dimensions),
        metrics=names,
        measure=next((measure for name, measure in _MEASURES.items() if name in names), None),
    )


def _only(values: Iterator[Any]) -> str | None:
    found = {str(value) for value in values if value}
    return found.pop() if len(found) == 1 else None


def _object(value: object) -> Json:
    return cast(Json, value) if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Json]:
    return [_object(item) for item in cast(Sequence[object], value)] if isinstance(value, list) else []


def _pairs(value: object) -> Json:
    """SNS lists dimensions by name and value, in either case."""
    found: dict[str, Any] = {}
    for item in _objects(value):
        name = item.get("name", item.get("Name"))
        if name:
            found[str(name)] = item.get("value", item.get("Value"))
    return found


def _epoch(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return None
