"""Metric math as text: from `SUM(METRICS("5xx")) / m1 * 100` to a tree.

Operators, loosest first: `OR ||`, `AND &&`, `== != < <= > >=`, `+ -`, `* /`, unary `-`, `^` (to the right).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>()\[\],]))"
)
_MAX_DEPTH = 50
_LEVELS: tuple[dict[str, str], ...] = (
    {"OR": "or", "||": "or"},
    {"AND": "and", "&&": "and"},
    {sign: sign for sign in ("==", "!=", "<=", ">=", "<", ">")},
    {"+": "+", "-": "-"},
    {"*": "*", "/": "/"},
)


class ExpressionError(ValueError):
    """An expression that has no meaning here; the text says where and what was expected."""


@dataclass(frozen=True)
class Number:
    """A scalar."""

    value: float


@dataclass(frozen=True)
class Text:
    """A quoted string."""

    value: str


@dataclass(frozen=True)
class Reference:
    """The id of another query; or, as an argument of a function, a keyword such as `REPEAT`."""

    name: str


@dataclass(frozen=True)
class Array:
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Negation:
    """`-a`."""

    operand: Node


@dataclass(frozen=True)
class Operation:
    """`a + b` and the like; `sign` is one of `+ - * / ^ == != < <= > >= and or`."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Function:
    """`NAME(arguments)`."""

    name: str
    arguments: tuple[Node, ...]


Node = Number | Text | Reference | Array | Negation | Operation | Function


def parse(text: str) -> Node:
    """Read an expression.

    Raises:
        ExpressionError: It does not follow the grammar.
    """
    if re.match(r"\s*SELECT\b", text):
        raise ExpressionError("Metrics Insights queries (SELECT ...) are not supported by the local CloudWatch")
    return _Parser(text).whole()


def references(node: Node) -> Iterator[str]:
    """The names that an expression refers to, keywords among them."""
    if isinstance(node, Reference):
        yield node.name
    elif isinstance(node, Array):
        for item in node.items:
            yield from references(item)
    elif isinstance(node, Function):
        for argument in node.arguments:
            yield from references(argument)
    elif isinstance(node, Negation):
        yield from references(node.operand)
    elif isinstance(node, Operation):
        yield from references(node.left)
        yield from references(node.right)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.next = 0
        self.depth = 0

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        position, end = 0, len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None or match.lastgroup is None:
                raise ExpressionError(f"{self.text!r}: unexpected {self.text[position:].strip()[:1]!r} at {position}")
            yield match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
            position = match.end()

    def whole(self) -> Node:
        node = self.binary(0)
        if self.next < len(self.tokens):
            raise self.unexpected("an operator or the end")
        return node

    def peek(self) -> str | None:
        if self.next >= len(self.tokens) or self.tokens[self.next][0] == "text":
            return None
        return self.tokens[self.next][1]

    def take(self, sign: str) -> None:
        if self.peek() != sign:
            raise self.unexpected(repr(sign))
        self.next += 1

    def unexpected(self, wanted: str) -> ExpressionError:
        if self.next >= len(self.tokens):
            return ExpressionError(f"{self.text!r} ends where {wanted} was expected")
        _, found, position = self.tokens[self.next]
        return ExpressionError(f"{self.text!r}: expected {wanted} at {position}, found {found!r}")

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        node = self.binary(level + 1)
        while (sign := _LEVELS[level].get(self.peek() or "")) is not None:
            self.next += 1
            node = Operation(sign, node, self.binary(level + 1))
        return node

    def unary(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ExpressionError(f"the expression is nested more than {_MAX_DEPTH} deep")
        if self.peek() == "-":
            self.next += 1
            node: Node = Negation(self.unary())
        else:
            node = self.atom()
            if self.peek() == "^":
                self.next += 1
                node = Operation("^", node, self.unary())
        self.depth -= 1
        return node

    def atom(self) -> Node:
        if self.next >= len(self.tokens):
            raise self.unexpected("a value")
        kind, found, _ = self.tokens[self.next]
        self.next += 1
        if kind == "number":
            return Number(float(found))
        if kind == "text":
            return Text(found[1:-1])
        if kind == "name":
            return Function(found, self.items(")")) if self.peek() == "(" else Reference(found)
        self.next -= 1
        if found == "[":
            return Array(self.items("]"))
        if found == "(":
            self.next += 1
            node = self.binary(0)
            self.take(")")
            return node
        raise self.unexpected("a value")

    def items(self, closing: str) -> tuple[Node, ...]:
        self.next += 1
        items: list[Node] = []
        if self.peek() != closing:
            items.append(self.binary(0))
            while self.peek() == ",":
                self.next += 1
                items.append(self.binary(0))
        self.take(closing)
        return tuple(items)
