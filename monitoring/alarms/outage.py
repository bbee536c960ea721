"""An outage that both versions share: the challenger's alarm rolls nothing back, people are told, the judge decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.alike import Numbers, fails_alike, judged
from monitoring.log import log
from rollout.controller.outbox import Outbox
from rollout.core.errors import RolloutError
from rollout.core.release import Release
from rollout.core.state import RolloutState
from rollout.kinds import Kind
from rollout.reason import Reason

LEFT = "left_to_judge"
Read = Callable[[Alarm, str], Numbers | None]
"""What is behind an alarm, of its variant and of the champion, which is given; None when they cannot be compared."""


@dataclass(frozen=True)
class Outage:
    """Finds out whether champion and challenger fail alike.

    Attributes:
        numbers: What is behind an alarm.
        outbox: Tells people.
    """

    numbers: Read
    outbox: Outbox

    def shared(self, alarm: Alarm) -> Reason | None:
        """Why the challenger is left to the judge; None when the alarm decides, also when nothing can be found out.

        People are told once, however often the alarm is delivered.

        Raises:
            RolloutError: People could not be told; the delivery must be repeated.
        """
        found = self._find(alarm)
        if found is None:
            return None
        rollout_id, release, reason = found
        self.outbox.note(rollout_id, LEFT, release, reason)
        return reason

    def had_been_left(self, alarm: Alarm) -> bool:
        """Whether the verdict was given while the alarm rang, which had been left to the judge.

        Then it says nothing that he did not know. So it does not undo his promotion, neither while that is under way
        nor in the watch time after it; one that rings anew does.
        """
        try:
            state = self.outbox.journal.read()
        except RolloutError as error:
            _unknown(alarm, error)
            return False
        given = state.decided or state.verdict
        left = {
            event.reason.name
            for event in state.history
            if (event.rollout_id, event.kind) == (state.rollout_id, LEFT) and event.reason is not None
        }
        rang_before = given is not None and given.rollout_id == state.rollout_id and (alarm.at or 0.0) <= given.at
        return alarm.at is not None and rang_before and alarm.name in left

    def _find(self, alarm: Alarm) -> tuple[str, str, Reason] | None:
        """The rollout, the release on trial, and why it is left to the judge; None when the alarm decides."""
        try:
            state = self.outbox.journal.read()
        except RolloutError as error:
            return _unknown(alarm, error)
        reason, challenger = alike(state, alarm, self.numbers), state.challenger
        return (state.rollout_id, challenger.id, reason) if reason is not None and challenger is not None else None


def alike(state: RolloutState, alarm: Alarm, read: Read) -> Reason | None:
    """Why an alarm on the challenger is left to the judge: the champion fails alike; None when the alarm decides.

    It also decides when that cannot be found out.

    Args:
        state: The rollout.
        alarm: The alarm; its numbers are those before `alarm.at`.
        read: What is behind it.
    """
    try:
        pair = judged(state, alarm)
        numbers = read(alarm, pair[1].variant) if pair else None
        return _reason(alarm, *pair, numbers) if pair and numbers is not None and fails_alike(numbers) else None
    except Exception as error:  # whatever it is, no rollback waits for it
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
