"""Metric data queries: what `GetMetricData` and the alarms ask of the store, metric math included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.cloudwatch import statistics
from localcloud.cloudwatch.distribution import Distribution
from localcloud.cloudwatch.errors import validation_error
from localcloud.cloudwatch.expressions import ExpressionError, Node, parse, references
from localcloud.cloudwatch.metric_math import evaluate
from localcloud.cloudwatch.statistics import Statistic
from localcloud.cloudwatch.store import MINUTE, MetricKey, Window
from localcloud.cloudwatch.timeseries import Scope, Series, Value

SUB_MINUTE = (1, 5, 10, 20, 30)
"""Periods under a minute that may be read, in seconds."""
_ID = re.compile("[a-z][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class MetricQuery:
    """A statistic of a metric by period."""

    id: str
    key: MetricKey
    period: int
    statistic: Statistic
    unit: str | None
    label: str
    returned: bool

    def window(self, start: int, count: int) -> Window:
        """What to read for `count` periods from `start` on."""
        return Window(self.key, start, self.period, count, self.unit, self.statistic.needs_values)


@dataclass(frozen=True)
class ExpressionQuery:
    """A metric math expression over other queries; `labelled` when its label was given and is not just its id."""

    id: str
    text: str
    node: Node
    label: str
    returned: bool
    labelled: bool = True


Query = MetricQuery | ExpressionQuery


def metric_key(namespace: str, name: str, dimensions: Sequence[Mapping[str, str]]) -> MetricKey:
    """The identity of a metric out of a request's members.

    Raises:
        CloudWatchError: A dimension comes twice.
    """
    pairs = sorted((dimension["Name"], dimension["Value"]) for dimension in dimensions)
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise validation_error(f"the dimensions {names} name one of them twice")
    return MetricKey(namespace, name, tuple(pairs))


def parse_statistic(name: str) -> Statistic:
    """Read the name of a statistic.

    Raises:
        CloudWatchError: There is none of that name.
    """
    try:
        return statistics.parse(name)
    except ValueError as error:
        raise validation_error(str(error)) from None


def check_period(period: int, what: str = "Period") -> None:
    """Check the length of a period that data are read by.

    Raises:
        CloudWatchError: It is not 1, 5, 10, 20, 30 or a multiple of 60.
    """
    if period not in SUB_MINUTE and (period <= 0 or period % MINUTE):
        raise validation_error(f"{what} {period} is not 1, 5, 10, 20, 30 or a multiple of 60")


def parse_queries(entries: Sequence[Mapping[str, Any]]) -> tuple[Query, ...]:
    """Read `MetricDataQueries` of a request, or the `Metrics` of an alarm.

    Raises:
        CloudWatchError: A query has a bad or repeated id, neither or both of statistic and expression, an expression
            that does not parse, or one that refers to a query that is not there.
    """
    queries = tuple(_query(entry) for entry in entries)
    ids = [query.id for query in queries]
    for one in ids:
        if ids.count(one) > 1:
            raise validation_error(f"the id {one!r} is used by more than one query")
    for query in queries:
        if isinstance(query, ExpressionQuery):
            unknown = [name for name in references(query.node) if name.islower() and name not in ids]
            if unknown:
                raise validation_error(
                    f"the expression of {query.id!r} refers to {unknown[0]!r}, which is no query's id"
                )
    return queries


def _query(entry: Mapping[str, Any]) -> Query:
    name = entry["Id"]
    if not _ID.fullmatch(name):
        raise validation_error(
            f"the id {name!r} does not start with a lower-case letter or has other than letters, digits, _"
        )
    if ("MetricStat" in entry) == ("Expression" in entry):
        raise validation_error(f"the query {name!r} must have either MetricStat or Expression")
    if entry.get("AccountId"):
        raise validation_error(f"the query {name!r} has AccountId; the metrics of other accounts are not supported")
    returned = entry.get("ReturnData", True)
    if "Expression" in entry:
        text = entry["Expression"]
        try:
            node = parse(text)
        except ExpressionError as error:
            raise validation_error(f"the expression of {name!r} cannot be read: {error}") from None
        label = entry.get("Label")
        return ExpressionQuery(name, text, node, label or name, returned, labelled=bool(label))
    stat = entry["MetricStat"]
    metric = stat["Metric"]
    if "Namespace" not in metric or "MetricName" not in metric:
        raise validation_error(f"the metric of {name!r} must have Namespace and MetricName")
    check_period(stat["Period"], f"Period of {name!r}")
    return MetricQuery(
        name,
        metric_key(metric["Namespace"], metric["MetricName"], metric.get("Dimensions", [])),
        stat["Period"],
        parse_statistic(stat["Stat"]),
        stat.get("Unit"),
        entry.get("Label") or metric["MetricName"],
        returned,
    )


def metric_queries(queries: Sequence[Query]) -> Iterator[MetricQuery]:
    """Those of the queries that read the store."""
    return (query for query in queries if isinstance(query, MetricQuery))


def compute(
    queries: Sequence[Query], read: Mapping[str, tuple[int, Sequence[Distribution]]]
) -> dict[str, Value | ExpressionError]:
    """Compute the results of queries.

    Args:
        queries: As `parse_queries` gave them.
        read: By the id of each metric query: start of the first period, and the distribution of each period.

    Returns:
        By id: a series, several, a scalar, or why an expression has no result.
    """
    results: dict[str, Value] = {}
    for query in metric_queries(queries):
        start, distributions = read[query.id]
        results[query.id] = _series(query, start, distributions)
    grids = [(query.period, *read[query.id]) for query in metric_queries(queries)]
    grid: range = range(0)
    if grids:
        period, start, distributions = max(grids, key=lambda one: one[0])
        grid = range(start, start + period * len(distributions), period)
    return _Resolver(queries, grid, results).all()


def _series(query: MetricQuery, start: int, distributions: Sequence[Distribution]) -> Series:
    values = {}
    for position, distribution in enumerate(distributions):
        value = query.statistic.of(distribution)
        if value is not None:
            values[start + position * query.period] = value
    return Series(values, query.period, query.label, query.id, is_metric=True)


class _Resolver:
    """Expressions, each after those that it refers to."""

    def __init__(self, queries: Sequence[Query], grid: Sequence[int], results: dict[str, Value]) -> None:
        self._expressions = {query.id: query for query in queries if isinstance(query, ExpressionQuery)}
        self._grid = grid
        self._results: dict[str, Value | ExpressionError] = {**results}
        self._order = [query.id for query in queries]
        self._open: list[str] = []

    def all(self) -> dict[str, Value | ExpressionError]:
        for name in self._expressions:
            self._resolve(name)
        return {name: self._results[name] for name in self._order}

    def _resolve(self, name: str) -> Value | ExpressionError:
        if name in self._results:
            return self._results[name]
        if name in self._open:
            return ExpressionError(f"the expression {name!r} refers to itself by way of {', '.join(self._open)}")
        self._open.append(name)
        self._results[name] = outcome = self._evaluated(self._expressions[name])
        self._open.pop()
        return outcome

    def _evaluated(self, query: ExpressionQuery) -> Value | ExpressionError:
        for reference in references(query.node):
            if reference in self._expressions:
                outcome = self._resolve(reference)
                if isinstance(outcome, ExpressionError):
                    return outcome
        known = {
            name: result
            for name in self._order
            if not isinstance(result := self._results.get(name, ExpressionError()), ExpressionError)
        }
        try:
            return evaluate(query.node, Scope(self._grid, known))
        except ExpressionError as error:
            return error
