"""SEARCH in metric math: which metrics it finds, and the queries that take its place.

    SEARCH('{AWS/SageMaker,EndpointName,VariantName} MetricName="Invocations" EndpointName="e"', 'Sum', 60)

Braces name a namespace and all dimensions that a metric has. Terms beside each other must all hold; `OR`, `NOT` and
parentheses are known. `key="value"` is exact, `"value"` exactly any property's value, and a bare word a part of one.
A label with `${PROP('Dim.VariantName')}`, `${PROP('MetricName')}` or `${PROP('Namespace')}` tells it of each metric.

Source: Amazon CloudWatch User Guide, "CloudWatch search expression syntax" and "Use dynamic labels".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from localcloud.cloudwatch import statistics
from localcloud.cloudwatch.expressions import (
    Array,
    ExpressionError,
    Function,
    Negation,
    Node,
    Number,
    Operation,
    Reference,
    Text,
)
from localcloud.cloudwatch.queries import ExpressionQuery, MetricQuery, Query
from localcloud.cloudwatch.store import MetricKey
from localcloud.cloudwatch.timeseries import HIDDEN

_MOST = 100
"""Metrics that one search finds, as on AWS."""
_PERIOD = 300
_SCHEMA = re.compile(r"\s*\{([^}]*)\}")
_TOKEN = re.compile(
    r'\s*(?:(?P<sign>[()])|(?P<key>[\w./:-]+)\s*=\s*(?:"(?P<exact>[^"]*)"|(?P<part>[\w./:-]+))'
    r'|"(?P<any>[^"]*)"|(?P<word>[\w./:-]+))'
)
_PROPERTY = re.compile(r"\$\{PROP\('(?:Dim\.(?P<dimension>[^']+)|(?P<own>MetricName|Namespace))'\)\}")

Matches = Callable[[MetricKey], bool]


def expanded(queries: Sequence[Query], metrics: Iterable[MetricKey]) -> tuple[Query, ...]:
    """Queries with every search replaced by an array of the metrics that it finds, which are read beside the others.

    Raises:
        ExpressionError: A search cannot be read.
    """
    known: list[MetricKey] | None = None
    made: list[Query] = []
    for query in queries:
        if not isinstance(query, ExpressionQuery) or "SEARCH" not in query.text:
            made.append(query)
            continue
        known = list(metrics) if known is None else known
        hidden: list[MetricQuery] = []
        node = _replaced(query.node, query.id, known, hidden)
        if _PROPERTY.search(query.label) and isinstance(query.node, Function) and query.node.name == "SEARCH":
            hidden = [replace(item, label=_described(query.label, item.key)) for item in hidden]
            query = replace(query, labelled=False)  # noqa: PLW2901 - its label is now that of each metric
        made += [*hidden, replace(query, node=node)]
    return tuple(made)


def _described(label: str, key: MetricKey) -> str:
    """A dynamic label, of one metric; a dimension that it does not have is empty."""
    known = dict(_properties(key))
    return _PROPERTY.sub(lambda found: known.get(found["dimension"] or found["own"], ""), label)


def _replaced(node: Node, name: str, known: Sequence[MetricKey], made: list[MetricQuery]) -> Node:
    def inside(part: Node) -> Node:
        return _replaced(part, name, known, made)

    if isinstance(node, Function) and node.name == "SEARCH":
        found = _search(node, f"{name}{HIDDEN}{len(made)}", known)
        made += found
        return Array(tuple(Reference(query.id) for query in found))
    if isinstance(node, Function):
        return replace(node, arguments=tuple(map(inside, node.arguments)))
    if isinstance(node, Array):
        return Array(tuple(map(inside, node.items)))
    if isinstance(node, Negation):
        return Negation(inside(node.operand))
    if isinstance(node, Operation):
        return replace(node, left=inside(node.left), right=inside(node.right))
    return node


def _search(node: Function, name: str, known: Sequence[MetricKey]) -> list[MetricQuery]:
    text, statistic, period = _arguments(node)
    matches = parse(text)
    found = [key for key in known if matches(key)][:_MOST]
    labels = _labels(found)
    return [
        MetricQuery(f"{name}{HIDDEN}{number}", key, period, statistic, None, label, returned=False)
        for number, (key, label) in enumerate(zip(found, labels, strict=True))
    ]


def _arguments(node: Function) -> tuple[str, statistics.Statistic, int]:
    given = node.arguments
    if not (2 <= len(given) <= 3 and isinstance(given[0], Text) and isinstance(given[1], Text)):
        raise ExpressionError("SEARCH takes a search in quotes, a statistic in quotes, and a period")
    period = given[2].value if len(given) == 3 and isinstance(given[2], Number) else _PERIOD
    if len(given) == 3 and not isinstance(given[2], Number):
        raise ExpressionError("SEARCH: the period must be a number of seconds")
    if period not in (1, 5, 10, 20, 30) and (period <= 0 or period % 60):
        raise ExpressionError(f"SEARCH: the period {period:g} is not 1, 5, 10, 20, 30 or a multiple of 60")
    try:
        return given[0].value, statistics.parse(given[1].value), int(period)
    except ValueError as error:
        raise ExpressionError(f"SEARCH: {error}") from None


def _labels(found: Sequence[MetricKey]) -> list[str]:
    """What tells each from the others: name and dimensions that they do not share; of a single one, its name."""
    described = [(key.name, *(value for _, value in key.dimensions)) for key in found]
    if len(found) < 2 or len({len(parts) for parts in described}) > 1:
        return [" ".join(parts) if len(found) > 1 else parts[0] for parts in described]
    varies = [len(set(parts)) > 1 for parts in zip(*described, strict=True)]
    return [" ".join(part for part, other in zip(parts, varies, strict=True) if other) for parts in described]


def parse(text: str) -> Matches:
    """Read the text of a search.

    Raises:
        ExpressionError: It does not follow the grammar.
    """
    schema = _SCHEMA.match(text)
    terms = _Terms(text, schema.end() if schema else 0).whole()
    if schema is None:
        return terms
    namespace, *dimensions = [part.strip().strip('"') for part in schema[1].split(",")]

    def matches(key: MetricKey) -> bool:
        return key.namespace == namespace and {name for name, _ in key.dimensions} == set(dimensions) and terms(key)

    return matches


def _properties(key: MetricKey) -> list[tuple[str, str]]:
    return [("Namespace", key.namespace), ("MetricName", key.name), *key.dimensions]


@dataclass
class _Terms:
    """The terms of a search, read from the left: OR is looser than AND, NOT is the tightest."""

    text: str
    position: int

    def whole(self) -> Matches:
        if not self.text[self.position :].strip():
            return lambda _: True
        found = self.either()
        if self.text[self.position :].strip():
            raise self.unexpected()
        return found

    def peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self.text, self.position)

    def taken(self, word: str) -> bool:
        token = self.peek()
        if token is None or (token["sign"] or token["word"]) != word:
            return False
        self.position = token.end()
        return True

    def unexpected(self) -> ExpressionError:
        rest = self.text[self.position :].strip()
        return ExpressionError(
            f"SEARCH: {self.text!r}: unexpected {rest[:1]!r}" if rest else "SEARCH: a term is missing"
        )

    def either(self) -> Matches:
        options = [self.every()]
        while self.taken("OR"):
            options.append(self.every())
        return lambda key: any(matches(key) for matches in options)

    def every(self) -> Matches:
        wanted = [self.term()]
        while self.taken("AND") or ((token := self.peek()) and token["sign"] != ")" and token["word"] != "OR"):
            wanted.append(self.term())
        return lambda key: all(matches(key) for matches in wanted)

    def term(self) -> Matches:
        if self.taken("NOT"):
            refused = self.term()
            return lambda key: not refused(key)
        if self.taken("("):
            inner = self.either()
            if not self.taken(")"):
                raise self.unexpected()
            return inner
        token = self.peek()
        if token is None or token["sign"]:
            raise self.unexpected()
        self.position = token.end()
        return _one(token)


def _one(token: re.Match[str]) -> Matches:
    name, exact = token["key"], token["any"] if token["exact"] is None else token["exact"]
    part = (token["part"] or token["word"] or "").lower()

    def matches(key: MetricKey) -> bool:
        values = [value for known, value in _properties(key) if name is None or known == name]
        return any(value == exact if exact is not None else part in value.lower() for value in values)

    return matches
