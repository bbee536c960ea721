"""Which state is an alarm in? A pure function of its condition, its data points and the time.

    verdict = evaluate(condition, points, now)      # None: whatever state it is in, it stays

It follows "Configuring how CloudWatch alarms treat missing data" of the Amazon CloudWatch User Guide, whose tables are
rows of the tests. What that page leaves open is settled here like this:

- The evaluation range is two periods longer than EvaluationPeriods, as in all of its examples.
- With `missing`, data points that are all breaching, but too few and too young to alarm (`- - - - X`), are OK.
- With `ignore`, the same data points keep the present state.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

OK = "OK"
ALARM = "ALARM"
INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
EXTRA_PERIODS = 2
"""By how many periods the evaluation range is longer than EvaluationPeriods."""
HIGH_RESOLUTION_INTERVAL = 10
STANDARD_INTERVAL = 60
LONG_INTERVAL = 3600
_DAY = 86400
_REASON_LENGTH = 1023
_REASON_DATA_LENGTH = 4000

_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
COMPARISONS = tuple(_COMPARISONS)
"""Comparison operators that alarms on a fixed threshold have."""
TREATMENTS = {"missing": "Missing", "ignore": "Ignore", "breaching": "Breaching", "notBreaching": "NonBreaching"}
"""Treatments of missing data, and what a state reason calls them."""


@dataclass(frozen=True)
class Condition:
    """When an alarm alarms.

    Attributes:
        comparison: One of `COMPARISONS`.
        threshold: In the unit of the metric.
        period: Seconds: 10, 20, 30 or a multiple of 60.
        evaluation_periods: How many periods are looked at (N).
        datapoints_to_alarm: How many of them must breach (M).
        missing: One of `TREATMENTS`.
        statistic: Name for the reason data; None for metric math.
        unit: Unit for the reason data, if the alarm has one.
        ignore_low_samples: Whether the state stays as it is while a percentile has too few samples to mean something.
    """

    comparison: str
    threshold: float
    period: int
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: str = "missing"
    statistic: str | None = None
    unit: str | None = None
    ignore_low_samples: bool = False

    @property
    def interval(self) -> int:
        """Seconds from one evaluation to the next."""
        if self.period < STANDARD_INTERVAL:
            return HIGH_RESOLUTION_INTERVAL
        return LONG_INTERVAL if self.period * self.evaluation_periods > _DAY else STANDARD_INTERVAL

    @property
    def range_periods(self) -> int:
        """How many periods are read."""
        return self.evaluation_periods + EXTRA_PERIODS

    def range_start(self, now: float) -> int:
        """Start of the oldest period of the evaluation range, in seconds since the epoch."""
        return self.range_end(now) - self.period * self.range_periods

    def range_end(self, now: float) -> int:
        """End of the newest period: the last moment that alarms of this period are evaluated at."""
        step = HIGH_RESOLUTION_INTERVAL if self.period < STANDARD_INTERVAL else STANDARD_INTERVAL
        return math.floor(now / step) * step

    def breaches(self, value: float) -> bool:
        """Whether a value is on the wrong side of the threshold."""
        return _COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Point:
    """A data point: start of its period, value, and how many samples it was made of."""

    timestamp: int
    value: float
    samples: float = 1.0
    significant: bool = True


@dataclass(frozen=True)
class Verdict:
    """The state that an alarm should be in, and why; `data` is the JSON of StateReasonData."""

    state: str
    reason: str
    data: str


def evaluate(condition: Condition, points: Iterable[Point], now: float) -> Verdict | None:
    """Say which state an alarm should be in.

    Args:
        condition: When it alarms.
        points: Data points in any order; those that do not start with a period of the evaluation range do not count.
        now: Seconds since the epoch.

    Returns:
        The verdict; None when the present state stays, whatever it is.
    """
    start = condition.range_start(now)
    slots = {start + position * condition.period for position in range(condition.range_periods)}
    by_start = {point.timestamp: point for point in points if point.timestamp in slots}
    real = [by_start[moment] for moment in sorted(by_start)]
    needed = condition.evaluation_periods
    used = real[-needed:]
    if condition.ignore_low_samples and any(not point.significant for point in used):
        return None
    breaching = [point for point in used if condition.breaches(point.value)]
    filled = needed - len(used)
    outcome = _outcome(condition, used, breaching, filled, now)
    if outcome is None:
        return None
    explain = _Explanation(condition, used, breaching, filled, now)
    return Verdict(outcome, explain.reason(outcome), explain.data())


def _outcome(
    condition: Condition, used: Sequence[Point], breaching: Sequence[Point], filled: int, now: float
) -> str | None:
    enough = condition.datapoints_to_alarm
    if len(breaching) >= enough:
        return ALARM
    if filled == 0 or condition.missing == "notBreaching":
        return OK
    if condition.missing == "breaching":
        return ALARM if len(breaching) + filled >= enough else OK
    return OK if len(breaching) < len(used) else _without_filling(condition, used, now)


def _without_filling(condition: Condition, used: Sequence[Point], now: float) -> str | None:
    """With `missing` or `ignore`, when all data points that there are breach and are too few."""
    if condition.missing == "ignore":
        return None
    if not used:
        return INSUFFICIENT_DATA
    age = (condition.range_end(now) - used[0].timestamp) // condition.period
    return ALARM if age >= condition.datapoints_to_alarm else OK


@dataclass(frozen=True)
class _Explanation:
    """The words that CloudWatch has for a verdict."""

    condition: Condition
    used: Sequence[Point]
    breaching: Sequence[Point]
    filled: int
    now: float

    def reason(self, outcome: str) -> str:
        if outcome == INSUFFICIENT_DATA:
            return f"Insufficient Data: {_counted(self.filled, 'datapoint')} {_was(self.filled)} unknown."
        missing = self.condition.missing
        if self.filled and missing in ("breaching", "notBreaching"):
            return f"Threshold Crossed: {self._received()} and {self._treated()}."
        return _shortened(self._compared(outcome))

    def _received(self) -> str:
        periods = _counted(self.condition.evaluation_periods, "period")
        if not self.used:
            return f"no datapoints were received for {periods}"
        return f"{_counted(len(self.used), 'datapoint')} {_was(len(self.used))} received for {periods}"

    def _treated(self) -> str:
        name = TREATMENTS[self.condition.missing]
        return f"{_counted(self.filled, 'missing datapoint')} {_was(self.filled)} treated as [{name}]"

    def _compared(self, outcome: str) -> str:
        needed, enough = self.condition.evaluation_periods, self.condition.datapoints_to_alarm
        threshold = f"{_COMPARISONS[self.condition.comparison][1]} the threshold ({self.condition.threshold})"
        if outcome == ALARM:
            shown, verb, least = self.breaching, _was(len(self.breaching)), enough
        else:
            shown = [point for point in self.used if point not in self.breaching] or self.used
            negated = "" if shown is self.used and self.breaching else " not"
            verb, least = f"{_was(len(shown))}{negated}", needed - enough + 1
        listed = ", ".join(f"{point.value} ({_moment(point.timestamp)})" for point in reversed(shown))
        return (
            f"Threshold Crossed: {len(shown)} out of the last {max(len(self.used), needed)} datapoints [{listed}] "
            f"{verb} {threshold} (minimum {_counted(least, 'datapoint')} for "
            f"{'OK -> ALARM' if outcome == ALARM else 'ALARM -> OK'} transition)."
        )

    def data(self) -> str:
        newest_first = list(reversed(self.used))
        data: dict[str, object] = {"version": "1.0", "queryDate": iso(self.now)}
        if self.used:
            data["startDate"] = iso(self.used[0].timestamp)
        if self.condition.unit:
            data["unit"] = self.condition.unit
        if self.condition.statistic:
            data["statistic"] = self.condition.statistic
        data["period"] = self.condition.period
        data["recentDatapoints"] = [point.value for point in self.used]
        data["threshold"] = self.condition.threshold
        evaluated = [
            {"timestamp": iso(point.timestamp), "sampleCount": point.samples, "value": point.value}
            for point in newest_first
        ]
        while True:
            text = json.dumps({**data, "evaluatedDatapoints": evaluated}, separators=(",", ":"))
            if len(text) <= _REASON_DATA_LENGTH:
                return text
            if not evaluated:
                data["recentDatapoints"] = [point.value for point in self.used[-50:]]
            evaluated = evaluated[: len(evaluated) // 2]


def iso(seconds: float) -> str:
    """A moment as CloudWatch writes it in its JSON: `2025-11-24T23:39:00.000+0000`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d/%m/%y %H:%M:%S")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _shortened(text: str) -> str:
    return text if len(text) <= _REASON_LENGTH else text[: _REASON_LENGTH - 3] + "..."
