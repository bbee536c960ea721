"""What CloudWatch has measured of an endpoint: whoever of the commands wants values of metrics gets them here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.errors import explained
from cli.platform.facts import Series
from cli.target import Target
from platforms.aws.metrics import ENDPOINT, VARIANT, dimensions, place

Metric = Mapping[str, Any]
"""Namespace, MetricName and Dimensions, as ListMetrics gives them."""


def metric(target: Target, namespace: str, name: str, variant: str = "") -> Metric:
    """A metric of the endpoint, or of one of its variants."""
    return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions(place(target.endpoint, variant))}


def curves(target: Target, queries: Iterable[Mapping[str, Any]], start: float, end: float) -> list[Series]:
    """The curves of queries between two times, epoch seconds; those without a point too.

    Raises:
        OperatorError: CloudWatch does not answer, or refuses the queries.
    """
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
    """The values of each metric by its statistic, one a period (seconds), oldest first."""
    queries = [
        {"Id": f"m{number}", "MetricStat": {"Metric": item, "Period": period, "Stat": stat}}
        for number, (item, stat) in enumerate(asked)
    ]
    found: list[list[float]] = [[] for _ in asked]
    for result in _results(target, queries, start, end) if queries else ():
        found[int(result["Id"].removeprefix("m"))] += result["Values"]
    return found


def totals(target: Target, namespace: str, stats: Mapping[str, str], period: int, seconds: float) -> Counter[str]:
    """The sums of the endpoint's metrics until now, over all its variants, and not over parts of these.

    Args:
        target: Whose.
        namespace: Of the metrics.
        stats: Metric -> the statistic that is summed.
        period: Seconds.
        seconds: How long before now they begin.
    """
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
    """What is older than the endpoint was measured of another one of its name, and does not count.

    What was measured in the minute of its creation counts with it: values of standard resolution stand at the start of
    their minute, so a cut in the minute would drop those that came after it.
    """
    pages = target.client("cloudwatch").get_paginator("get_metric_data")
    start = max(start, target.created.replace(second=0, microsecond=0))
    if start >= end:
        return
    asked = {"MetricDataQueries": list(queries), "StartTime": start, "EndTime": end, "ScanBy": "TimestampAscending"}
    for page in pages.paginate(**asked):
        yield from page["MetricDataResults"]
