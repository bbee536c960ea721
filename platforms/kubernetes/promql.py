"""Expressions of PromQL that the rules are made of. Pure.

    counter = 'modelstack:counters{variant="v-1"}'
    rise(counter, f"{counter} offset 15s", scraped(30))
    beyond("part", "whole", 0.05, evidence)

`increase()` neither counts what a series is born with, so it misses the first burst of failures, nor is it exact. So a
rule records at each evaluation by how much the counters rose since the one before, and periods are sums of these.

A sample has the time at which its scrape began, and is there when the scrape has ended. What an evaluation has not seen
yet, a later one finds before it. So a counter is compared with what was seen of it, which is recorded (`counters`), or
with times that are long past.

Source: Prometheus documentation, "Querying basics" (offset, staleness) and "Operators" (vector matching).
"""

from __future__ import annotations

from platforms.kubernetes.metrics import INSTANCE, UP, UPTIME
from services.declaration.alarm_thresholds import bound

YOUNG = 120
"""A process that ran for so many seconds at most is new: what its counters are born with is of now."""
_TARGET = f"job, {INSTANCE}"


def rise(now: str, before: str, known: str, older: str = "") -> str:
    """By how much counters rose from one moment to another; label by label.

    A counter that was not there has risen from 0 if its process was watched then, or was new; else nobody knows. One
    that fell has begun again.

    Args:
        now: The counters at the later moment.
        before: The same counters at the earlier one.
        known: What holds for the processes whose counters are known to be born in between; see `scraped`.
        older: The same counters as their process told them some time before, where `before` is a record. A rule that
            is declared again has no record of what it saw, and a counter that is older than that was not born since.
    """
    new = f"({now} unless {before})"
    born = f"{new} and on ({_TARGET}) {known}"
    if older:
        born = (
            f"(({new} unless {older}) and on ({_TARGET}) {known}) or ({new} and on ({_TARGET}) ({UPTIME} <= {YOUNG}))"
        )
    return f"({born}) or (({now} - {before}) >= 0) or ({now} < {before})"


def scraped(ago: int, lag: int = 0) -> str:
    """The processes that were scraped so many seconds ago, and those that were new when they are looked at.

    Args:
        ago: Seconds; longer than a scrape takes before the earlier moment, so that what it brought was seen then.
        lag: How long ago the later moment was, seconds.
    """
    return f"({UP} offset {ago}s == 1 or {UPTIME}{offset(lag)} <= {YOUNG})"


def offset(seconds: int) -> str:
    """The words that follow a selector of what was there some seconds ago."""
    return f" offset {seconds}s" if seconds else ""


def over(record: str, seconds: float) -> str:
    """The sum of what was recorded in so many seconds; a range of Prometheus 2 holds both its ends."""
    return f"sum_over_time({record}[{round(seconds * 1000) - 1}ms])"


def beyond(part: str, whole: str, tolerated: float, nats: float) -> str:
    """The share of `part` in `whole`, where it is above the tolerated one and no chance; else nothing."""
    return f"({part} / {whole}) and ({part} > {bound(whole, tolerated, nats)})"
