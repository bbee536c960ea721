"""A shared outage: the champion fails like the challenger, so the alarm only notifies and the judge decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelstack.monitoring.alarms.alarm import Alarm
from modelstack.monitoring.alarms.alike import Numbers, fails_alike, judged
from modelstack.monitoring.log import log
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

LEFT = "left_to_judge"
Read = Callable[[Alarm, str], Numbers | None]
"""Fetches the numbers of an alarm's variant and of the given champion; None if they cannot be compared."""


@dataclass(frozen=True)
class Outage:
    """Detects that champion and challenger fail alike, and notifies people of it."""

    numbers: Read
    outbox: Outbox

    def shared(self, alarm: Alarm) -> Reason | None:
        """Why the challenger is left to the judge, of which people are notified once; None if the alarm decides."""
        state = self._state(alarm)
        if state is None or state.challenger is None:
            return None
        reason = alike(state, alarm, self.numbers)
        if reason is not None:
            self.outbox.note(state.rollout_id, LEFT, state.challenger.id, reason)
        return reason

    def had_been_left(self, alarm: Alarm) -> bool:
        """Whether the alarm was left to the judge and the verdict was given while it fired.

        The judge knew of it then, so it does not undo the promotion, neither during it nor in the watch time after it.
        An alarm that fires again does.
        """
        state = self._state(alarm)
        if state is None:
            return False
        given = state.decided or state.verdict
        left = {
            event.reason.name
            for event in state.history
            if (event.rollout_id, event.kind) == (state.rollout_id, LEFT) and event.reason is not None
        }
        fired_before = given is not None and given.rollout_id == state.rollout_id and (alarm.at or 0.0) <= given.at
        return alarm.at is not None and fired_before and alarm.name in left

    def _state(self, alarm: Alarm) -> RolloutState | None:
        try:
            return self.outbox.journal.read()
        except RolloutError as error:
            return _unknown(alarm, error)


def alike(state: RolloutState, alarm: Alarm, read: Read) -> Reason | None:
    """Why an alarm on the challenger is left to the judge; None if the alarm decides, also if that is unknown."""
    try:
        pair = judged(state, alarm)
        numbers = read(alarm, pair[1].variant) if pair else None
        return _reason(alarm, *pair, numbers) if pair and numbers is not None and fails_alike(numbers) else None
    except Exception as error:  # no failure delays a rollback
        return _unknown(alarm, error)


def _unknown(alarm: Alarm, error: Exception) -> None:
    log("champion not compared", alarm=alarm.name, error=repr(error))


def _reason(alarm: Alarm, challenger: Release, champion: Release, numbers: Numbers) -> Reason:
    counted = {
        "challenger_bad": numbers.challenger.bad,
        "challenger_requests": numbers.challenger.requests,
        "champion_bad": numbers.champion.bad,
        "champion_requests": numbers.champion.requests,
        "tolerated": numbers.tolerated,
    }
    names = {"challenger": challenger.variant, "champion": champion.variant, "measure": alarm.measure}
    return Reason("alarm", alarm.name, numbers=counted, kind=Kind.SHARED_OUTAGE, facts=names)
