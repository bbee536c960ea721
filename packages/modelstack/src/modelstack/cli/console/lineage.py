"""The lineage as a picture: earliest on the left, people below. `templates/lineage.html` draws it as SVG. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.cli.lineage.tree import when_and_why
from modelstack.records.lineage.graph import ACTORS, Edge, Graph, Kind, Node, Verb

_COLUMNS: Mapping[Kind, int] = {
    **dict.fromkeys(("data", "commit", "parameters", "locks"), 0),
    "recipe": 1,
    **dict.fromkeys(("training", "key"), 2),
    "package": 3,
    "version": 4,
    "rollout": 5,
    "endpoint": 6,
}
WIDTH, HEIGHT = 156, 44
_ACROSS, _DOWN, _EDGE = 36, 14, 8
_LETTERS, _BEGIN = 19, 8  # of a label that fit, and how many of them are its first ones
_BEND, _APART = 18, 7


@dataclass(frozen=True)
class Box:
    """A node with its upper left corner, in units of the picture, and its shortened label."""

    node: Node
    x: int
    y: int
    label: str


@dataclass(frozen=True)
class Line:
    """An edge with its SVG path, its class in `console.css`, and its meaning in words."""

    edge: Edge
    path: str
    style: str
    title: str


@dataclass(frozen=True)
class LineageRow:
    """A row of the table of events."""

    at: str
    until: str
    what: str
    to: str
    who: str
    why: str


@dataclass(frozen=True)
class Picture:
    """A lineage with its layout."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def shown(graph: Graph) -> dict[str, Any]:
    """The values of the template."""
    drawn, rows = picture(graph), tuple(happened(graph))
    return {"graph": graph, "picture": drawn, "rows": rows, "width": WIDTH, "height": HEIGHT, "said": ""}


def picture(graph: Graph) -> Picture:
    """Lay out the nodes and edges."""
    columns: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if node.kind not in ACTORS:
            columns.setdefault(_column(graph, node), []).append(node)
    most = max(len(nodes) for nodes in columns.values())
    places = {
        node.id: (_x(column), _EDGE + (2 * row + most - len(nodes)) * (HEIGHT + _DOWN) // 2)
        for column, nodes in columns.items()
        for row, node in enumerate(nodes)
    }
    free: list[tuple[int, int]] = []
    for node in graph.of(*ACTORS):
        if not free:
            row = max(y for _, y in places.values()) + HEIGHT + 3 * _DOWN
            free = [(_x(column), row) for column in sorted({*columns.keys(), *_COLUMNS.values()})]
        aims = [places[edge.target][0] for edge in graph.out_of(node)]
        places[node.id] = min(free, key=lambda place: abs(place[0] - sum(aims) / len(aims)))
        free.remove(places[node.id])
    boxes = tuple(Box(node, *places[node.id], _shortened(node)) for node in graph.nodes)
    lines = tuple(_line(graph, edge, places) for edge in graph.edges)
    wide, high = max(x for x, _ in places.values()) + WIDTH, max(y for _, y in places.values()) + HEIGHT
    return Picture(wide + _EDGE, high + _EDGE, boxes, lines)


def happened(graph: Graph) -> Iterator[LineageRow]:
    """The events, oldest first, as text for people who do not see the picture."""
    for edge in graph.edges:
        source, target = graph.node(edge.source), graph.node(edge.target)
        if not edge.at:
            continue
        if source.kind in ACTORS:
            yield LineageRow(
                edge.at, edge.until, edge.kind.by.removesuffix(" by"), target.label, source.label, edge.why
            )
        elif edge.kind in {Verb.SEALED, Verb.TRIED, Verb.SERVED} or not _has_actor(graph, edge):
            yield LineageRow(edge.at, edge.until, f"{source.label}, {edge.kind.forward}", target.label, "", edge.why)


def _has_actor(graph: Graph, edge: Edge) -> bool:
    """Whether an actor is known for the same, or for what led to it."""
    same = {edge.kind, Verb.BEGAN} if edge.kind is Verb.RELEASED else {edge.kind}
    return any(one.kind in same for one, _ in graph.deeds(graph.node(edge.target)))


def _column(graph: Graph, node: Node) -> int:
    """A package that a training was compared with comes before it."""
    return 1 if node.kind == "package" and node.id != graph.package else _COLUMNS[node.kind]


def _x(column: int) -> int:
    return _EDGE + column * (WIDTH + _ACROSS)


def _line(graph: Graph, edge: Edge, places: Mapping[str, tuple[int, int]]) -> Line:
    (x, y), (to_x, to_y) = places[edge.source], places[edge.target]
    source, target, middle = graph.node(edge.source), graph.node(edge.target), HEIGHT // 2
    if source.kind in ACTORS:
        half, down = WIDTH // 2, to_y + HEIGHT
        path = _path((x + half, y), (x + half, y - _BEND), (to_x + half, down + _BEND), (to_x + half, down))
        return Line(edge, path, "who", f"{target.label}: {edge.kind.by} {source.label}{when_and_why(edge)}")
    title = f"{source.label}: {edge.kind.forward} {target.label}{when_and_why(edge)}"
    if x == to_x:
        left, y, to_y = x - _BEND, y + middle, to_y + middle
        return Line(edge, _path((x, y), (left, y), (left, to_y), (to_x, to_y)), edge.kind, title)
    begin, between = x + WIDTH, (x + WIDTH + to_x) // 2
    middle += _APART if edge.kind is Verb.TRIED else 0  # a trial and a champion of one endpoint: two lines
    y, to_y = y + middle, to_y + middle
    return Line(edge, _path((begin, y), (between, y), (between, to_y), (to_x, to_y)), edge.kind, title)


def _path(*points: tuple[int, int]) -> str:
    """An SVG curve from the first point to the last, bent towards those between."""
    (x, y), *others = points
    return f"M{x} {y}C{' '.join(f'{x} {y}' for x, y in others)}"


def _shortened(node: Node) -> str:
    """A label without its kind, which is shown above it, and shortened in the middle."""
    label = node.label.removeprefix(f"{node.kind} ")
    return label if len(label) <= _LETTERS else f"{label[:_BEGIN]}…{label[_BEGIN + 1 - _LETTERS :]}"
