"""Expressions of PromQL that the rules are made of. Pure.

    rise('envoy_cluster_upstream_rq_xx{envoy_cluster_name="x"}', 15)
    beyond("part", "whole", 0.05, evidence)

`increase()` neither counts what a series is born with, so it misses the first burst of failures, nor is it exact. So a
rule records at each evaluation by how much the counters rose since the one before, and periods are sums of these.

Source: Prometheus documentation, "Querying basics" (offset, staleness) and "Operators" (vector matching).
"""

from __future__ import annotations

from decimal import Decimal

from platforms.kubernetes.metrics import INSTANCE, UP, UPTIME

_YOUNG = 120
"""A process that ran for so many seconds at most is new: what its counters are born with is of now."""
_TARGET = f"job, {INSTANCE}"


def rise(selector: str, every: int) -> str:
    """By how much counters rose since the evaluation before, which was so many seconds ago; label by label.

    A counter that was not there has risen from 0 if its process was scraped then, or is new; else nobody knows. One
    that fell has begun again.
    """
    before = f"{selector} offset {every}s"
    known = f"({UP} offset {every}s == 1 or {UPTIME} <= {_YOUNG})"
    born = f"({selector} unless {before}) and on ({_TARGET}) {known}"
    return f"({born}) or (({selector} - {before}) >= 0) or ({selector} < {before})"


def over(record: str, seconds: float) -> str:
    """The sum of what was recorded in so many seconds; a range of Prometheus 2 holds both its ends."""
    return f"sum_over_time({record}[{round(seconds * 1000) - 1}ms])"


def bound(requests: str, tolerated: float, nats: float) -> str:
    """The count that cannot well be chance: t n + sqrt(2 nats t n) + nats / 3, as `beyond_chance.least` has it."""
    mean, spread, rest = (plain(value) for value in (tolerated, 2 * nats * tolerated, nats / 3))
    return f"({mean} * {requests} + ({spread} * {requests}) ^ 0.5 + {rest})"


def beyond(part: str, whole: str, tolerated: float, nats: float) -> str:
    """The share of `part` in `whole`, where it is above the tolerated one and no chance; else nothing."""
    return f"({part} / {whole}) and ({part} > {bound(whole, tolerated, nats)})"


def plain(number: float) -> str:
    """To six digits, without an exponent."""
    return f"{Decimal(f'{number:.6g}').normalize():f}"
