"""A pipeline as an SVG picture: a card for each step, and a line for each outcome that another step takes. Pure.

The line to the next card is straight. Others run down a lane at the left, one for each giving step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from modelstack.cli.flow.text import conditions, gives, takes
from modelstack.pipeline.steps import Pipeline, Step

CARD, HEIGHT, GAP, HEAD = 700, 98, 26, 30
LANE, MARGIN = 22, 20
_COLOURS = ("#2563eb", "#c2410c", "#047857", "#7c3aed", "#be185d", "#0e7490")
_STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:13px;fill:#334155}"
    ".name{font-size:16px;font-weight:600;fill:#0f172a}.small{font-size:12px;fill:#64748b}"
    ".group{font-size:12px;font-weight:600;letter-spacing:.08em;fill:#64748b;text-transform:uppercase}"
    ".card{fill:#fff;stroke:#cbd5e1}.once{stroke-dasharray:5 3;stroke:#94a3b8}.line{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class _Sheet:
    """The layout: the top of each card, and the lane of each step that gives to another than the next."""

    top: Mapping[str, int]
    lanes: Mapping[str, int]
    height: int

    @property
    def left(self) -> int:
        return MARGIN + LANE * (max(self.lanes.values(), default=-1) + 2)

    def lane(self, name: str) -> int:
        return self.left - LANE * (self.lanes[name] + 1)


def drawn(pipeline: Pipeline) -> str:
    """The picture as SVG."""
    order = pipeline.order()
    sheet = _laid_out(pipeline, order)
    width = sheet.left + CARD + MARGIN
    parts = [*_groups(order, sheet), *_lines(pipeline, order, sheet), *(_card(pipeline, one, sheet) for one in order)]
    heads = "".join(_head(place, colour) for place, colour in enumerate(_COLOURS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {sheet.height}" width="{width}" '
        f'height="{sheet.height}" role="img" aria-label="The steps of the pipeline">'
        f"<style>{_STYLE}</style><defs>{heads}</defs>"
        f'<rect width="100%" height="100%" fill="#f8fafc"/>{"".join(parts)}</svg>\n'
    )


def _laid_out(pipeline: Pipeline, order: tuple[Step, ...]) -> _Sheet:
    top: dict[str, int] = {}
    y, group = MARGIN, ""
    for one in order:
        if one.group != group:
            y, group = y + HEAD, one.group
        top[one.name] = y
        y += HEIGHT + GAP
    rows = {one.name: place for place, one in enumerate(order)}
    last = {one.name: max((rows[to.name] for to in _far(pipeline, order, one)), default=-1) for one in order}
    free: list[int] = []  # of each lane, the row from which on it is free
    lanes: dict[str, int] = {}
    for one in reversed(order):  # a short line lies inside a long one
        if last[one.name] < 0:
            continue
        lane = next((place for place, row in enumerate(free) if row > last[one.name]), len(free))
        free[lane : lane + 1] = [rows[one.name]]
        lanes[one.name] = lane
    return _Sheet(top, lanes, y - GAP + MARGIN)


def _far(pipeline: Pipeline, order: tuple[Step, ...], one: Step) -> list[Step]:
    after = order[order.index(one) + 1 :]
    return [to for to in after[1:] if one.name in pipeline.steps_of(to)]


def _groups(order: tuple[Step, ...], sheet: _Sheet) -> Iterator[str]:
    group = ""
    for one in order:
        if one.group != group:
            group = one.group
            yield f'<text class="group" x="{sheet.left}" y="{sheet.top[one.name] - 10}">{escape(group)}</text>'


def _lines(pipeline: Pipeline, order: tuple[Step, ...], sheet: _Sheet) -> Iterator[str]:
    for place, one in enumerate(order):
        colour = place % len(_COLOURS)
        following = order[place + 1] if place + 1 < len(order) else None
        if following is not None and one.name in pipeline.steps_of(following):
            x, y = sheet.left + 140, sheet.top[one.name] + HEIGHT
            yield _path(f"M{x} {y}V{sheet.top[following.name] - 3}", colour)
        start = sheet.top[one.name] + HEIGHT - 22
        for to in _far(pipeline, order, one):
            lane, end = sheet.lane(one.name), sheet.top[to.name] + 22 + 12 * pipeline.steps_of(to).index(one.name)
            corner = f"M{sheet.left} {start}H{lane + 8}Q{lane} {start} {lane} {start + 8}"
            yield _path(f"{corner}V{end - 8}Q{lane} {end} {lane + 8} {end}H{sheet.left - 3}", colour)


def _path(drawn: str, colour: int) -> str:
    return f'<path class="line" d="{drawn}" stroke="{_COLOURS[colour]}" marker-end="url(#head{colour})"/>'


def _head(place: int, colour: str) -> str:
    return (
        f'<marker id="head{place}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8Z" fill="{colour}"/></marker>'
    )


def _card(pipeline: Pipeline, one: Step, sheet: _Sheet) -> str:
    x, y = sheet.left, sheet.top[one.name]
    told = {"takes": takes(pipeline, one), "gives": gives(one), "costs": " · ".join(conditions(one))}
    rows = [
        f'<text x="{x + 16}" y="{y + 26}"><tspan class="name">{escape(one.name)}</tspan>'
        f'<tspan dx="10">{escape(one.says)}</tspan></text>',
        *(
            f'<text class="small" x="{x + 16}" y="{y + 47 + 20 * place}">{name}'
            f'<tspan x="{x + 60}">{escape(text)}</tspan></text>'
            for place, (name, text) in enumerate(told.items())
            if text
        ),
    ]
    style = "card" if one.cached else "card once"
    return f'<rect class="{style}" x="{x}" y="{y}" width="{CARD}" height="{HEIGHT}" rx="8"/>{"".join(rows)}'
