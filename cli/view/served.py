"""How each variant has answered in the last hour: requests, failures and latency, as CloudWatch has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.errors import explained
from cli.target import Target
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, REFUSED, SAGEMAKER, dimensions, place

QUANTILES = ("p50", "p90", "p99")
_COUNTS = (INVOCATIONS, FAILED, REFUSED)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class ServedView:
    """What a variant was asked in an hour, and how it answered.

    `failed` counts answers of 5XX, `refused` those of 4XX, which the caller is to blame for. `latency_ms` has p50, p90
    and p99 of the model's own latency in milliseconds, and is empty when none was measured.
    """

    variant: str
    requests: int
    failed: int
    refused: int
    latency_ms: dict[str, float]

    @property
    def availability(self) -> float:
        """The share of requests that did not fail."""
        return 1 - self.failed / self.requests


def read(target: Target, variants: Sequence[str]) -> tuple[ServedView, ...]:
    """The last hour of each variant that was asked anything.

    Raises:
        OperatorError: CloudWatch cannot be read.
    """
    if not variants:
        return ()
    asked = [(variant, metric, "Sum") for variant in variants for metric in _COUNTS]
    asked += [(variant, LATENCY, quantile) for variant in variants for quantile in QUANTILES]
    with explained("reading how the variants answered"):
        values = _values(target, asked)
    found = [_view(variant, values) for variant in variants]
    return tuple(item for item in found if item.requests)


_Asked = tuple[str, str, str]


def _view(variant: str, values: dict[_Asked, list[float]]) -> ServedView:
    requests, failed, refused = (round(sum(values[variant, metric, "Sum"])) for metric in _COUNTS)
    slow = {quantile: values[variant, LATENCY, quantile] for quantile in QUANTILES}
    # Should the hour fall into two periods, the slower one is told: quantiles do not add up.
    latency = {quantile: max(found) / 1000 for quantile, found in slow.items() if found}
    return ServedView(variant, requests, failed, refused, latency)


def _values(target: Target, asked: Sequence[_Asked]) -> dict[_Asked, list[float]]:
    """One value each, as long as periods begin where the question does, as CloudWatch says of its start times."""
    queries: list[dict[str, Any]] = []
    for number, (variant, metric, statistic) in enumerate(asked):
        of = {"Namespace": SAGEMAKER, "MetricName": metric, "Dimensions": dimensions(place(target.endpoint, variant))}
        stat = {"Metric": of, "Period": round(_HOUR.total_seconds()), "Stat": statistic}
        queries.append({"Id": f"m{number}", "MetricStat": stat})
    end = datetime.now(UTC)
    start = end.replace(second=0, microsecond=0) - _HOUR + timedelta(minutes=1)
    pages = target.client("cloudwatch").get_paginator("get_metric_data")
    values: dict[_Asked, list[float]] = {item: [] for item in asked}
    for page in pages.paginate(MetricDataQueries=queries, StartTime=start, EndTime=end):
        for result in page["MetricDataResults"]:
            values[asked[int(result["Id"].removeprefix("m"))]] += result["Values"]
    return values
