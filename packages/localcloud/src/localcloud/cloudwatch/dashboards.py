"""Dashboards: kept as they were given, after a check that a console could draw them.

Source of the rules: "Dashboard body structure and syntax" in the Amazon CloudWatch API Reference. What makes a body
useless is an error; a property that the reference does not know is a warning, and the dashboard is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAX_WIDGETS = 500
_GRID_WIDTH = 24
_MAX_HEIGHT = 1000
_BODY_MEMBERS = {"start", "end", "periodOverride", "widgets", "variables"}
_WIDGET_MEMBERS = {"type", "x", "y", "width", "height", "properties"}

Problem = tuple[str, str]
"""Where, as a path into the body, and what."""


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0


_REQUIRED: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "metric": {"region": (_text, "the name of a region")},
    "text": {"markdown": (_text, "text")},
    "log": {"region": (_text, "the name of a region"), "query": (_text, "a Logs Insights query")},
    "alarm": {"alarms": (_list, "a list of alarm ARNs")},
    "explorer": {"metrics": (_list, "a list of metrics"), "labels": (lambda value: isinstance(value, list), "a list")},
    "custom": {"endpoint": (_text, "the ARN of a function")},
}
_KNOWN = {
    "metric": {
        "accountId",
        "annotations",
        "end",
        "liveData",
        "legend",
        "metrics",
        "period",
        "region",
        "sparkline",
        "stacked",
        "start",
        "stat",
        "table",
        "timezone",
        "title",
        "view",
        "yAxis",
        "setPeriodToTimeRange",
        "singleValueFullPrecision",
        "trend",
        "labels",
        "queries",
    },
    "text": {"markdown", "background"},
    "log": {"accountId", "query", "region", "stacked", "title", "view", "queryLanguage", "queryBy", "logGroupPrefixes"},
    "alarm": {"alarms", "sortBy", "states", "title"},
    "explorer": {"aggregateBy", "labels", "metrics", "period", "region", "splitBy", "title", "widgetOptions"},
    "custom": {"endpoint", "params", "title", "updateOn"},
}
_VIEWS = ("timeSeries", "singleValue", "gauge", "bar", "pie", "table")


def check(body: str) -> tuple[list[Problem], list[Problem]]:
    """Check a dashboard's body; returns its errors and its warnings."""
    try:
        parsed = json.loads(body)
    except ValueError as error:
        return [("/", f"The dashboard body is no JSON: {error}")], []
    if not isinstance(parsed, dict):
        return [("/", "The dashboard body must be a JSON object")], []
    widgets = parsed.get("widgets")
    if not isinstance(widgets, list):
        return [("/widgets", "Should be a list of widgets")], []
    errors: list[Problem] = []
    if len(widgets) > _MAX_WIDGETS:
        errors.append(("/widgets", f"Should have at most {_MAX_WIDGETS} widgets, has {len(widgets)}"))
    if parsed.get("periodOverride", "auto") not in ("auto", "inherit"):
        errors.append(("/periodOverride", "Should be auto or inherit"))
    warnings = [(f"/{name}", "Unknown property") for name in sorted(parsed.keys() - _BODY_MEMBERS)]
    for position, widget in enumerate(widgets):
        at = f"/widgets/{position}"
        errors += _widget_errors(at, widget)
        if isinstance(widget, dict):
            warnings += _widget_warnings(at, widget)
    return errors, warnings


def _widget_errors(at: str, widget: Any) -> Iterator[Problem]:
    if not isinstance(widget, dict):
        yield at, "Should be an object"
        return
    kind = widget.get("type")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        yield f"{at}/type", f"Should be one of {', '.join(_REQUIRED)}"
        return
    for name, low, high in (
        ("x", 0, _GRID_WIDTH - 1),
        ("y", 0, None),
        ("width", 1, _GRID_WIDTH),
        ("height", 1, _MAX_HEIGHT),
    ):
        if name in widget:
            yield from _whole(f"{at}/{name}", widget[name], low, high)
    if ("x" in widget) != ("y" in widget):
        yield at, "Should have both x and y, or neither"
    properties = widget.get("properties")
    if not isinstance(properties, dict):
        yield f"{at}/properties", "Should be an object"
        return
    yield from _property_errors(f"{at}/properties", kind, properties)


def _whole(at: str, value: Any, low: int, high: int | None) -> Iterator[Problem]:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        yield (
            at,
            f"Should be a whole number from {low} on" if high is None else f"Should be a whole number {low} to {high}",
        )


def _property_errors(at: str, kind: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    for name, (fits, wanted) in _REQUIRED[kind].items():
        if name not in properties:
            yield at, f"Should have property {name}: {wanted}"
        elif not fits(properties[name]):
            yield f"{at}/{name}", f"Should be {wanted}"
    if kind == "metric":
        yield from _metric_errors(at, properties)


def _metric_errors(at: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    if properties.get("view", "timeSeries") not in _VIEWS:
        yield f"{at}/view", f"Should be one of {', '.join(_VIEWS)}"
    annotations = properties.get("annotations")
    if annotations is not None and not isinstance(annotations, dict):
        yield f"{at}/annotations", "Should be an object"
        annotations = None
    metrics = properties.get("metrics")
    if metrics is None:
        if not (annotations or {}).get("alarms") and not properties.get("queries"):
            yield at, "Should have property metrics, or annotations with alarms"
        return
    if not isinstance(metrics, list):
        yield f"{at}/metrics", "Should be a list"
        return
    for position, metric in enumerate(metrics):
        yield from _one_metric(f"{at}/metrics/{position}", metric)
    period = properties.get("period", 60)
    whole = isinstance(period, int) and not isinstance(period, bool)
    if not whole or (period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60)):
        yield f"{at}/period", "Should be 1, 5, 10, 20, 30 or a multiple of 60"


def _one_metric(at: str, metric: Any) -> Iterator[Problem]:
    if not isinstance(metric, list) or not metric:
        yield at, "Should be a list: namespace, metric name, then names and values of dimensions, then options"
        return
    names = metric[:-1] if isinstance(metric[-1], dict) else metric
    if not all(isinstance(name, str) for name in names):
        yield at, "Should hold text, and at its end an object of options"
    elif not names:
        if not isinstance(metric[-1].get("expression"), str):
            yield at, "Should hold a namespace and a metric name, or an object with an expression"
    elif len(names) < 2 or len(names) % 2:
        yield at, "Should hold a namespace, a metric name, and pairs of name and value of dimensions"


def _widget_warnings(at: str, widget: Mapping[str, Any]) -> Iterator[Problem]:
    for name in sorted(widget.keys() - _WIDGET_MEMBERS):
        yield f"{at}/{name}", "Unknown property"
    kind, properties = widget.get("type"), widget.get("properties")
    if isinstance(kind, str) and kind in _KNOWN and isinstance(properties, dict):
        for name in sorted(properties.keys() - _KNOWN[kind]):
            yield f"{at}/properties/{name}", "Unknown property"
