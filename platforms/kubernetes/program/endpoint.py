"""What is done for one endpoint: a tick, and the answer to a wake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.outage import Outage
from monitoring.alarms.response import Answer, respond
from rollout.controller.controller import Controller
from rollout.controller.loop import Progress
from rollout.controller.ports import Journal
from rollout.controller.recorder import Recorder
from rollout.core.errors import RolloutError
from rollout.core.state import RolloutState

ACT_SECONDS = 45.0
"""For which one alarm's rollback is tried."""


@dataclass(frozen=True)
class Endpoint:
    """One Rollout, and all that is needed to drive it.

    Attributes:
        name: The Rollout.
        every: Seconds between two looks at a trial.
        controller: Its controller.
        journal: Its journal.
        outage: Finds out whether the champion fails as the challenger does.
        ringing: The alarms on how a rollout's variants answer that ring now, by what measures them.
        recorder: Puts the audit record away; None without a store.
    """

    name: str
    every: float
    controller: Controller
    journal: Journal
    outage: Outage
    ringing: Callable[[RolloutState], tuple[Alarm, ...]]
    recorder: Recorder | None = None

    def tick(self) -> Progress:
        """Do all that can be done now.

        Raises:
            RolloutError: Something of it cannot be done; the next tick goes on.
        """
        return self.controller.tick()

    def record(self, state: RolloutState) -> int:
        """Put away what waits of the audit record; how many records that were.

        Raises:
            RolloutError: Something of it cannot be put; the next call goes on.
        """
        return self.recorder.put() if self.recorder is not None and state.audit.waiting else 0

    def answer(self) -> tuple[Answer, ...]:
        """Act on every alarm that rings; all are tried, whichever fails.

        Raises:
            RolloutError: One of them could not be acted upon; it must be repeated.
        """
        answers: list[Answer] = []
        failures: list[RolloutError] = []
        for alarm in self.ringing(self.journal.read()):
            try:
                answers.append(respond(alarm, self.name, self.controller, self.outage, patience=ACT_SECONDS))
            except RolloutError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return tuple(answers)
