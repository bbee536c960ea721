"""Builds the graph of a package."""

from __future__ import annotations

from collections.abc import Sequence

from provenance.facts import Facts
from records.lineage.downstream import downstream
from records.lineage.facts import Stack
from records.lineage.graph import Edge, Graph, Node
from records.lineage.upstream import upstream


def lineage(digest: str, facts: Facts | None, stacks: Sequence[Stack], unread: Sequence[str] = ()) -> Graph:
    """The graph of a package; `facts` is None if nothing is proven about it, `unread` says what could not be read."""
    nodes: dict[str, Node] = {}
    edges: dict[Edge, None] = {}
    for part in (*upstream(digest, facts, stacks), *downstream(digest, facts, stacks)):
        if isinstance(part, Edge):
            edges[part] = None
        elif part.id not in nodes or not nodes[part.id].facts:
            nodes[part.id] = part
    return Graph(digest, tuple(nodes.values()), tuple(sorted(edges, key=lambda one: one.at)), tuple(unread))
