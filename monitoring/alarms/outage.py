"""An outage that both versions share: the challenger's alarm rolls nothing back, people are told, the judge decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.alike import Numbers, Pair, fails_alike, judged
from monitoring.log import log
from rollout.controller.outbox import Outbox

LEFT = "left_to_judge"
_BAD = {"errors": "failed (5XX)", "latency": "were slow"}


class Reads(Protocol):
    """Reads the numbers behind an alarm."""

    def read(self, alarm: Alarm, champion: str) -> Numbers | None:
        """Of the alarm's variant and of the champion; None when they cannot be compared."""
        ...


@dataclass(frozen=True)
class Outage:
    """Finds out whether champion and challenger fail alike.

    Attributes:
        numbers: Reads what is behind an alarm.
        outbox: Tells people.
    """

    numbers: Reads
    outbox: Outbox

    def shared(self, alarm: Alarm) -> str | None:
        """Why the challenger is left to the judge; None when the alarm decides, also when nothing can be found out.

        People are told once, however often the alarm is delivered.

        Raises:
            RolloutError: People could not be told; the delivery must be repeated.
        """
        found = self._find(alarm)
        if found is None:
            return None
        rollout_id, text = found
        self.outbox.note(rollout_id, LEFT, text)
        return text

    def _find(self, alarm: Alarm) -> tuple[str, str] | None:
        """The rollout's id and what people are to be told; None when the alarm decides."""
        try:
            state = self.outbox.journal.read()
            pair = judged(state, alarm)
            numbers = self.numbers.read(alarm, pair.champion.variant) if pair else None
            if pair is None or numbers is None or not fails_alike(numbers):
                return None
            return state.rollout_id, _told(alarm, pair, numbers)
        except Exception as error:  # whatever it is, no rollback waits for it
            log("champion not compared", alarm=alarm.name, error=repr(error))
            return None


def _told(alarm: Alarm, pair: Pair, numbers: Numbers) -> str:
    """What people are told: after the first colon stands why."""
    bad = _BAD.get(alarm.measure or "", "were bad")
    return (
        f"{pair.challenger.id} is left to the judge, as both versions fail: alarm {alarm.name} rings, and the champion "
        f"fails alike. In the same periods {bad}: {numbers.challenger} requests of the challenger "
        f"{pair.challenger.variant}, {numbers.champion} of the champion {pair.champion.variant}; tolerated are "
        f"{numbers.tolerated:.1%}"
    )
