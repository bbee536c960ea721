"""A lineage as text: what led to the package above, and what came of it below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rich.text import Text
from rich.tree import Tree

from modelstack.cli.view.times import when
from modelstack.records.lineage.graph import ACTORS, DIGITS, Edge, Graph, Kind, Node, Verb

_SHOWN: Mapping[Kind, tuple[str, ...]] = {
    "data": ("sha256", "bytes", "source"),
    "commit": ("dirty", "remote"),
    "locks": ("sha256",),
    "recipe": ("python", "format"),
    "training": ("run", "trained_on", "retrained_through"),
    "key": ("verified",),
    "version": ("release", "approval", "why"),
}
"""The facts shown in a line; all of them for parameters. JSON has the others."""
_HEX = re.compile("[0-9a-f]{64}")


def tree(graph: Graph) -> Tree:
    """The whole graph as a tree, with the actors of each node."""
    package = graph.node(graph.package)
    root = Tree(Text(graph.package, "bold"))
    made, gone = root.add("came from"), root.add("went to")
    _deeds(root, graph, package)
    for edge in graph.into(package):
        _up(made, graph, edge)
    for edge in graph.out_of(package):
        _down(gone, graph, edge)
    if not gone.children:
        gone.add("no version is registered")
    for reason in graph.unread:
        root.add(Text(f"not looked at: {_in_line(reason)}"))
    return root


def when_and_why(edge: Edge) -> str:
    """The time and reason that end a line; empty when unknown."""
    span = edge.kind in {Verb.SERVED, Verb.TRIED} and edge.at
    at, until = (when(time) if time else "" for time in (edge.at, edge.until))
    told = f"from {at} until {until or 'now'}" if span else at
    if edge.kind is Verb.SERVED and not edge.at:
        told = "since before anything was recorded"
    return "".join((f", {told}" if told else "", f": {_in_line(edge.why)}" if edge.why else ""))


def _up(tree: Tree, graph: Graph, edge: Edge) -> None:
    node = graph.node(edge.source)
    if node.kind in ACTORS:
        return
    branch = tree.add(_line(edge.kind.backward, node, ""))
    _deeds(branch, graph, node)
    for one in graph.into(node):
        _up(branch, graph, one)


def _down(tree: Tree, graph: Graph, edge: Edge) -> None:
    node = graph.node(edge.target)
    if node.kind == "training":
        return  # of another package
    branch = tree.add(_line(edge.kind.backward, node, when_and_why(edge)))
    if node.kind == "endpoint":
        return
    _deeds(branch, graph, node)
    for one in graph.out_of(node):
        _down(branch, graph, one)


def _deeds(tree: Tree, graph: Graph, node: Node) -> None:
    for edge, actor in graph.deeds(node):
        tree.add(Text.assemble(edge.kind.by, " ", (_in_line(actor.label), "bold"), when_and_why(edge)))


def _line(words: str, node: Node, when: str) -> Text:
    known = ", ".join(_facts(node))
    return Text.assemble(words, " ", (_in_line(node.label), "bold"), when, (f" ({known})" if known else "", "dim"))


def _facts(node: Node) -> Iterator[str]:
    shown = node.facts if node.kind == "parameters" else _SHOWN.get(node.kind, ())
    for name in shown:
        value = node.facts.get(name)
        if value is None or value in ("", {}):
            continue
        if name == "verified":
            yield "verified" if value else "not verified here"
            continue
        text = " ".join(f"{one} {item}" for one, item in value.items()) if isinstance(value, dict) else str(value)
        text = _in_line(text)
        yield f"{name.replace('_', ' ')} {text[:DIGITS] if _HEX.fullmatch(text) else text}"


def _in_line(text: str) -> str:
    """A person's text without line breaks, which could imitate a part of the tree."""
    return " ".join(text.split())
