"""Reads metric values of an endpoint from CloudWatch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modelstack.cli.errors import explained
from modelstack.cli.platform.facts import Series
from modelstack.cli.target import Target
from modelstack.platforms.aws.metrics import ENDPOINT, VARIANT, dimensions, place

Metric = Mapping[str, Any]  # Namespace, MetricName and Dimensions, as ListMetrics returns them


def metric(target: Target, namespace: str, name: str, variant: str = "") -> Metric:
    """A metric of the endpoint, or of one of its variants."""
    return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions(place(target.endpoint, variant))}


def curves(target: Target, queries: Iterable[Mapping[str, Any]], start: float, end: float) -> list[Series]:
    """Curves of queries between two times, epoch seconds, including empty ones; OperatorError if CloudWatch fails."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with explained("reading metrics"):
        for result in _results(target, queries, datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)):
            points = zip(result["Timestamps"], result["Values"], strict=True)
            curve = found.setdefault((result["Id"], result["Label"]), [])
            curve += [(at.timestamp(), value) for at, value in points]
    return [Series(label, tuple(points)) for (_, label), points in found.items()]


def values(
    target: Target, asked: Sequence[tuple[Metric, str]], period: int, start: datetime, end: datetime
) -> list[list[float]]:
    """Values of each metric by its statistic, one a period (seconds), oldest first."""
    queries = [
        {"Id": f"m{number}", "MetricStat": {"Metric": item, "Period": period, "Stat": stat}}
        for number, (item, stat) in enumerate(asked)
    ]
    found: list[list[float]] = [[] for _ in asked]
    for result in _results(target, queries, start, end) if queries else ():
        found[int(result["Id"].removeprefix("m"))] += result["Values"]
    return found


def totals(target: Target, namespace: str, stats: Mapping[str, str], period: int, seconds: float) -> Counter[str]:
    """Sums of the endpoint's metrics by their statistics over the last `seconds`, over all whole variants."""
    pages = target.client("cloudwatch").get_paginator("list_metrics")
    listed = pages.paginate(Namespace=namespace, Dimensions=dimensions(place(target.endpoint)))
    known = [item for page in listed for item in page["Metrics"] if item["MetricName"] in stats and _is_whole(item)]
    end, total = datetime.now(UTC), Counter[str]()
    asked = [(item, stats[item["MetricName"]]) for item in known]
    for item, each in zip(known, values(target, asked, period, end - timedelta(seconds=seconds), end), strict=True):
        total[item["MetricName"]] += sum(each)  # pyrefly: ignore[unsupported-operation] - a Counter holds floats as well
    return total


def _is_whole(item: Metric) -> bool:
    return {pair["Name"] for pair in item["Dimensions"]} <= {ENDPOINT, VARIANT}


def _results(target: Target, queries: Iterable[Any], start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
    """Excludes data of an earlier endpoint of the same name.

    The whole minute of creation counts: CloudWatch stamps values of standard resolution at the start of their minute.
    """
    pages = target.client("cloudwatch").get_paginator("get_metric_data")
    start = max(start, target.created.replace(second=0, microsecond=0))
    if start >= end:
        return
    asked = {"MetricDataQueries": list(queries), "StartTime": start, "EndTime": end, "ScanBy": "TimestampAscending"}
    for page in pages.paginate(**asked):
        yield from page["MetricDataResults"]
