"""Sends the events that wait in the journal: each at least once, and usually only once.

Several controllers end a rollout together (an update that waits, a scheduled tick, an alarm's handler), so one claims
the outbox first. The claim of a killed one expires, and another sends everything again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.ports import Clock, Journal, Notify
from modelstack.rollout.core.errors import Conflict, RolloutError
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.reason import Reason

CLAIM_SECONDS = 10.0  # how long the outbox belongs to the controller that claimed it


@dataclass(frozen=True)
class Outbox:
    """Sends the events in the journal's outbox; `notify=None` sends nothing."""

    journal: Journal
    notify: Notify | None
    clock: Clock

    def send(self, state: RolloutState) -> RolloutState:
        """Send the outbox, unless another controller does; events that cannot be sent now stay there."""
        if self.notify is None or not state.outbox:
            return state
        try:
            claimed = change(self.journal, self._claim)
            if claimed is None:
                return self.journal.read()
            sent: list[Event] = []
            with suppress(RolloutError):  # a failed notification stops no rollout
                for event in claimed.outbox:
                    self.notify.send(event)
                    sent.append(event)

            def rest(state: RolloutState) -> RolloutState:
                left = tuple(event for event in state.outbox if event not in sent)
                return replace(state, outbox=left, claimed_at=0.0)

            return change(self.journal, rest)
        except Conflict:  # others keep writing: a later call sends the rest
            return self.journal.read()

    def note(self, rollout_id: str, kind: str, release: str, reason: Reason) -> RolloutState:
        """Notify people of an event that changes nothing of a rollout; once, however often it is called."""

        def noted(state: RolloutState) -> RolloutState:
            told = [item.reason for item in state.history if (item.rollout_id, item.kind) == (rollout_id, kind)]
            if reason in told or state.rollout_id != rollout_id:
                return state
            return state.noting(self.clock.time(), kind, release, reason)

        return self.send(change(self.journal, noted))

    def being_sent(self, state: RolloutState) -> bool:
        """Whether another controller is sending the outbox."""
        return bool(state.outbox) and self.clock.time() < state.claimed_at + CLAIM_SECONDS

    def _claim(self, state: RolloutState) -> RolloutState | None:
        """The state in which only this controller sends the outbox; None when there is nothing to send."""
        if not state.outbox or self.being_sent(state):
            return None
        return replace(state, claimed_at=self.clock.time())
