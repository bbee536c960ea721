"""How each variant has answered for a time: requests, failures and latency, as CloudWatch has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cli.errors import explained
from cli.measured import metric, values
from cli.target import Target
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, REFUSED, SAGEMAKER

QUANTILES = ("p50", "p90", "p99")
_COUNTS = (INVOCATIONS, FAILED, REFUSED)
_ASKED = (*((name, "Sum") for name in _COUNTS), *((LATENCY, quantile) for quantile in QUANTILES))
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class ServedView:
    """What a variant was asked within a time, and how it answered.

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
    end = datetime.now(UTC)
    return between(target, variants, end.replace(second=0, microsecond=0) - _HOUR + timedelta(minutes=1), end)


def between(target: Target, variants: Sequence[str], start: datetime, end: datetime) -> tuple[ServedView, ...]:
    """Each variant that was asked anything between two times.

    Raises:
        OperatorError: CloudWatch cannot be read.
    """
    asked = [(variant, name, stat) for variant in variants for name, stat in _ASKED]
    period = 60 * max(math.ceil((end - start).total_seconds() / 60), 1)
    with explained("reading how the variants answered"):
        queries = [(metric(target, SAGEMAKER, name, variant), stat) for variant, name, stat in asked]
        found = values(target, queries, period, start, end)
    by_asked = dict(zip(asked, found, strict=True))
    views = [_view(variant, by_asked) for variant in variants]
    return tuple(item for item in views if item.requests)


def _view(variant: str, values: Mapping[tuple[str, str, str], list[float]]) -> ServedView:
    requests, failed, refused = (round(sum(values[variant, name, "Sum"])) for name in _COUNTS)
    slow = {quantile: values[variant, LATENCY, quantile] for quantile in QUANTILES}
    # Should the time fall into two periods, the slower one is told: quantiles do not add up.
    latency = {quantile: max(found) / 1000 for quantile, found in slow.items() if found}
    return ServedView(variant, requests, failed, refused, latency)
