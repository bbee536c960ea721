"""The numbers behind an alarm of a variant, and those of another variant beside it, from CloudWatch.

They are read at the grain at which CloudWatch looks, for its periods overlap where they are longer; counts of shorter
ones can be added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.alike import Numbers
from platforms.aws.clients import Clients, calling
from platforms.aws.signals import CloudWatchSignals, Found, Series
from rollout.core.failing import Counted

_MINUTE, _OFTEN = 60, 10  # seconds between two looks, at periods from a minute, and at shorter ones
_OLDER = 2  # periods beyond those that an alarm asks for: it looks at those when the newest are still missing


@dataclass(frozen=True)
class AlarmNumbers:
    """Reads the numbers behind the alarms of one endpoint's variants."""

    clients: Clients
    endpoint: str

    def read(self, alarm: Alarm, champion: str) -> Numbers | None:
        """The numbers behind an alarm of the challenger, and the champion's in the same periods.

        Args:
            alarm: The alarm, in ALARM since `alarm.at`.
            champion: The champion's variant.

        Returns:
            None when the alarm counts no share of requests, or when the champion has none of its kind.

        Raises:
            RolloutError: CloudWatch does not answer, throttles or refuses.
        """
        if alarm.variant is None or alarm.variant not in alarm.name or alarm.at is None:
            return None
        counterpart = alarm.name.replace(alarm.variant, champion)
        with calling(f"describe alarms {alarm.name} and {counterpart}"):
            answer = self.clients("cloudwatch").describe_alarms(AlarmNames=[alarm.name, counterpart])
        found = {item["AlarmName"]: item for item in answer["MetricAlarms"]}
        counts = _counts(found.get(alarm.name, {}))
        if counts is None or counterpart not in found:
            return None
        challenger, other = counts.of(alarm.variant), counts.of(champion)
        start, end = counts.span(alarm.at)
        values = CloudWatchSignals(self.clients, self.endpoint).fetch((*challenger, *other), (start, end), counts.step)
        bad = [at for at in range(start, end, counts.step) if _sum(values, challenger, [at]).share > counts.tolerated]
        rings = found[counterpart]["StateValue"] == "ALARM"
        return Numbers(counts.tolerated, _sum(values, challenger, bad), _sum(values, other, bad), rings)


@dataclass(frozen=True)
class _Counts:
    """What an alarm on a share counts: metric and statistic of the bad requests and of all, and when it looks."""

    part: tuple[str, str]
    whole: tuple[str, str]
    tolerated: float
    period: int
    periods: int

    @property
    def step(self) -> int:
        return _OFTEN if self.period < _MINUTE else _MINUTE

    def span(self, at: float) -> tuple[int, int]:
        """All that it may have looked at when its state changed, epoch seconds."""
        end = math.floor(at / self.step) * self.step
        return end - self.period * (self.periods + _OLDER), end

    def of(self, variant: str) -> tuple[Series, Series]:
        """The same counts of a variant."""
        return Series(*self.part, variant), Series(*self.whole, variant)


def _counts(alarm: dict[str, Any]) -> _Counts | None:
    """None when it is no alarm on the share of `part` in `whole`."""
    queries = {item["Id"]: item["MetricStat"] for item in alarm.get("Metrics", []) if "MetricStat" in item}
    if queries.keys() != {"part", "whole"}:
        return None
    part, whole = ((item["Metric"]["MetricName"], item["Stat"]) for item in (queries["part"], queries["whole"]))
    return _Counts(part, whole, alarm["Threshold"], queries["whole"]["Period"], alarm["EvaluationPeriods"])


def _sum(values: Found, series: tuple[Series, Series], times: list[int]) -> Counted:
    bad, requests = (sum(values.get((item, at), 0.0) for at in times) for item in series)
    return Counted(bad, requests)
