"""What does a CloudWatch dashboard's body ask to be drawn? Pure.

Source of the form: "Dashboard body structure and syntax" in the Amazon CloudWatch API Reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cli.console.figure import Limit

PERIOD = 300  # seconds, where neither the widget nor the metric says another
STAT = "Average"
_DURATION = TypeAdapter(timedelta)
_SEARCH_PERIOD = re.compile(r"('[^']*'\s*,\s*)(\d+)(?=\s*\))")  # behind the statistic, which stands in quotes
_KEPT = ((63 * 86400, 3600), (15 * 86400, 300), (3 * 3600, 60))  # seconds ago -> the shortest period that is kept
_PERIODS = (60, 300, 900, 3600, 6 * 3600, 86400)
_POINTS = 720  # of a curve, at most: more are no longer told apart


@dataclass(frozen=True)
class Widget:
    """One part of a dashboard.

    Attributes:
        kind: `metric`, `text`, `alarm`, or another that is not drawn.
        title: Its title; empty when it has none.
        width: Its columns, of the dashboard's 24.
        queries: As GetMetricData takes them.
        unit: What its left axis counts.
        limits: Horizontal annotations.
        text: Of a text widget, its markdown.
        alarms: Of an alarm widget, the names of the alarms.
        single: Whether only the newest value is shown.
        period: The longest period of its queries, seconds.
        seconds: The time that it shows until now, when it has one of its own.
    """

    kind: str
    title: str = ""
    width: int = 12
    queries: tuple[Mapping[str, Any], ...] = ()
    unit: str = ""
    limits: tuple[Limit, ...] = ()
    text: str = ""
    alarms: tuple[str, ...] = ()
    single: bool = False
    period: int = PERIOD
    seconds: float | None = None


def widgets(body: str) -> list[Widget]:
    """The widgets of a body, from the top to the bottom and from the left to the right."""
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return [_widget(item) for item in sorted(found, key=lambda item: (item.get("y", 0), item.get("x", 0)))]


def _widget(item: Mapping[str, Any]) -> Widget:
    given: Mapping[str, Any] = item.get("properties", {})
    kind, title, width = item["type"], given.get("title", ""), item.get("width", 6)
    if kind == "text":
        return Widget(kind, title, width, text=given["markdown"])
    if kind == "alarm":
        return Widget(kind, title, width, alarms=tuple(arn.rpartition(":alarm:")[2] for arn in given["alarms"]))
    if kind != "metric":
        return Widget(kind, title, width)
    queries = _queries(given)
    limits = [
        Limit(line.get("label", ""), float(line["value"]))
        for line in given.get("annotations", {}).get("horizontal", ())
        if isinstance(line, dict)
    ]
    single = given.get("view") == "singleValue"
    unit = given.get("yAxis", {}).get("left", {}).get("label", "")
    return Widget(
        kind,
        title,
        width,
        queries,
        unit,
        tuple(limits),
        single=single,
        period=_longest(queries),
        seconds=_ago(given),
    )


def coarser(widget: Widget, seconds: float, ago: float = 0) -> Widget:
    """The widget with periods so long that a curve has few enough points to be drawn, and that are still kept.

    A dashboard on AWS does the same by default (`periodOverride`).

    Args:
        widget: The widget.
        seconds: How long the time is that is shown.
        ago: How many seconds ago it begins. Source: "Metrics retention" in the Amazon CloudWatch User Guide.
    """
    long_enough = (period for period in (widget.period, *_PERIODS) if seconds / period <= _POINTS)
    kept = next((period for since, period in _KEPT if ago > since), 0)
    least = max(next(long_enough, _PERIODS[-1]), kept)
    if widget.seconds is not None or least <= widget.period:
        return widget

    def longer(query: Mapping[str, Any]) -> Mapping[str, Any]:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            return {**query, "MetricStat": {**stat, "Period": max(stat["Period"], least)}}
        text = _SEARCH_PERIOD.sub(lambda found: f"{found[1]}{max(int(found[2]), least)}", query["Expression"])
        return {**query, "Expression": text}

    queries = tuple(map(longer, widget.queries))
    return replace(widget, queries=queries, period=_longest(queries))


def _ago(given: Mapping[str, Any]) -> float | None:
    """How far back a widget looks, of a start such as -PT3H; None when it says nothing of that kind."""
    try:
        return -_DURATION.validate_python(given.get("start", "")).total_seconds()
    except ValidationError:
        return None


def _queries(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The metrics of a widget as queries; `.` repeats the member above, `...` all that are left out."""
    made: list[Mapping[str, Any]] = []
    above: list[str] = []
    for number, entry in enumerate(given.get("metrics", ()), 1):
        names = _spelt([part for part in entry if isinstance(part, str)], above)
        options: dict[str, Any] = next((part for part in entry if isinstance(part, dict)), {})
        shown: dict[str, Any] = {"Id": options.get("id", f"q{number}"), "ReturnData": options.get("visible", True)}
        if "label" in options:
            shown["Label"] = options["label"]
        if "expression" in options:
            made.append({**shown, "Expression": options["expression"]})
            continue
        above = names
        made.append({**shown, "MetricStat": _stat(names, {**given, **options})})
    return tuple(made)


def _spelt(names: Sequence[str], above: Sequence[str]) -> list[str]:
    if "..." in names:
        at = names.index("...")
        left = len(above) - (len(names) - 1)
        names = [*names[:at], *above[at : at + left], *names[at + 1 :]]
    return [above[at] if name == "." else name for at, name in enumerate(names)]


def _stat(names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    namespace, metric, *pairs = names
    dimensions = [{"Name": name, "Value": value} for name, value in zip(pairs[::2], pairs[1::2], strict=True)]
    return {
        "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
        "Period": options.get("period", PERIOD),
        "Stat": options.get("stat", STAT),
    }


def _longest(queries: Sequence[Mapping[str, Any]]) -> int:
    """The longest period; those of an expression stand in its searches."""
    periods = [query["MetricStat"]["Period"] for query in queries if "MetricStat" in query]
    searched = [query["Expression"] for query in queries if "Expression" in query]
    periods += [int(found[2]) for text in searched for found in _SEARCH_PERIOD.finditer(text)]
    return max(periods, default=PERIOD)
