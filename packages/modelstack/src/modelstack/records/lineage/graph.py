"""A graph of artifacts and people, with edges from cause to result and from actor to object; times are ISO 8601."""

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
ACTORS: frozenset[Kind] = frozenset[Kind](("person", "function"))  # the kinds of nodes that act
DIGITS = 12  # of a digest, for a person


class Verb(StrEnum):
    """The kind of an edge, with its text from target to source, from source to target, and from object to actor."""

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
        """A verb with its texts; omitted ones are the first."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.backward, made.forward, made.by = backward, forward or backward, by or backward
        return made


@dataclass(frozen=True)
class Node:
    """An artifact or an actor; `at` is empty when unknown or meaningless, `facts` are JSON values."""

    id: str
    kind: Kind
    label: str
    at: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Edge:
    """A step from one node to another; `at` and `until` are empty when unknown, `until` also for now."""

    source: str
    target: str
    kind: Verb
    at: str = ""
    until: str = ""
    why: str = ""


@dataclass(frozen=True)
class Graph:
    """Everything that led to a package, and that followed from it. `unread` are sentences on what could not be read."""

    package: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    unread: tuple[str, ...] = ()

    def node(self, id_: str) -> Node:
        """The node of an id; KeyError if there is none."""
        for node in self.nodes:
            if node.id == id_:
                return node
        raise KeyError(id_)

    def of(self, *kinds: Kind) -> tuple[Node, ...]:
        """The nodes of some kinds."""
        return tuple(node for node in self.nodes if node.kind in kinds)

    def into(self, node: Node, *kinds: Verb) -> tuple[Edge, ...]:
        """The edges that end at a node, of some kinds or all."""
        return tuple(edge for edge in self.edges if edge.target == node.id and (not kinds or edge.kind in kinds))

    def out_of(self, node: Node, *kinds: Verb) -> tuple[Edge, ...]:
        """The edges that begin at a node, of some kinds or all."""
        return tuple(edge for edge in self.edges if edge.source == node.id and (not kinds or edge.kind in kinds))

    def sources(self, node: Node, kind: Verb) -> tuple[Node, ...]:
        """The artifacts at the other end of a node's incoming edges of a kind."""
        found = (self.node(edge.source) for edge in self.into(node, kind))
        return tuple(one for one in found if one.kind not in ACTORS)

    def deeds(self, node: Node) -> tuple[tuple[Edge, Node], ...]:
        """The actions on a node, each with its actor."""
        found = ((edge, self.node(edge.source)) for edge in self.into(node))
        return tuple((edge, actor) for edge, actor in found if actor.kind in ACTORS)

    def as_dict(self) -> dict[str, Any]:
        """The graph as plain JSON values; docs/explanation/provenance.md describes them."""
        return asdict(self)
