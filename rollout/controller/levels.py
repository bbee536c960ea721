"""Checks the alarms before anything else, so that no tick gives traffic to a version whose alarm fires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollout.controller.agreement import change
from rollout.controller.ports import Alarms, Clock, Journal
from rollout.core.errors import RolloutError
from rollout.core.ringing import Ringing, heard, matters, withheld
from rollout.core.state import RolloutState
from rollout.kinds import Kind
from rollout.reason import Reason


@dataclass(frozen=True)
class Levels:
    """Reads the firing alarms, and records what follows with `write`, which may also return the traffic."""

    alarms: Alarms
    journal: Journal
    clock: Clock
    write: Callable[[RolloutState], RolloutState]

    def look(self) -> Reason | None:
        """Roll back if an alarm fires. Returns why the challenger gets no more traffic in this tick, if it may not."""
        state = self.journal.read()
        ringing, unknown = self._read(state)
        if not ringing:
            return unknown
        after = change(self.journal, lambda state: heard(state, ringing, self.clock.time()), self.write)
        return withheld(after, ringing)

    def withheld(self, state: RolloutState) -> Reason | None:
        """Why the challenger gets no more traffic now, None when it may; changes nothing."""
        ringing, unknown = self._read(state)
        return unknown or withheld(state, ringing)

    def _read(self, state: RolloutState) -> tuple[tuple[Ringing, ...], Reason | None]:
        if not matters(state, self.clock.time()):
            return (), None
        try:
            return self.alarms.ringing(state), None
        except RolloutError as error:
            return (), Reason("alarm", "levels", str(error), kind=Kind.ALARMS_UNREACHABLE)
