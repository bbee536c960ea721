"""A graph as SVG. Pure: the same points give the same text.

Curves break where data is missing, so that silence is seen; colours are those of Okabe and Ito, which people with any
kind of colour vision can tell apart (jfly.uni-koeln.de/color), and each curve has a dash of its own besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from cli.console.definition import Line
from cli.measured import Series

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#b8a800")
DASHES = ("", "7 3", "2 2", "9 2 2 2")
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 8, 22
_LETTER = 12
_MISSED = 2.5  # periods without a point that break a curve
_TICKS = 4


@dataclass(frozen=True)
class Mark:
    """Something that happened: a vertical line."""

    at: float
    text: str


@dataclass(frozen=True)
class Span:
    """The time that a graph shows, epoch seconds."""

    start: float
    end: float


@dataclass(frozen=True)
class Look:
    """How a graph is drawn.

    Attributes:
        width: Of the picture.
        height: Of the picture.
        tick: How a time is written below it, as `strftime` takes it.
        moment: How a point's time is told.
        ticks: Which times are written; None: the span in equal parts.
        from_zero: Whether 0 is shown, however far away values are.
        dots: Whether each point has a dot, which tells its value.
    """

    width: int = 600
    height: int = 200
    tick: str = "%H:%M"
    moment: str = "%H:%M:%S"
    ticks: tuple[float, ...] | None = None
    from_zero: bool = True
    dots: bool = True


def graph(
    title: str,
    curves: Sequence[Series],
    span: Span,
    period: int,
    *,
    lines: Sequence[Line] = (),
    marks: Iterable[Mark] = (),
    look: Look = Look(),
) -> Markup:
    """Draw curves.

    Args:
        title: What it shows, for those who do not see it.
        curves: What is drawn.
        span: The time from the left to the right.
        period: Of the points, seconds.
        lines: Horizontal lines, such as where an alarm rings.
        marks: What happened meanwhile.
        look: How it is drawn.
    """
    curves = [_within(curve, span) for curve in curves]
    values = [value for curve in curves for _, value in curve.points] + [line.value for line in lines]
    scale = _Scale.of(values, span, look)
    parts = [picture(look, f"{title}: {_said(curves)}"), *_levels(scale), *times(span, look)]
    parts += [_mark(scale, mark) for mark in marks if span.start <= mark.at <= span.end]
    parts += [_line(scale, line) for line in lines]
    for number, curve in enumerate(curves):
        parts += _curve(scale, curve, number, period)
    return Markup("").join([*parts, Markup("</svg>")])


def picture(look: Look, said: str) -> Markup:
    """The beginning of a picture.

    Args:
        look: How large it is.
        said: What it shows, for those who do not see it.
    """
    return Markup('<svg class="graph" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        look.width, look.height, said
    )


def across(at: float, span: Span, look: Look) -> float:
    """Where a time is, from the left of the picture."""
    return _LEFT + (at - span.start) / (span.end - span.start) * (look.width - _LEFT - _RIGHT)


def times(span: Span, look: Look) -> Iterator[Markup]:
    """The times below a picture."""
    parts = (0, 1, 2, 3, 4)
    shown = look.ticks or tuple(span.start + part / _TICKS * (span.end - span.start) for part in parts)
    for at in shown:
        x = across(at, span, look)
        anchor = "start" if x < 2 * _LEFT else "end" if x > look.width - _LEFT else "middle"
        yield Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
            x, look.height - 6, anchor, _told(at, look.tick)
        )


def style(number: int) -> tuple[str, str]:
    """Colour and dashes of a graph's curve."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]


def short(value: float) -> str:
    """A number as an axis has it: 1,500 is 1.5k."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{name}"
    return f"{value:.4g}"


def _within(curve: Series, span: Span) -> Series:
    """Without the point of a period that began before the time that is shown."""
    return Series(curve.label, tuple(point for point in curve.points if point[0] >= span.start))


@dataclass(frozen=True)
class _Scale:
    span: Span
    look: Look
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], span: Span, look: Look) -> _Scale:
        floor = [0.0] if look.from_zero else []
        low, high = min([*floor, *values], default=0.0), max(values, default=1.0)
        step = _round_step((high - low) / _TICKS)
        first, last = math.floor(low / step), math.ceil(high / step)
        return cls(span, look, tuple(step * number for number in range(first, max(last, first + 1) + 1)))

    def x(self, at: float) -> float:
        return across(at, self.span, self.look)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self.bottom - (value - low) / (high - low) * (self.bottom - _TOP)

    @property
    def right(self) -> float:
        return self.look.width - _RIGHT

    @property
    def bottom(self) -> float:
        return self.look.height - _BOTTOM


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is no less."""
    if least <= 0:
        return 0.25
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * part for part in (1, 2, 5, 10) if power * part >= least * (1 - 1e-9))


def _levels(scale: _Scale) -> Iterator[Markup]:
    for value in scale.ticks:
        y = scale.y(value)
        yield Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(_LEFT, y, scale.right)
        yield Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            _LEFT - 6, y + 4, short(value)
        )


def _mark(scale: _Scale, mark: Mark) -> Markup:
    return Markup('<path class="mark" d="M{:.1f} {}V{}"><title>{}</title></path>').format(
        scale.x(mark.at), _TOP, scale.bottom, mark.text
    )


def _line(scale: _Scale, line: Line) -> Markup:
    y = scale.y(line.value)
    return Markup(
        '<path class="limit" d="M{} {:.1f}H{}"/><text class="tick limit" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
    ).format(_LEFT, y, scale.right, scale.right, y - 4 if y > _TOP + _LETTER else y + _LETTER, line.label)


def _curve(scale: _Scale, curve: Series, number: int, period: int) -> Iterator[Markup]:
    colour, dash = style(number)
    for piece in _pieces(curve.points, period):
        path = "L".join(f"{scale.x(at):.1f} {scale.y(value):.1f}" for at, value in piece)
        yield Markup('<path class="curve" stroke="{}" stroke-dasharray="{}" d="M{}"/>').format(colour, dash, path)
    for at, value in curve.points if scale.look.dots else ():
        told = f"{curve.label}: {value:.6g} at {_told(at, scale.look.moment)}"
        yield Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2" fill="{}"><title>{}</title></circle>').format(
            scale.x(at), scale.y(value), colour, told
        )


def _pieces(points: Sequence[tuple[float, float]], period: int) -> Iterator[Sequence[tuple[float, float]]]:
    begin = 0
    for at in range(1, len(points) + 1):
        if at == len(points) or points[at][0] - points[at - 1][0] > _MISSED * period:
            yield points[begin:at]
            begin = at


def _told(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _said(curves: Sequence[Series]) -> str:
    said = [f"{curve.label} is {short(curve.points[-1][1])}" for curve in curves if curve.points]
    return ", ".join(said) or "no data"
