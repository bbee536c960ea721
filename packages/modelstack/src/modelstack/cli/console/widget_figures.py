"""The figure of a panel, from its measured curves and the known versions. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from modelstack.cli.console.figure import Bar, Curve, Figure, Lane, Limit, Mark, Span, Version, colours
from modelstack.cli.platform.facts import Series
from modelstack.services.declaration.panels import VARIANT, Panel

Versions = Mapping[str, Version]
"""Variant -> it with its role and colour."""
LOGARITHMIC = frozenset({"ms", "evidence"})
"""Units that are compared by ratio."""
_VARIANT = re.compile(r"v-[0-9a-f]{12}")
_GOOD = frozenset({"promoted"})  # events; what is neither good nor bad is grey
_BAD = frozenset(
    {"rolled_back", "rolling_back", "restoring", "failed", "stranded", "reduced", "untold", "left_to_judge"}
)
_LOW, _HIGH = "Low", "High"  # at the end of a measure: the ends of its interval


def figure(panel: Panel, found: Sequence[Series], span: Span, marks: Iterable[Mark], known: Versions) -> Figure:
    """The figure of a panel, from the curves of its queries."""
    spec = panel.spec
    inside = [Series(one.label, tuple(point for point in one.points if point[0] >= span.start)) for one in found]
    if spec.kind == "events":
        lanes = tuple(_lane(series) for series in inside if any(value for _, value in series.points))
        return Figure(spec.title, span, lanes=lanes, period=spec.seconds)
    ended = [_ended(series, panel, span) for series in inside]
    return Figure(
        spec.title,
        span,
        _banded(_distinguished([_curve(series, panel, known) for series in ended if series.points])),
        unit=spec.unit,
        period=spec.seconds,
        log=spec.unit in LOGARITHMIC,
        clamp=(1e-4, 1e6) if spec.unit == "evidence" else None,
        limits=() if spec.line is None else (Limit("alarm", float(spec.line)),),
        marks=tuple(marks),
    )


def _ended(series: Series, panel: Panel, span: Span) -> Series:
    """Drop the unfinished interval of counts: it looks as if traffic had dropped."""
    if not panel.unfinished:
        return series
    return Series(series.label, tuple(one for one in series.points if one[0] + panel.spec.seconds <= span.end))


def _distinguished(curves: Iterable[Curve]) -> list[Curve]:
    """Number the measures of curves that CloudWatch labels alike."""
    known, made = Counter[tuple[str, Version]](), list[Curve]()
    for curve in curves:
        known[curve.measure, curve.version] += 1
        number = known[curve.measure, curve.version]
        made.append(replace(curve, measure=f"{curve.measure} ({number})") if number > 1 else curve)
    return made


def _lane(series: Series) -> Lane:
    words = series.label.split()
    colour = "alarm" if _BAD.intersection(words) else "ok" if _GOOD.intersection(words) else "4"
    bars = (Bar(at, at, f"{series.label} ({value:g})", colour) for at, value in series.points if value)
    return Lane(series.label.replace("_", " "), tuple(bars))


def _curve(series: Series, panel: Panel, known: Versions) -> Curve:
    """A curve by its label: a variant's name in it gives the version, the rest is the measure.

    CloudWatch labels a single computed curve by its metric, and by none of its dimensions.
    """
    words = list(dict.fromkeys(series.label.split()))
    labelled = any(query.label for query in panel.queries)
    searched = words and any(f'MetricName="{words[-1]}"' in query.text for query in panel.queries)
    if searched and (len(words) > 1 or not labelled):
        words = words[:-1]
    name = next((word for word in words if word in known or _VARIANT.fullmatch(word)), "")
    measure = " ".join(word for word in words if word != name)
    if not name and len(known) == 1 and any(VARIANT in curve.by for curve in panel.spec.curves):
        name = next(iter(known))
    return Curve(measure or panel.spec.unit or "value", known.get(name) or _older(name, known), series.points)


def _older(name: str, known: Versions) -> Version:
    """A version that the journal does not know any more: no known one has its colour."""
    taken = {other: version.colour for other, version in known.items()}
    return Version(name, colour=colours([[*taken, name]], taken)[name] if name else "")


def _banded(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """Turn the ends of an interval into a band around their curve."""
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
