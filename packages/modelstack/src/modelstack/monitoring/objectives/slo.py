"""Service-level objectives, their error budgets, and the burn-rate alerts on them.

An objective of 99.9% tolerates that 0.1% of the requests fail: over its window these are the *error budget*. A *burn
rate* of 1 uses the budget up in exactly the window, one of 14.4 in a 14.4th of it.

Source: Beyer, Murphy, Rensin, Kawahara, Thorne (ed.), The Site Reliability Workbook (2018), chapter 5, "Alerting on
SLOs": section 6, "Multiwindow, Multi-Burn-Rate Alerts", and tables 5-2 and 5-8. There each long window has its own
short one; here both paging windows share the longer one's, and the ticket window has none, as in section 5.
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
"""What follows the endpoint's name in the names of objective alarms."""

# Name, severity, the share of the budget that is used up when it fires, and the divisor of the objective's window: of
# 30 days an hour, six hours and three days. The burn rates follow: 14.4, 6 and 1.
_TABLE: tuple[tuple[str, Severity, float, int], ...] = (
    ("fast", "page", 0.02, 720),
    ("slow", "page", 0.05, 120),
    ("lasting", "ticket", 0.10, 10),
)
_STILL = 12
"""The short window, which detects whether the failure lasts, is a 12th of the longer paging window."""
_SUB_MINUTE = (10, 20, 30)
_MINUTE = 60


@dataclass(frozen=True)
class Objective:
    """A service-level objective: the shares of requests without a 5XX, and of those that take at most `latency_ms`.

    Windows with fewer than `min_requests` do not count.
    """

    availability: float
    latency: float
    latency_ms: float
    window_seconds: int
    min_requests: int

    def tolerated(self, sli: Sli) -> float:
        """The share of requests that may be bad, rounded to hide floating-point noise."""
        return round(1 - (self.availability if sli == "availability" else self.latency), 12)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, which `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Objective:
        """Read a stack's output, in which whole numbers may have become floats."""
        return cls(
            availability=float(values["availability"]),
            latency=float(values["latency"]),
            latency_ms=float(values["latency_ms"]),
            window_seconds=int(values["window_seconds"]),
            min_requests=int(values["min_requests"]),
        )


@dataclass(frozen=True)
class BurnRule:
    """A window (`fast`, `slow`, `lasting` or `still`), and the burn rate (`factor`) above which it fires."""

    name: str
    severity: Severity
    factor: float
    seconds: int


def rules(objective: Objective, finest: int) -> tuple[BurnRule, ...]:
    """The workbook's three long windows, scaled to the objective's window, most urgent first.

    `finest` is the shortest metric period in seconds. Factors are of the windows as rounded up to valid alarm periods.
    """
    found: list[BurnRule] = []
    for name, severity, share, part in _TABLE:
        long = _period(objective.window_seconds / part, finest)
        factor = round(share * objective.window_seconds / long, 6)
        found.append(BurnRule(name, severity, factor, long))
    return tuple(found)


def still(found: tuple[BurnRule, ...], finest: int) -> BurnRule:
    """The short window, which resolves a page soon after the failure ends. Takes the result of `rules`."""
    slowest = min((rule for rule in found if rule.severity == "page"), key=lambda rule: rule.factor)
    return BurnRule("still", "page", slowest.factor, _period(slowest.seconds / _STILL, finest))


def _period(seconds: float, finest: int) -> int:
    """The shortest valid alarm period that is at least this long and at least the finest."""
    wanted = max(seconds, finest)
    if wanted <= _SUB_MINUTE[-1]:
        return next(period for period in _SUB_MINUTE if period >= wanted)
    return _MINUTE * math.ceil(wanted / _MINUTE)


@dataclass(frozen=True)
class Budget:
    """An error budget: how many bad requests it tolerates, and how many there were."""

    tolerated: float
    bad: float

    @property
    def left(self) -> float:
        """The remaining share: 1 without requests, negative if the objective was missed."""
        return 1 - self.bad / self.tolerated if self.tolerated else 1.0


def budgets(objective: Objective, requests: float, failed: float, slow: float) -> dict[Sli, Budget]:
    """Both budgets, from the counts of all versions together in the objective's window."""
    bad: dict[Sli, float] = {"availability": failed, "latency": slow}
    return {sli: Budget(objective.tolerated(sli) * requests, bad[sli]) for sli in SLIS}
