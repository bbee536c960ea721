"""PutMetricData, GetMetricData, GetMetricStatistics, ListMetrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.cloudwatch import paging
from localcloud.cloudwatch.distribution import Distribution
from localcloud.cloudwatch.errors import (
    invalid_combination,
    invalid_value,
    missing_parameter,
    validation_error,
)
from localcloud.cloudwatch.expressions import ExpressionError
from localcloud.cloudwatch.queries import (
    SUB_MINUTE,
    ExpressionQuery,
    Query,
    compute,
    metric_key,
    metric_queries,
    parse_queries,
    parse_statistic,
)
from localcloud.cloudwatch.search import expanded
from localcloud.cloudwatch.statistics import SIMPLE
from localcloud.cloudwatch.store import MINUTE, MetricKey, MetricStore, Window
from localcloud.cloudwatch.timeseries import HIDDEN, Series
from localcloud.server.platform import Clock

_OLDEST, _NEWEST = 14 * 86400, 2 * 3600
_LARGEST = 2.0**360
_MAX_DATA, _MAX_VALUES = 1000, 150
_MAX_POINTS, _MAX_QUERIES, _MAX_STATISTICS_POINTS = 100_800, 500, 1440
_LIST_PAGE = 500
_RECENT = 3 * 3600
Request = Mapping[str, Any]


class MetricOperations:
    """The operations on metric data."""

    def __init__(self, store: MetricStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def put_metric_data(self, request: Request) -> dict[str, Any]:
        """Take data in: all of them or, when one is wrong, none."""
        namespace = request["Namespace"]
        if namespace.startswith("AWS/"):
            raise invalid_value("The value AWS/ for parameter Namespace is invalid: it is reserved for AWS services.")
        if "EntityMetricData" in request or "StrictEntityValidation" in request:
            raise invalid_value("EntityMetricData is not supported by the local CloudWatch; use MetricData")
        data = request.get("MetricData")
        if not data:
            raise missing_parameter("The parameter MetricData is required.")
        if len(data) > _MAX_DATA:
            raise invalid_value(f"MetricData has {len(data)} entries; at most {_MAX_DATA} are allowed")
        now = self._clock.time()
        checked = [
            (
                metric_key(namespace, datum["MetricName"], datum.get("Dimensions", [])),
                _datum(datum, f"MetricData.member.{position}", now),
                datum,
            )
            for position, datum in enumerate(data, 1)
        ]
        for key, timestamp, datum in checked:
            fine = datum.get("StorageResolution", MINUTE) == 1
            self._store.record(key, datum.get("Unit", "None"), timestamp, _adder(datum), fine=fine)
        await self._store.commit()
        return {}

    async def get_metric_data(self, request: Request) -> dict[str, Any]:
        """Results of queries, metric math included."""
        start, end = request["StartTime"], request["EndTime"]
        if start >= end:
            raise validation_error("The parameter StartTime must be less than the parameter EndTime.")
        if len(request["MetricDataQueries"]) > _MAX_QUERIES:
            raise validation_error(f"MetricDataQueries has more than {_MAX_QUERIES} queries")
        limit = request.get("MaxDatapoints", _MAX_POINTS)
        if not 0 < limit <= _MAX_POINTS:
            raise validation_error(f"MaxDatapoints {limit} is not 1 to {_MAX_POINTS}")
        queries = self._found(parse_queries(request["MetricDataQueries"]))
        metrics = list(metric_queries(queries))
        windows = [query.window(*_span(start, end, query.period)) for query in metrics]
        _check_size(windows)
        read = await self._store.read(windows)
        given = {query.id: (window.start, one) for query, window, one in zip(metrics, windows, read, strict=True)}
        # Percentiles over long times take a while, which the other services of the loop must not wait for.
        results = _results(queries, await asyncio.to_thread(compute, queries, given), end)
        if request.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            for result in results:
                result["Timestamps"].reverse()
                result["Values"].reverse()
        return _paged(request, results, limit)

    def _found(self, queries: Sequence[Query]) -> tuple[Query, ...]:
        try:
            return expanded(queries, self._store.metrics())
        except ExpressionError as error:
            raise validation_error(str(error)) from None

    async def get_metric_statistics(self, request: Request) -> dict[str, Any]:
        """Statistics of one metric, by period and unit."""
        period = request["Period"]
        if period not in SUB_MINUTE and period % MINUTE:
            raise invalid_value(f"Period {period} is not 1, 5, 10, 20, 30 or a multiple of 60")
        if request["StartTime"] >= request["EndTime"]:
            raise invalid_value("The parameter StartTime must be less than the parameter EndTime.")
        names = [*request.get("Statistics", []), *request.get("ExtendedStatistics", [])]
        if not names:
            raise missing_parameter("Statistics or ExtendedStatistics must be given")
        start, count = _span(request["StartTime"], request["EndTime"], period)
        if count > _MAX_STATISTICS_POINTS:
            raise invalid_combination(
                f"You have requested up to {count} datapoints, which exceeds the limit of {_MAX_STATISTICS_POINTS}. "
                "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
            )
        key = metric_key(request["Namespace"], request["MetricName"], request.get("Dimensions", []))
        statistics = [parse_statistic(name) for name in names]
        units = [request["Unit"]] if "Unit" in request else self._store.units(key)
        values = any(statistic.needs_values for statistic in statistics)
        read = await self._store.read([Window(key, start, period, count, unit, values) for unit in units])
        points = []
        for unit, distributions in zip(units, read, strict=True):
            for position, distribution in enumerate(distributions):
                if distribution.count > 0:
                    point = {"Timestamp": float(start + position * period), "Unit": unit}
                    of = {statistic.name: statistic.of(distribution) for statistic in statistics}
                    points.append(point | _shown(of))
        return {"Label": request["MetricName"], "Datapoints": points}

    async def list_metrics(self, request: Request) -> dict[str, Any]:
        """Metrics with data in the last two weeks."""
        if "OwningAccount" in request or request.get("IncludeLinkedAccounts"):
            raise invalid_value(
                "OwningAccount and IncludeLinkedAccounts are not supported: each account sees its own metrics"
            )
        since = self._clock.time() - _RECENT if "RecentlyActive" in request else None
        found = [_metric(key) for key in self._store.metrics(since) if _matches(key, request)]
        shown, more = paging.page(request, found, _LIST_PAGE)
        return {"Metrics": list(shown), **more}


def _datum(datum: Request, at: str, now: float) -> float:
    """Check a datum; returns its timestamp."""
    forms = [form for form in ("Value", "Values", "StatisticValues") if form in datum]
    if len(forms) != 1:
        raise invalid_combination(
            f"{at} must have exactly one of Value, Values, StatisticValues; it has {forms or 'none'}"
        )
    if datum.get("StorageResolution", MINUTE) not in (1, MINUTE):
        raise invalid_value(f"{at}.StorageResolution {datum['StorageResolution']} is neither 1 nor 60")
    timestamp = datum.get("Timestamp", now)
    if not now - _OLDEST <= timestamp <= now + _NEWEST:
        raise invalid_value(f"{at}.Timestamp must be at most two weeks ago and at most two hours from now")
    if "Counts" in datum and "Values" not in datum:
        raise invalid_combination(f"{at} has Counts without Values")
    values = datum.get("Values", [])
    counts = datum.get("Counts", [1.0] * len(values))
    if len(values) > _MAX_VALUES or ("Values" in datum and not values):
        raise invalid_value(f"{at}.Values must hold 1 to {_MAX_VALUES} values")
    if len(counts) != len(values):
        raise invalid_value(f"{at} has {len(values)} Values and {len(counts)} Counts; they must be as many")
    if any(count <= 0 for count in counts):
        raise invalid_value(f"{at}.Counts must be more than 0")
    known = datum.get("StatisticValues", {})
    if known and (known["SampleCount"] <= 0 or known["Minimum"] > known["Maximum"]):
        raise invalid_value(f"{at}.StatisticValues must have SampleCount over 0 and Minimum at most Maximum")
    for value in (*values, *counts, *known.values(), *([datum["Value"]] if "Value" in datum else [])):
        if abs(value) > _LARGEST:
            raise invalid_value(f"{at}: {value} is not within -2^360 and 2^360")
    return timestamp


def _adder(datum: Request) -> Any:
    if "Value" in datum:
        value = datum["Value"]
        return lambda bucket: bucket.add(value)
    if "StatisticValues" in datum:
        known = datum["StatisticValues"]
        return lambda bucket: bucket.add_statistics(
            known["SampleCount"], known["Sum"], known["Minimum"], known["Maximum"]
        )
    values = datum["Values"]
    pairs = list(zip(values, datum.get("Counts", [1.0] * len(values)), strict=True))

    def add(bucket: Distribution) -> None:
        for value, count in pairs:
            bucket.add(value, count)

    return add


def _span(start: float, end: float, period: int) -> tuple[int, int]:
    """Start of the first period and number of periods.

    As AWS does it, the start is rounded down to a whole minute, or for periods under one to a whole period, and periods
    follow each other from there.
    """
    step = period if period < MINUTE else MINUTE
    first = math.floor(start / step) * step
    return first, max(1, math.ceil((end - first) / period))


def _check_size(windows: Sequence[Window]) -> None:
    points = sum(window.count for window in windows)
    if points > _MAX_POINTS * 5:
        raise validation_error(
            f"the request covers {points} periods; ask for a longer Period, fewer metrics or a shorter time"
        )


def _results(queries: Sequence[Query], computed: Mapping[str, Any], end: float) -> list[dict[str, Any]]:
    results = []
    for query in queries:
        if not query.returned:
            continue
        value = computed[query.id]
        if isinstance(value, ExpressionError):
            raise validation_error(f"Error in expression {query.id!r}: {value}")
        if isinstance(value, float):
            raise validation_error(
                f"Error in expression {query.id!r}: the result is the scalar {value}; a time series is expected"
            )
        several = (value,) if isinstance(value, Series) else value
        for series in several:
            label = query.label
            if isinstance(query, ExpressionQuery) and isinstance(value, tuple):
                searched = HIDDEN in series.id and not query.labelled
                label = series.label if searched else f"{query.label} {series.label}"
            points = sorted((moment, number) for moment, number in series.values.items() if moment < end)
            results.append(
                {
                    "Id": query.id,
                    "Label": label,
                    "Timestamps": [float(moment) for moment, _ in points],
                    "Values": [number for _, number in points],
                    "StatusCode": "Complete",
                }
            )
    return results


def _paged(request: Request, results: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    """The part of the results that a page has room for; a result that goes on is PartialData, as on AWS."""
    start = paging.offset(request)
    shown, position = [], 0
    for result in results:
        size = len(result["Values"])
        first, last = max(start - position, 0), min(start + limit - position, size)
        if first < last or (size == 0 and start <= position < start + limit):
            part = {name: result[name][first:last] for name in ("Timestamps", "Values")}
            shown.append({**result, **part, "StatusCode": "Complete" if last >= size else "PartialData"})
        position += size
    more = {"NextToken": paging.token(request, start + limit)} if position > start + limit else {}
    return {"MetricDataResults": shown, "Messages": [], **more}


def _shown(statistics: Mapping[str, float | None]) -> dict[str, Any]:
    simple = {name: value for name, value in statistics.items() if name in SIMPLE}
    extended = {name: value for name, value in statistics.items() if name not in SIMPLE and value is not None}
    return {**simple, **({"ExtendedStatistics": extended} if extended else {})}


def _matches(key: MetricKey, request: Request) -> bool:
    if request.get("Namespace", key.namespace) != key.namespace or request.get("MetricName", key.name) != key.name:
        return False
    dimensions = dict(key.dimensions)
    return all(
        one["Name"] in dimensions and one.get("Value", dimensions[one["Name"]]) == dimensions[one["Name"]]
        for one in request.get("Dimensions", [])
    )


def _metric(key: MetricKey) -> dict[str, Any]:
    return {
        "Namespace": key.namespace,
        "MetricName": key.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in key.dimensions],
    }
