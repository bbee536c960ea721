"""PromQL expressions for the rules. Pure.

`increase()` ignores the first sample of a series, so it misses the first burst of failures, and it is not exact. So a
rule records at each evaluation the increase since the last one, and periods are sums of these.

A sample has the time at which its scrape began, but appears when the scrape ends. So a later evaluation finds samples
that an earlier one has not seen. Therefore counters are compared with recorded values (`counters`), or at times that
are long past.

Source: Prometheus documentation, "Querying basics" (offset, staleness) and "Operators" (vector matching).
"""

from __future__ import annotations

from modelstack.platforms.kubernetes.metrics import INSTANCE, UP, UPTIME
from modelstack.services.declaration.alarm_thresholds import bound

YOUNG = 120  # seconds of uptime within which a process is new: the first values of its counters are recent
_TARGET = f"job, {INSTANCE}"


def rise(now: str, before: str, known: str, older: str = "") -> str:
    """The increase of counters between two moments, for each series.

    A missing earlier value counts as 0 if the process was scraped then (`known`), or is new; otherwise the increase is
    unknown. A counter that fell has restarted. If `before` is a record, `older` are the counters some time before, as
    scraped: a new rule has no records yet, and a counter that existed then has not begun since.
    """
    new = f"({now} unless {before})"
    born = f"{new} and on ({_TARGET}) {known}"
    if older:
        born = (
            f"(({new} unless {older}) and on ({_TARGET}) {known}) or ({new} and on ({_TARGET}) ({UPTIME} <= {YOUNG}))"
        )
    return f"({born}) or (({now} - {before}) >= 0) or ({now} < {before})"


def scraped(ago: int, lag: int = 0) -> str:
    """Matches processes that were scraped `ago` seconds ago, or are new at the later moment, `lag` seconds ago.

    `ago` exceeds the time of a scrape before the earlier moment, so that its samples were seen then.
    """
    return f"({UP} offset {ago}s == 1 or {UPTIME}{offset(lag)} <= {YOUNG})"


def offset(seconds: int) -> str:
    """The offset modifier of a selector; empty for 0."""
    return f" offset {seconds}s" if seconds else ""


def over(record: str, seconds: float) -> str:
    """The sum of a record over so many seconds; a range of Prometheus 2 includes both its ends."""
    return f"sum_over_time({record}[{round(seconds * 1000) - 1}ms])"


def beyond(part: str, whole: str, tolerated: float, nats: float) -> str:
    """The share of `part` in `whole` if it is above the tolerated one and not by chance; else nothing."""
    return f"({part} / {whole}) and ({part} > {bound(whole, tolerated, nats)})"
