"""A chart as data that `static/charts.js` draws with uPlot. Pure: the same figure gives the same JSON.

A version has one colour on every chart and page, a role one dash, and a measure one marker, so that nothing depends on
colour alone. `static/console.css` has the colours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from modelstack.cli.view.times import duration

Point = tuple[float, float]
"""Epoch seconds and value."""
_MISSED = 2.5  # periods without a point that break a curve
_COLOURS = 6  # of curves without a version
_VERSIONS, _NEWEST = 6, 3  # colours of versions, and how many of the newest differ
_CIRCLE, _TRIANGLE = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z", "M0-4.5L4.5 3.5H-4.5Z"
_SQUARE, _DIAMOND = "M-3.5-3.5H3.5V3.5H-3.5Z", "M0-5L5 0L0 5L-5 0Z"
_CROSS, _PLUS = "M-4-4L4 4M-4 4L4-4", "M-4.5 0H4.5M0-4.5V4.5"
_DOWN, _STAR = "M0 4.5L4.5-3.5H-4.5Z", "M-4-4L4 4M-4 4L4-4M0-5V5"
_MARKERS = ("", _CIRCLE, _TRIANGLE, _SQUARE, _DIAMOND, _CROSS, _PLUS, _DOWN, _STAR)
_DASHES = ((), (7, 3), (2, 2), (9, 2, 2, 2))


@dataclass(frozen=True)
class Style:
    """A colour of `console.css` without `--c-`, a dash (lengths in pixels) and a marker (an SVG path)."""

    colour: str
    dash: tuple[int, ...] = ()
    marker: str = ""


_ROLES: Mapping[str, tuple[int, ...]] = {"champion": (), "challenger": (8, 4), "previous": (2, 3)}
_OTHERS = ((10, 3, 2, 3), (4, 2), (1, 2), (6, 2, 1, 2), (3, 3), (12, 2))
_ORDER = ("champion", "challenger", "previous", "")


@dataclass(frozen=True)
class Version:
    """A variant's name, its role then, and its colour, which the role does not change; empty for a curve of none."""

    name: str = ""
    role: str = ""
    colour: str = ""


