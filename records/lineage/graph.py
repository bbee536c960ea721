"""A graph of things and people, and what led from one to the other.

    graph.into(node), graph.out_of(node), graph.as_dict()

An edge goes from what was first to what came of it, and from a person to what they did it to. Times are ISO 8601, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
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
ACTORS: frozenset[Kind] = frozenset[Kind](("person", "function"))
"""The kinds of nodes that do something."""
DIGITS = 12
"""Of a digest, for a person."""


class Verb(StrEnum):
    """What led from one node to another.

    Attributes:
        backward: How an edge is read from its target to its source; of what somebody did, from the object to the actor.
        forward: How it is read from its source to its target.
        by: How it is read from the object to the actor, if somebody did it.
    """

    backward: str
    forward: str
    by: str

    USED = "used", "made of", "used in"
    TRAINED = "trained", "from", "trained in"
    RETRAINED = "retrained", "held against, and trained in place of,", "held against, and replaced, in"
    SEALED = "sealed", "sealed by", "sealed as"
    SIGNED = "signed", "signed by", "signed"
    REGISTERED = "registered", "registered as", "", "registered by"
    PROMOTED = "promoted", "promoted to", "", "taken by"
    RELEASED = "released", "released in"
    TRIED = "tried", "on trial on"
    SERVED = "served", "served on"
    BEGAN = "began", "begun by"
    ENDED = "ended", "ended by"
    AGREED = "agreed", "agreed to by"
    APPROVED = "approved", "approved by"
    EXEMPTED = "exempted", "let past its trial by"
    CLEARED = "cleared", "cleared by"
    TOOK_BACK = "took_back", "taken back by"
    RESTORED = "restored", "asked to serve again by"
    LIFTED = "lifted", "asked for no more by"
    ASKED = "asked", "asked for by"
    DECLINED = "declined", "declined by"

    def __new__(cls, value: str, backward: str, forward: str = "", by: str = "") -> Verb:
        """A verb with its readings; those that are left out are the first one."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.backward, made.forward, made.by = backward, forward or backward, by or backward
        return made


@dataclass(frozen=True)
class Node:
    """A thing, or who did something.

    Attributes:
        id: Another one for each.
        kind: What it is.
        label: What a person calls it.
        at: When it came to be; empty when that is not known, or means nothing.
        facts: What is known about it, as JSON values.
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
        at: When, or from when on; empty when that is not known.
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

    def into(self, node: Node, *kinds: Verb) -> tuple[Edge, ...]:
        """The edges that end at a node; of some kinds, if any are named."""
        return tuple(edge for edge in self.edges if edge.target == node.id and (not kinds or edge.kind in kinds))

    def out_of(self, node: Node, *kinds: Verb) -> tuple[Edge, ...]:
        """The edges that begin at a node; of some kinds, if any are named."""
        return tuple(edge for edge in self.edges if edge.source == node.id and (not kinds or edge.kind in kinds))

    def sources(self, node: Node, kind: Verb) -> tuple[Node, ...]:
        """The things at the other end of a node's edges of a kind; no people and functions."""
        found = (self.node(edge.source) for edge in self.into(node, kind))
        return tuple(one for one in found if one.kind not in ACTORS)

    def deeds(self, node: Node) -> tuple[tuple[Edge, Node], ...]:
        """What people and functions did to a node, each with who did it."""
        found = ((edge, self.node(edge.source)) for edge in self.into(node))
        return tuple((edge, actor) for edge, actor in found if actor.kind in ACTORS)

    def as_dict(self) -> dict[str, Any]:
        """The graph as plain JSON values; docs/explanation/provenance.md describes them."""
        return asdict(self)
