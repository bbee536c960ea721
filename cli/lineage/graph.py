"""A graph of things and people, and what led from one to the other.

    graph.into(node), graph.out_of(node), graph.as_dict()

An edge goes from what was first to what came of it, and from a person to what they did it to. Times are ISO 8601, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal[
    "data",
    "commit",
    "parameters",
    "locks",
    "recipe",
    "training",
    "package",
    "key",
    "version",
    "rollout",
    "endpoint",
    "person",
    "function",
]
Verb = Literal[
    "used",
    "trained",
    "retrained",
    "sealed",
    "signed",
    "registered",
    "promoted",
    "released",
    "tried",
    "served",
    "began",
    "ended",
    "agreed",
    "approved",
    "exempted",
    "cleared",
    "took_back",
    "restored",
    "lifted",
    "asked",
    "declined",
]
WHO: frozenset[Kind] = frozenset[Kind](("person", "function"))
"""The kinds of nodes that do something."""


@dataclass(frozen=True)
class Node:
    """A thing, or who did something.

    Attributes:
        id: Another one for each.
        kind: What it is.
        label: What a person calls it.
        at: When it came to be; empty when that is not known, or means nothing.
        facts: What is known of it, as JSON values.
    """

    id: str
    kind: Kind
    label: str
    at: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Edge:
    """What led from one node to another.

    Attributes:
        source: The id of the node that was first.
        target: The id of the node that came of it.
        kind: What happened.
        at: When, or from when on; empty when nobody knows.
        until: Until when; empty for now, and for what takes no time.
        why: The reason, in words; empty where there is none.
    """

    source: str
    target: str
    kind: Verb
    at: str = ""
    until: str = ""
    why: str = ""


@dataclass(frozen=True)
class Graph:
    """All that led to a package, and all that came of it.

    Attributes:
        package: Its digest, `sha256:<hex>`.
        nodes: Each once.
        edges: In order of time where they have one.
        unread: What could not be looked at, and why, a sentence each.
    """

    package: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    unread: tuple[str, ...] = ()

    def node(self, id_: str) -> Node:
        """The node of an id.

        Raises:
            KeyError: There is none.
        """
        for node in self.nodes:
            if node.id == id_:
                return node
        raise KeyError(id_)

    def of(self, *kinds: Kind) -> tuple[Node, ...]:
        """The nodes of some kinds."""
        return tuple(node for node in self.nodes if node.kind in kinds)

    def into(self, node: Node) -> tuple[Edge, ...]:
        """The edges that end at a node."""
        return tuple(edge for edge in self.edges if edge.target == node.id)

    def out_of(self, node: Node) -> tuple[Edge, ...]:
        """The edges that begin at a node."""
        return tuple(edge for edge in self.edges if edge.source == node.id)

    def as_dict(self) -> dict[str, Any]:
        """The graph as plain JSON values; docs/explanation/provenance.md describes them."""
        return {
            "package": self.package,
            "nodes": [asdict(node) for node in self.nodes],
            "edges": [asdict(edge) for edge in self.edges],
            "unread": list(self.unread),
        }
