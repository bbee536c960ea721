"""The alarms on the responses of champion and challenger, above `Alarms` and `Counters`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from modelstack.monitoring.alarms.alarm import Alarm, Measure
from modelstack.monitoring.alarms.alike import Numbers, compared
from modelstack.monitoring.alarms.outage import alike
from modelstack.rollout.controller.ports import Clock
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.failing import FAILED, Counted
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.judge.metrics import Tally
from modelstack.services.counters import Alarms, CountedWindow, Counters, CountQuery
from modelstack.services.declaration.alarm_names import FAILS, SLOW

MEASURES: Mapping[str, Measure] = {FAILS: "errors", SLOW: "latency"}
"""The alarms on a variant's responses, and the judge's names of their measures."""
_HISTORY = 7200  # before an alarm, seconds, in which the champion may have failed alike
_PATIENCE, _PAUSE = 3.0, 1.0  # seconds in which counts of an alarm are read again, and between two attempts


@dataclass(frozen=True)
class JudgedAlarms:
    """`modelstack.rollout.controller.ports.Alarms` of one endpoint."""

    alarms: Alarms
    counters: Counters
    clock: Clock

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        """The firing alarms of champion and challenger; an outage that both share is left to the judge."""
        return tuple(
            VariantAlarm(alarm.variant, alarm.reason, alarm.at)
            for alarm, evaluated in self._firing(state)
            if alarm.variant is not None and alarm.at is not None
            # By the counts of its last evaluation, not of when it began to fire.
            if alike(state, replace(alarm, at=max(alarm.at, evaluated)), self.numbers) is None
        )

    def numbers(self, alarm: Alarm, champion: str) -> Numbers | None:
        """The counts before `alarm.at` behind a challenger's alarm, and the champion's then or in the two hours before.

        None if the alarm counts no share of requests, or the champion has no such alarm. Raises `RolloutError` if
        alarms or counts are unreachable. While there are none, they are read again for some seconds: what takes both
        versions down often disturbs their metrics for a moment, and without the champion's the alarm rolls back.
        """
        if alarm.variant is None or alarm.variant not in alarm.name or alarm.at is None:
            return None
        last = self.clock.time() + _PATIENCE
        while self.clock.time() < last:
            with suppress(RolloutError):
                numbers = self._numbers(alarm, alarm.variant, champion, alarm.at)
                if numbers is not None and numbers.challenger.requests and numbers.champion.requests:
                    return numbers
            self.clock.sleep(_PAUSE)
        return self._numbers(alarm, alarm.variant, champion, alarm.at)

    def _numbers(self, alarm: Alarm, variant: str, champion: str, at: float) -> Numbers | None:
        counterpart = alarm.name.replace(variant, champion)
        rules = self.alarms.rules((alarm.name, counterpart))
        rule = rules.get(alarm.name)
        if rule is None or counterpart not in rules:
            return None
        name, slower_than = (FAILED, None) if rule.slower_than is None else (SLOW, self.counters.cut(rule.slower_than))
        both = (variant, champion)
        cuts = {variant: {SLOW: slower_than} for variant in both} if slower_than is not None else {}
        start = math.floor(at) - rule.seconds
        query = CountQuery(both, start - _HISTORY, at, rule.step, cuts, provisional=True)
        windows = self.counters.counts(query)
        counted = [(_counted(window, variant, name), _counted(window, champion, name)) for window in windows]
        recent = sum(window.start + rule.step > start for window in windows)
        return compared(counted, recent, rule.tolerated, champion_fires=rules[counterpart].fires)

    def all_firing(self, state: RolloutState) -> tuple[Alarm, ...]:
        """The firing alarms of champion and challenger, including those on a shared outage."""
        return tuple(alarm for alarm, _ in self._firing(state))

    def _firing(self, state: RolloutState) -> list[tuple[Alarm, float]]:
        variants = {release.variant for release in (state.champion, state.challenger) if release is not None}
        return [(one.alarm, one.evaluated) for one in self.alarms.firing(sorted(variants))]


def _counted(window: CountedWindow, variant: str, name: str) -> Counted:
    tally = window.of(variant).get(name, Tally())
    return Counted(tally.total, tally.count)
