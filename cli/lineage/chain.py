"""Makes the graph of a package of what is known of it. Pure: the same facts give the same graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain as joined

from cli.lineage.going import Why, gone
from cli.lineage.graph import Edge, Graph, Node
from cli.lineage.known import Stack
from cli.lineage.making import job_of, made
from provenance.facts import Facts


def lineage(digest: str, facts: Facts | None, stacks: Sequence[Stack], why: Why, unread: Sequence[str] = ()) -> Graph:
    """The graph of a package.

    Args:
        digest: The package's, `sha256:<hex>`.
        facts: What is proven of it; None when nothing is.
        stacks: What each stack knows; one that knows nothing of the package adds nothing.
        why: Tells the reason of a record, in words.
        unread: What could not be looked at, and why.
    """
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    for part in joined(made(digest, facts, stacks), gone(digest, stacks, job_of(facts), why)):
        if isinstance(part, Edge):
            edges.append(part)
        elif part.id not in nodes or not nodes[part.id].facts:
            nodes[part.id] = part
    return Graph(
        digest, tuple(nodes.values()), tuple(sorted(dict.fromkeys(edges), key=lambda one: one.at)), tuple(unread)
    )
