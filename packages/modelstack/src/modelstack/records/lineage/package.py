"""Builds the graph of a package."""

from __future__ import annotations

from collections.abc import Sequence

from modelstack.records.lineage.downstream import downstream
from modelstack.records.lineage.facts import Stack
from modelstack.records.lineage.graph import Edge, Graph, Node
from modelstack.records.lineage.upstream import upstream
from modelstack.records.provenance.facts import Facts


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
