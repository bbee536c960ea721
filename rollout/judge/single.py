"""The error rate alone, for callers that know no other metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rollout import metrics
from rollout.judge.verdict import Finding, judge
from rollout.metrics import Metric, Tally


@dataclass(frozen=True)
class Counts:
    """What one variant did in one window.

    Attributes:
        requests: How many requests it answered, >= 0.
        errors: How many of them failed; counts that arrive late may exceed `requests`, and are capped when judged.
    """

    requests: int
    errors: int


@dataclass(frozen=True)
class Window:
    """What both variants did in one window of time.

    Attributes:
        start: Epoch seconds.
        seconds: The window's width.
        champion: The champion's counts.
        challenger: The challenger's counts.
    """

    start: float
    seconds: float
    champion: Counts
    challenger: Counts


def compare(
    windows: Iterable[Window], *, alpha: float, margin: float, starts: Sequence[float] = (), segments: int = 1
) -> Finding:
    """Judge a trial by its error rate; arguments as of `judge`."""
    tallied = [
        metrics.Window(
            item.start,
            item.seconds,
            {"errors": Tally(item.champion.requests, item.champion.errors)},
            {"errors": Tally(item.challenger.requests, item.challenger.errors)},
        )
        for item in windows
    ]
    only = [Metric("errors", "rate", margin)]
    found = judge(tallied, metrics=only, alpha=alpha, starts=starts, segments=segments).each[0]
    numbers = dict(found.reason.numbers)
    for who in ("champion", "challenger"):
        numbers |= {f"{who}_requests": numbers[f"{who}_count"], f"{who}_error_rate": numbers[f"{who}_rate"]}
    numbers["evidence_needed"] = 1 / alpha
    text = found.reason.text.removeprefix("errors ")
    return replace(found, reason=replace(found.reason, name="error rate", text=text, numbers=numbers))
