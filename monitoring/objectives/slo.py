"""What users are promised, how much of it is used up, and when that is worth waking somebody.

    objective = Objective(availability=0.999, latency=0.99, latency_ms=1000, window_seconds=30 * 86400, min_requests=20)
    [(rule.name, rule.factor, rule.seconds) for rule in rules(objective, finest=60)]

An objective of 99.9% tolerates that 0.1% of the requests fail: over its window these are the *error budget*. A *burn
rate* of 1 uses the budget up in just the window, one of 14.4 in a 14.4th of it.

Source: Beyer, Murphy, Rensin, Kawahara, Thorne (ed.), The Site Reliability Workbook (2018), chapter 5, "Alerting on
SLOs": section 6, "Multiwindow, Multi-Burn-Rate Alerts", and tables 5-2 and 5-8. There each long window has a
short one of its own; here both that page share the longer of theirs, and the one for a ticket has none, as in
section 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Sli = Literal["availability", "latency"]
Severity = Literal["page", "ticket"]
SLIS: tuple[Sli, ...] = ("availability", "latency")
OBJECTIVE = "slo"
"""What the names of the alarms that tell people of the objective begin with, after the endpoint's."""

# Name, severity, the share of the budget that is gone when it rings, and the part of the objective's window that it
# looks at: of 30 days an hour, six hours and three days. The burn rates follow: 14.4, 6 and 1.
_TABLE: tuple[tuple[str, Severity, float, int], ...] = (
    ("fast", "page", 0.02, 720),
    ("slow", "page", 0.05, 120),
    ("lasting", "ticket", 0.10, 10),
)
_STILL = 12
"""The short window, which says whether it still goes on, is a 12th of the longer one that pages."""
_SUB_MINUTE = (10, 20, 30)
_MINUTE = 60


@dataclass(frozen=True)
class Objective:
    """A service-level objective.

    Attributes:
        availability: The share of requests that are to be answered without a 5XX.
        latency: The share of requests that are to take no longer than `latency_ms`.
        latency_ms: In milliseconds.
        window_seconds: Over which time.
        min_requests: A window with fewer requests says nothing.
    """

    availability: float
    latency: float
    latency_ms: float
    window_seconds: int
    min_requests: int

    def tolerated(self, sli: Sli) -> float:
        """The share of requests that may be bad, without the noise of a subtraction of floats."""
        return round(1 - (self.availability if sli == "availability" else self.latency), 12)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, which `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Objective:
        """The objective that a stack's output tells; numbers may have become floats on their way."""
        return cls(
            availability=float(values["availability"]),
            latency=float(values["latency"]),
            latency_ms=float(values["latency_ms"]),
            window_seconds=int(values["window_seconds"]),
            min_requests=int(values["min_requests"]),
        )


@dataclass(frozen=True)
class BurnRule:
    """A window, and how fast the budget may burn in it.

    Attributes:
        name: `fast`, `slow`, `lasting` or `still`.
        severity: Whether it wakes somebody (`page`) or waits for the day (`ticket`).
        factor: The burn rate that the window must be above.
        seconds: How long the window is.
    """

    name: str
    severity: Severity
    factor: float
    seconds: int


def rules(objective: Objective, finest: int) -> tuple[BurnRule, ...]:
    """The workbook's three long windows, which say that it matters, scaled to the objective's own window.

    Args:
        objective: Over which window.
        finest: The shortest period that its metrics have, in seconds.

    Returns:
        The most urgent first. Windows are periods that alarms have; where one had to be rounded up, the factor is
        that of the longer window, so that the same share of the budget is gone when it rings.
    """
    found: list[BurnRule] = []
    for name, severity, share, part in _TABLE:
        long = _period(objective.window_seconds / part, finest)
        factor = round(share * objective.window_seconds / long, 6)
        found.append(BurnRule(name, severity, factor, long))
    return tuple(found)


def still(found: tuple[BurnRule, ...], finest: int) -> BurnRule:
    """The short window, which says that it still goes on: a page ends when it does not, soon after the fault.

    Args:
        found: What `rules` gives.
        finest: As for `rules`.
    """
    slowest = min((rule for rule in found if rule.severity == "page"), key=lambda rule: rule.factor)
    return BurnRule("still", "page", slowest.factor, _period(slowest.seconds / _STILL, finest))


def _period(seconds: float, finest: int) -> int:
    """The shortest period that alarms have and that is not shorter than this, nor than the finest."""
    wanted = max(seconds, finest)
    if wanted <= _SUB_MINUTE[-1]:
        return next(period for period in _SUB_MINUTE if period >= wanted)
    return _MINUTE * math.ceil(wanted / _MINUTE)


@dataclass(frozen=True)
class Budget:
    """What was used of an error budget.

    Attributes:
        tolerated: How many of the requests might have been bad.
        bad: How many were.
    """

    tolerated: float
    bad: float

    @property
    def left(self) -> float:
        """The share that is left: 1 without requests, negative when the objective was missed."""
        return 1 - self.bad / self.tolerated if self.tolerated else 1.0


def budgets(objective: Objective, requests: float, failed: float, slow: float) -> dict[Sli, Budget]:
    """Both budgets, out of the counts of the objective's window, of all versions together."""
    bad: dict[Sli, float] = {"availability": failed, "latency": slow}
    return {sli: Budget(objective.tolerated(sli) * requests, bad[sli]) for sli in SLIS}
