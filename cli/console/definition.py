"""What does a CloudWatch dashboard's body ask to be drawn? Pure.

Source of the form: "Dashboard body structure and syntax" in the Amazon CloudWatch API Reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

PERIOD = 300  # seconds, where neither the widget nor the metric says another
STAT = "Average"
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True)
class Line:
    """A horizontal line across a graph."""

    label: str
    value: float


@dataclass(frozen=True)
class Widget:
    """One part of a dashboard.

    Attributes:
        kind: `metric`, `text`, `alarm`, or another that is not drawn.
        title: Its title; empty when it has none.
        width: Its columns, of the dashboard's 24.
        queries: As GetMetricData takes them.
        lines: Horizontal annotations.
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
    lines: tuple[Line, ...] = ()
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
    lines = [
        Line(line.get("label", ""), float(line["value"]))
        for line in given.get("annotations", {}).get("horizontal", ())
        if isinstance(line, dict)
    ]
    single = given.get("view") == "singleValue"
    return Widget(
        kind, title, width, queries, tuple(lines), single=single, period=_longest(queries), seconds=_ago(given)
    )


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
    """The longest period; a search or an expression ends with its own."""
    periods = [query["MetricStat"]["Period"] if "MetricStat" in query else _last_number(query) for query in queries]
    return max((period for period in periods if period), default=PERIOD)


def _last_number(query: Mapping[str, Any]) -> int:
    last = str(query["Expression"]).rstrip(") ").rpartition(",")[2].strip()
    return int(last) if last.isdecimal() else 0
