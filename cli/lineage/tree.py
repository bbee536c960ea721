"""A lineage as text: what led to the package above, and what came of it below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rich.text import Text
from rich.tree import Tree

from cli.lineage.graph import WHO, Edge, Graph, Kind, Node, Verb
from cli.lineage.making import DIGITS

_WORDS: Mapping[Verb, str] = {
    "used": "made of",
    "trained": "from",
    "retrained": "held against, and trained in place of,",
    "sealed": "sealed by",
    "signed": "signed by",
    "registered": "registered as",
    "promoted": "promoted to",
    "released": "released in",
    "tried": "on trial on",
    "served": "served on",
    "began": "begun by",
    "ended": "ended by",
    "agreed": "agreed to by",
    "approved": "approved by",
    "exempted": "let past its trial by",
    "cleared": "cleared by",
    "took_back": "taken back by",
    "restored": "asked to serve again by",
    "lifted": "asked for no more by",
    "asked": "asked for by",
    "declined": "declined by",
}
"""How an edge is read; of what somebody did, from the thing to who did it."""
_SHOWN: Mapping[Kind, tuple[str, ...]] = {
    "data": ("sha256", "bytes", "source"),
    "commit": ("dirty", "remote"),
    "locks": ("sha256",),
    "recipe": ("python", "format"),
    "training": ("run", "trained_on", "retrained_through"),
    "key": ("verified",),
    "version": ("release", "approval", "why"),
}
"""The facts that a line has room for; of parameters it is all of them. JSON has the others."""
_HEX = re.compile("[0-9a-f]{64}")
_ONWARD: Mapping[Verb, str] = {
    "used": "used in",
    "trained": "trained in",
    "retrained": "held against, and replaced, in",
    "sealed": "sealed as",
    "signed": "signed",
}
"""How an edge to what was made is read from what was first on; `_WORDS` has it the other way round."""
_PEOPLE: Mapping[Verb, str] = {"registered": "registered by", "promoted": "taken by"}


def tree(graph: Graph) -> Tree:
    """The whole graph as a tree: each thing under what it came of, with who did something to it."""
    package = graph.node(graph.package)
    root = Tree(Text(graph.package, "bold"))
    made, gone = root.add("came from"), root.add("went to")
    _people(root, graph, package)
    for edge in graph.into(package):
        _up(made, graph, edge)
    for edge in graph.out_of(package):
        _down(gone, graph, edge)
    if not gone.children:
        gone.add("no version is registered")
    for said in graph.unread:
        root.add(Text(f"not looked at: {_in_line(said)}"))
    return root


def told(edge: Edge) -> str:
    """When, and why, as a line ends; empty where nothing is known."""
    when = f"from {edge.at} until {edge.until or 'now'}" if edge.kind in {"served", "tried"} and edge.at else edge.at
    if edge.kind == "served" and not edge.at:
        when = "since before anything was recorded"
    return "".join((f", {when}" if when else "", f": {_in_line(edge.why)}" if edge.why else ""))


def by(edge: Edge) -> str:
    """How what somebody did is read."""
    return _PEOPLE.get(edge.kind, _WORDS[edge.kind])


def onward(edge: Edge) -> str:
    """How an edge is read from its source to its target."""
    return _ONWARD.get(edge.kind, _WORDS[edge.kind])


def facts(node: Node) -> str:
    """What is known of a node, in a line."""
    return ", ".join(_facts(node))


def _up(tree: Tree, graph: Graph, edge: Edge) -> None:
    node = graph.node(edge.source)
    if node.kind in WHO:
        return
    branch = tree.add(_line(_WORDS[edge.kind], node, ""))
    _people(branch, graph, node)
    for one in graph.into(node):
        _up(branch, graph, one)


def _down(tree: Tree, graph: Graph, edge: Edge) -> None:
    node = graph.node(edge.target)
    if node.kind == "training":
        return  # of another package
    branch = tree.add(_line(_WORDS[edge.kind], node, told(edge)))
    if node.kind == "endpoint":
        return
    _people(branch, graph, node)
    for one in graph.out_of(node):
        _down(branch, graph, one)


def _people(tree: Tree, graph: Graph, node: Node) -> None:
    for edge in graph.into(node):
        who = graph.node(edge.source)
        if who.kind in WHO:
            tree.add(Text.assemble(by(edge), " ", (_in_line(who.label), "bold"), told(edge)))


def _line(words: str, node: Node, when: str) -> Text:
    known = f" ({found})" if (found := facts(node)) else ""
    return Text.assemble(words, " ", (_in_line(node.label), "bold"), when, (known, "dim"))


def _facts(node: Node) -> Iterator[str]:
    shown = node.facts if node.kind == "parameters" else _SHOWN.get(node.kind, ())
    for name in shown:
        value = node.facts.get(name)
        if value is None or value in ("", {}):
            continue
        if name == "verified":
            yield "verified" if value else "not verified here"
            continue
        given = " ".join(f"{one} {item}" for one, item in value.items()) if isinstance(value, dict) else str(value)
        text = _in_line(given)
        yield f"{name.replace('_', ' ')} {text[:DIGITS] if _HEX.fullmatch(text) else text}"


def _in_line(text: str) -> str:
    """What somebody wrote, without the lines by which it could look like a part of the tree."""
    return " ".join(text.split())
