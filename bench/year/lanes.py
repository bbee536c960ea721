"""What happened when, below each other on the time axis of the graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cli.console.chart import Look, Span, across, picture, times

ROW = 26
_FOOT = 24
_LEAST = 3.0  # width of what took no time


@dataclass(frozen=True)
class Bar:
    """Something that lasted.

    Attributes:
        began: Epoch seconds.
        ended: Epoch seconds; None: to the end of the picture.
        style: The class of its colour.
        text: What it was.
    """

    began: float
    ended: float | None
    style: str
    text: str


@dataclass(frozen=True)
class Lane:
    """Things of one kind."""

    name: str
    bars: Sequence[Bar]


def lanes(title: str, rows: Sequence[Lane], span: Span, look: Look) -> Markup:
    """Draw rows of bars.

    Args:
        title: What they show, for those who do not see it.
        rows: From the top.
        span: The time from left to right.
        look: Its width and its times; the height follows from the rows.
    """
    look = Look(look.width, ROW * len(rows) + _FOOT, look.tick, look.moment, look.ticks)
    said = ", ".join(f"{len(lane.bars)} of {lane.name}" for lane in rows)
    parts = [picture(look, f"{title}: {said}"), *times(span, look)]
    for number, lane in enumerate(rows):
        parts += _row(lane, ROW * number, span, look)
    return Markup("").join([*parts, Markup("</svg>")])


def _row(lane: Lane, top: float, span: Span, look: Look) -> Iterator[Markup]:
    left, right = across(span.start, span, look), across(span.end, span, look)
    line = Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/><text class="tick" x="0" y="{:.1f}">{}</text>')
    yield line.format(left, top + ROW, right, top + ROW / 2 + 4, lane.name)
    for bar in lane.bars:
        begin = min(max(across(bar.began, span, look), left), right - _LEAST)
        end = right if bar.ended is None else min(across(bar.ended, span, look), right)
        yield Markup(
            '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}"><title>{}</title></rect>'
        ).format(bar.style, begin, top + 5, max(end - begin, _LEAST), ROW - 9, bar.text)