def colours(together: Sequence[Collection[str]], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variant -> colour. Each collection has variants that were live together, oldest first. `known` ones keep theirs.

    Its name gives a variant its colour, or the next one that differs from the variants that it was live with, and from
    the newest before it. So it keeps its colour when another is released, and when its role changes.
    """
    found = dict(known or {})
    for name in dict.fromkeys(one for one in chain.from_iterable(together) if one not in found):
        first = int(hashlib.sha256(name.encode()).hexdigest(), 16)
        others = {*chain.from_iterable(names for names in together if name in names), *list(found)[-_NEWEST:]}
        taken = {found[other] for other in others & found.keys()}
        free = [f"v{(first + step) % _VERSIONS + 1}" for step in range(_VERSIONS)]
        found[name] = next((colour for colour in free if colour not in taken), free[0])
    return found


@dataclass(frozen=True)
class Curve:
    """One curve of a version; `band` has epoch seconds, low and high of the interval around it."""

    measure: str
    version: Version
    points: tuple[Point, ...]
    band: tuple[tuple[float, float, float], ...] = ()
    style: Style | None = None


@dataclass(frozen=True)
class Limit:
    """A horizontal line, such as an alarm's threshold; `colour` as in `Style`."""

    label: str
    value: float
    colour: str = "alarm"


@dataclass(frozen=True)
class Mark:
    """An event on the time axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A period, epoch seconds; `ended` is None until now, and equals `began` for an event."""

    began: float
    ended: float | None
    text: str
    colour: str = "4"


@dataclass(frozen=True)
class Lane:
    """A row of bars of one kind on the time axis."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Span:
    """The time range of a chart, epoch seconds."""

    start: float
    end: float


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        period: Seconds between points; 0 for irregular ones.
        clamp: The smallest and largest value drawn; others are drawn at the edge.
        step: Whether a value holds until the next.
        floor: A value that the axis always includes; None lets it begin near the smallest.
        lanes: Rows of bars instead of curves.
    """

    title: str
    span: Span
    curves: tuple[Curve, ...] = ()
    unit: str = ""
    period: float = 0
    log: bool = False
    clamp: tuple[float, float] | None = None
    step: bool = False
    floor: float | None = 0.0
    limits: tuple[Limit, ...] = ()
    marks: tuple[Mark, ...] = ()
    lanes: tuple[Lane, ...] = ()

    @property
    def columns(self) -> tuple[Version, ...]:
        """The versions, the champion first."""
        found = dict.fromkeys(curve.version for curve in self.curves)
        return tuple(sorted(found, key=lambda item: (_ORDER.index(item.role) if item.role in _ORDER else 9, item.name)))

    @property
    def rows(self) -> tuple[str, ...]:
        """The measures, in their order."""
        return tuple(dict.fromkeys(curve.measure for curve in self.curves))

    @property
    def legend(self) -> Iterator[tuple[str, list[tuple[int, Curve, Style] | None]]]:
        """Each measure with its curve's number and style in each version; None where there is none."""
        at = {(curve.measure, curve.version): number for number, curve in enumerate(self.curves)}
        for measure in self.rows:
            numbers = [at.get((measure, version)) for version in self.columns]
            yield measure, [None if n is None else (n, self.curves[n], self.style(self.curves[n])) for n in numbers]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.lanes and not any(curve.points for curve in self.curves)

    @property
    def vertical(self) -> str:
        """The title of the vertical axis."""
        return ", ".join(filter(None, (self.unit, "log scale" if self.log else "")))

    @property
    def horizontal(self) -> str:
        """The title of the horizontal axis."""
        return f"UTC, one point each {duration(self.period)}" if self.period else "UTC"

    @property
    def said(self) -> str:
        """The text for screen readers."""
        if self.lanes:
            shown = ", ".join(f"{len(lane.bars)} of {lane.name}" for lane in self.lanes)
        else:
            shown = ", ".join(f"{_named(curve)} is {self.told(curve)}" for curve in self.curves if curve.points)
        unit = f" ({self.vertical})" if self.vertical else ""
        return f"{self.title}{unit}: {shown or 'no data'}. Arrow keys read values."

    def told(self, curve: Curve) -> str:
        """The newest value of a curve; `<` or `>` the limit when it is clamped."""
        value = curve.points[-1][1]
        least, most = self.clamp or (value, value)
        return f"< {short(least)}" if value < least else f"> {short(most)}" if value > most else short(value)

    def style(self, curve: Curve) -> Style:
        """The look of a curve."""
        if curve.style is not None:
            return curve.style
        row = self.rows.index(curve.measure)
        marker = _MARKERS[row % len(_MARKERS)]
        if not curve.version.name:
            dash = _DASHES[row // _COLOURS % len(_DASHES)]
            return Style(str(row % _COLOURS + 1), dash, marker)
        others = [version for version in self.columns if version.role not in _ROLES]
        known = _ROLES.get(curve.version.role)
        dash = _OTHERS[others.index(curve.version) % len(_OTHERS)] if known is None else known
        name = curve.version.name
        return Style(curve.version.colour or colours([[name]])[name], dash, marker)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "start": self.span.start,
            "end": self.span.end,
            "period": self.period,
            "log": self.log,
            "clamp": self.clamp,
            "step": self.step,
            "floor": self.floor,
            "curves": [self._curve(curve) for curve in self.curves],
            "limits": [vars(limit) for limit in self.limits],
            "marks": [vars(mark) for mark in self.marks if self.span.start <= mark.at <= self.span.end],
            "lanes": [
                {"name": lane.name, "bars": [vars(bar) for bar in lane.bars if self._within(bar)]}
                for lane in self.lanes
            ],
        }

    def _within(self, bar: Bar) -> bool:
        return bar.began <= self.span.end and (bar.ended is None or bar.ended >= self.span.start)

    def _curve(self, curve: Curve) -> dict[str, Any]:
        at, values = _broken(curve.points, self.period)
        style = self.style(curve)
        found = {"name": _named(curve), **vars(style), "x": at, "y": values}
        if curve.band:
            ends = {when: (low, high) for when, low, high in curve.band}
            found["low"] = [ends.get(when, (None, None))[0] for when in at]
            found["high"] = [ends.get(when, (None, None))[1] for when in at]
        return found


def short(value: float) -> str:
    """A number as an axis shows it: 1,500 is 1.5k."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{name}"
    return f"{value:.4g}"


def _named(curve: Curve) -> str:
    return " ".join(filter(None, (curve.version.role, curve.version.name, curve.measure)))


def _broken(points: Sequence[Point], period: float) -> tuple[list[float], list[float | None]]:
    """Times and values, with None in gaps, so that the curve is broken there."""
    at, values = [when for when, _ in points[:1]], list[float | None](value for _, value in points[:1])
    for (before, _), (when, value) in pairwise(points):
        if period and when - before > _MISSED * period:
            at.append(before + period)
            values.append(None)
        at.append(when)
        values.append(value)
    return at, values
