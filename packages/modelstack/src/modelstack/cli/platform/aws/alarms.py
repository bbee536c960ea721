"""CloudWatch alarms of one endpoint. Raises OperatorError when CloudWatch does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.aws import measured
from modelstack.cli.platform.facts import AlarmInFull, AlarmView
from modelstack.cli.target import Target
from modelstack.monitoring.drift.shift import moved
from modelstack.monitoring.objectives.slo import OBJECTIVE
from modelstack.monitoring.published import DRIFT_UNMEASURED
from modelstack.platforms.aws.alarm_events import reason
from modelstack.platforms.aws.descriptions import Description
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.metrics import ENDPOINT, LAMBDA, SQS, VARIANT
from modelstack.platforms.aws.names import documents
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.declaration.alarm_names import BURN, DRIFT, FAILING, LATE_MINUTES, measure_of
from modelstack.services.drift_record import DriftRecord

_AT_ONCE = 4  # requests to AWS
_CHANGES = 12  # of one alarm


def read(target: Target) -> list[dict[str, Any]]:
    """Alarms of the endpoint as `describe_alarms` returns them, composite ones first."""
    with explained("reading the alarms"):
        pages = list(
            target.client("cloudwatch")
            .get_paginator("describe_alarms")
            .paginate(AlarmNamePrefix=f"{target.endpoint}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        )
    listed = [item for kind in ("CompositeAlarms", "MetricAlarms") for page in pages for item in page.get(kind, ())]
    return [item for item in listed if is_own(item, target)]


def is_own(item: Mapping[str, Any], target: Target) -> bool:
    """Whether an alarm watches this endpoint or notifies its topic, since endpoint names may share a prefix."""
    topic = target.outputs.get("alerts_topic")
    return target.endpoint in values(item, ENDPOINT) or topic in item.get("AlarmActions", ())


def values(item: Mapping[str, Any], dimension: str) -> set[str]:
    """The values of a dimension in an alarm's metrics."""
    watched = [item, *(query["MetricStat"]["Metric"] for query in item.get("Metrics", ()) if "MetricStat" in query)]
    pairs = (pair for metric in watched for pair in metric.get("Dimensions", ()))
    return {pair["Value"] for pair in pairs if pair["Name"] == dimension}


def description_of(item: Mapping[str, Any]) -> Description:
    """An alarm's parsed description."""
    return Description.read(item.get("AlarmDescription", ""))


def telling(target: Target) -> tuple[AlarmView, ...]:
    """Alarms that notify somebody, composite ones last; not those on one window of the error budget."""
    listed = sorted(read(target), key=lambda item: "AlarmRule" in item)
    return tuple(_meant(target, item) for item in listed if not _is_window(target, item))


def _is_window(target: Target, item: Mapping[str, Any]) -> bool:
    return item["AlarmName"].startswith(f"{target.endpoint}-{BURN}-")


def _meant(target: Target, item: Mapping[str, Any]) -> AlarmView:
    """An alarm; a composite one by what it means, since CloudWatch only names the last alarm in it that changed."""
    means = description_of(item).text if "AlarmRule" in item else ""
    found = _view(target, item)
    return replace(found, reason=means.removesuffix(".")) if means else found


def _view(target: Target, item: Mapping[str, Any]) -> AlarmView:
    """An alarm for people; without the features that moved if the caller may not read the record of drift."""
    found = view(item)
    if found.state == "ALARM" and measure_of(found.name) == FAILING:
        failures = _failures(target, item)
        return replace(found, reason=failures, value=None) if failures else found
    if found.state != "ALARM" or measure_of(found.name) != DRIFT:
        return found
    record = DriftRecord(DynamoDocuments(target.client, documents(target.endpoint)))
    with suppress(RolloutError):
        features = (name for variant in values(item, VARIANT) for name in moved(record.read(variant).state))
        return replace(found, features=tuple(features))
    return found


def _failures(target: Target, item: Mapping[str, Any]) -> str:
    """Which counts of an alarm on functions are not zero in the time that it covers; empty if they cannot be read."""
    read = {query["Id"]: query["MetricStat"] for query in item.get("Metrics", ()) if "MetricStat" in query}
    period = max((stat["Period"] for stat in read.values()), default=60)
    end = datetime.now(UTC)
    start = end - timedelta(seconds=period * (item.get("EvaluationPeriods", 1) + 2))
    try:
        with explained("reading what failed"):
            found = measured.values(target, [(one["Metric"], one["Stat"]) for one in read.values()], period, start, end)
    except OperatorError:
        return ""
    counts = dict(zip(read, found, strict=True))
    words = []
    for name, stat in read.items():
        metric, each = stat["Metric"], counts[name]
        if metric["Namespace"] == LAMBDA and sum(each):
            words.append(f"{name} failed {sum(each):,.0f} time{'s' * (sum(each) != 1)}")
        elif metric["Namespace"] == SQS and any(each):
            words.append(f"{max(each):,.0f} in {metric['Dimensions'][0]['Value'].removeprefix(f'{target.endpoint}-')}")
        elif metric["MetricName"] == DRIFT_UNMEASURED and sum(each):
            words.append("drift cannot be measured")
    if any(delay > 60 * LATE_MINUTES for delay in counts.get("delay", ())) and not words:
        words.append("captures and labels are counted late")
    return ", ".join(words)


def view(item: Mapping[str, Any]) -> AlarmView:
    """An alarm for people."""
    said, about, changed = reason(item), description_of(item), item.get("StateUpdatedTimestamp")
    since = changed.astimezone(UTC).isoformat(timespec="seconds") if changed else ""
    words = (said.text, about.severity, said.value, said.threshold)
    return AlarmView(item["AlarmName"], item["StateValue"], *words, since, about.runbook)


def in_full(target: Target) -> list[AlarmInFull]:
    """Alarms with description, reason, and last state changes."""
    listed = read(target)
    with explained("reading the history of the alarms"), ThreadPoolExecutor(_AT_ONCE) as pool:
        changes = list(pool.map(partial(_changes, target), [item["AlarmName"] for item in listed]))
    return [_in_full(target, item, past) for item, past in zip(listed, changes, strict=True)]


def _in_full(target: Target, item: Mapping[str, Any], past: tuple[tuple[datetime, str], ...]) -> AlarmInFull:
    return AlarmInFull(
        alarm=_view(target, item),
        text=description_of(item).text,
        composite="AlarmRule" in item,
        missing=item.get("TreatMissingData", ""),
        changes=past,
        part_of=f"{OBJECTIVE}-page" if _is_window(target, item) else "",
    )


def _changes(target: Target, name: str) -> tuple[tuple[datetime, str], ...]:
    found = target.client("cloudwatch").describe_alarm_history(
        AlarmName=name, HistoryItemType="StateUpdate", MaxRecords=_CHANGES, ScanBy="TimestampDescending"
    )["AlarmHistoryItems"]
    return tuple((item["Timestamp"], item["HistorySummary"]) for item in found)
