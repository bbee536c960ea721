"""Which figure is a widget of a dashboard? Pure: what CloudWatch answered, and who has which role, are arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cli.console.definition import Widget
from cli.console.figure import Bar, Curve, Figure, Lane, Mark, Span, Version
from cli.platform.facts import Series
from platforms.aws.metrics import VARIANT
from platforms.kubernetes.metrics import series as series_of
from rollout.core.catalogue import EVENTS

Roles = Mapping[str, str]
"""Variant -> its role now."""
LOGARITHMIC = frozenset({"ms", "evidence"})
"""Units of what is compared by how many times as much it is, not by how much more."""
_VARIANT = re.compile(r"v-[0-9a-f]{12}")
_SEARCH = re.compile(r"\s*SEARCH\('\s*\{([^}]*)\}[^']*'[^()]*\)\s*$")  # and nothing is computed of it
_LOW, _HIGH = "Low", "High"  # at the end of a measure: the ends of its interval


def telling(widget: Widget) -> Widget:
    """The widget with labels that tell the version of each curve; of a single one CloudWatch's own label does not."""
    return replace(widget, queries=tuple(map(_telling, widget.queries)))


def _telling(query: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _SEARCH.match(query.get("Expression", ""))
    dimensions = found[1].split(",")[2:] if found else ()  # behind the namespace and the endpoint
    told = [query.get("Label", ""), *(f"${{PROP('Dim.{name.strip()}')}}" for name in dimensions)]
    return {**query, "Label": " ".join(filter(None, told))} if VARIANT in dimensions else query


def figure(widget: Widget, found: Sequence[Series], span: Span, marks: Iterable[Mark], roles: Roles) -> Figure:
    """The figure of a metric widget.

    Args:
        widget: The widget.
        found: The curves that CloudWatch has of its queries.
        span: The time that it shows.
        marks: What happened meanwhile.
        roles: Who is who.
    """
    inside = [Series(one.label, tuple(point for point in one.points if point[0] >= span.start)) for one in found]
    if _of_events(widget):
        lanes = tuple(_lane(series) for series in inside if any(value for _, value in series.points))
        return Figure(widget.title, span, lanes=lanes, period=widget.period)
    ended = [_ended(series, widget, span) for series in inside]
    return Figure(
        widget.title,
        span,
        _banded(_told_apart([_curve(series, widget, roles) for series in ended if series.points])),
        unit=widget.unit,
        period=widget.period,
        log=widget.unit in LOGARITHMIC,
        clamp=(1e-4, 1e6) if widget.unit == "evidence" else None,
        limits=widget.limits,
        marks=tuple(marks),
    )


def _ended(series: Series, widget: Widget, span: Span) -> Series:
    """Of what is counted, the periods that are over: half a period looks as if half of the traffic were gone."""
    counts = any("'Sum'" in str(query.get("Expression")) or _stat(query) == "Sum" for query in widget.queries)
    return Series(series.label, tuple(one for one in series.points if not counts or one[0] + widget.period <= span.end))


def _stat(query: Mapping[str, Any]) -> str:
    return query.get("MetricStat", {}).get("Stat", "")


def _told_apart(curves: Iterable[Curve]) -> list[Curve]:
    """The curves, with a number behind the measure of those that CloudWatch labels alike."""
    known, made = Counter[tuple[str, Version]](), list[Curve]()
    for curve in curves:
        known[curve.measure, curve.version] += 1
        number = known[curve.measure, curve.version]
        made.append(replace(curve, measure=f"{curve.measure} ({number})") if number > 1 else curve)
    return made


def _of_events(widget: Widget) -> bool:
    """Whether it counts what happened to releases, of which people want to know when, not how often."""
    names = (f'MetricName="{EVENTS}"', f"{series_of(EVENTS)}_total")
    return any(name in query.get("Expression", "") for query in widget.queries for name in names)


def _lane(series: Series) -> Lane:
    bars = (Bar(at, at, f"{series.label} ({value:g})") for at, value in series.points if value)
    return Lane(series.label.replace("_", " "), tuple(bars))


def _curve(series: Series, widget: Widget, roles: Roles) -> Curve:
    """A curve by its label: the name of a variant in it tells whose it is, and the rest what it shows.

    The label of a search that finds one metric only has the metric's name, and none of its dimensions.
    """
    asked = " ".join(str(query.get("Expression", "")) for query in widget.queries)
    words = list(dict.fromkeys(series.label.split()))
    named = any("Label" in query for query in widget.queries)
    if words and f'MetricName="{words[-1]}"' in asked and (len(words) > 1 or not named):
        words = words[:-1]
    name = next((word for word in words if word in roles or _VARIANT.fullmatch(word)), "")
    measure = " ".join(word for word in words if word != name)
    if not name and len(roles) == 1 and VARIANT in asked:
        name = next(iter(roles))
    return Curve(measure or widget.unit or "value", Version(name, roles.get(name, "")), series.points)


def _banded(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """The curves, with the ends of an interval as a band around the curve that it is of."""
    known = {(curve.measure, curve.version): curve for curve in curves}
    made: list[Curve] = []
    for curve in curves:
        if any(
            curve.measure.endswith(end) and (curve.measure.removesuffix(end), curve.version) in known
            for end in (_LOW, _HIGH)
        ):
            continue
        low, high = (known.get((curve.measure + end, curve.version)) for end in (_LOW, _HIGH))
        lows, highs = dict(low.points if low else ()), dict(high.points if high else ())
        band = tuple((at, lows[at], highs[at]) for at, _ in curve.points if at in lows and at in highs)
        made.append(Curve(curve.measure, curve.version, curve.points, band))
    return tuple(made)
