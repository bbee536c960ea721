"""An outage that both versions share: the challenger's alarm rolls nothing back, people are told, the judge decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.alike import Numbers, fails_alike, judged
from monitoring.log import log
from rollout.controller.outbox import Outbox
from rollout.core.release import Release
from rollout.kinds import Kind
from rollout.reason import Reason

LEFT = "left_to_judge"


@dataclass(frozen=True)
class Outage:
    """Finds out whether champion and challenger fail alike.

    Attributes:
        numbers: What is behind an alarm, of its variant and of the champion, which is given; None when they cannot be
            compared.
        outbox: Tells people.
    """

    numbers: Callable[[Alarm, str], Numbers | None]
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

    def _find(self, alarm: Alarm) -> tuple[str, str, Reason] | None:
        """The rollout, the release on trial, and why it is left to the judge; None when the alarm decides."""
        try:
            state = self.outbox.journal.read()
            pair = judged(state, alarm)
            numbers = self.numbers(alarm, pair[1].variant) if pair else None
            if pair is None or numbers is None or not fails_alike(numbers):
                return None
            return state.rollout_id, pair[0].id, _reason(alarm, *pair, numbers)
        except Exception as error:  # whatever it is, no rollback waits for it
            log("champion not compared", alarm=alarm.name, error=repr(error))
            return None


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
