"""What a controller does for one endpoint, whatever runs it: a function for each duty, or one process for all.

    worker.tick()                                    # all that can be done now
    worker.answer(alarms, patience=lambda: 45.0)     # act on alarms
    worker.record(worker.journal.read())             # store the audit records that wait

Every duty may be called by several processes at once, late, or twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.alarms.alarm import Alarm, NotAnAlarm
from monitoring.alarms.outage import Outage
from monitoring.alarms.response import AlarmResponse, respond
from monitoring.log import log
from rollout.controller.controller import Controller
from rollout.controller.loop import Progress
from rollout.controller.ports import Journal
from rollout.controller.recorder import Recorder
from rollout.core.errors import RolloutError
from rollout.core.release import Release
from rollout.core.state import RolloutState

if TYPE_CHECKING:  # a stack without an MLflow needs none of it
    from tracking.api import Api
    from tracking.logged import Shelf


@dataclass(frozen=True)
class Worker:
    """One endpoint, and what drives it.

    Attributes:
        endpoint: Its name.
        controller: Its controller.
        journal: Its journal.
        outage: Finds out whether the champion fails as the challenger does.
        recorder: Stores the audit record; None without a store.
    """

    endpoint: str
    controller: Controller
    journal: Journal
    outage: Outage
    recorder: Recorder | None = None

    def tick(self) -> Progress:
        """Do all that can be done now.

        Raises:
            RolloutError: Something of it cannot be done; the next tick continues.
        """
        return self.controller.tick()

    def answer(
        self,
        alarms: Iterable[Alarm | NotAnAlarm],
        *,
        patience: Callable[[], float],
        each: Callable[[AlarmResponse], None],
    ) -> tuple[AlarmResponse, ...]:
        """Act on every alarm; all are tried, whichever fails.

        Args:
            alarms: The alarms.
            patience: How long to try a rollback while the endpoint does not take it, seconds.
            each: Called with each answer as soon as it is known.

        Raises:
            RolloutError: At the end: one of them could not be acted upon, and must be delivered again.
        """
        answers, failures = list[AlarmResponse](), list[RolloutError]()
        for alarm in alarms:
            try:
                answers.append(respond(alarm, self.endpoint, self.controller, self.outage, patience=patience()))
            except RolloutError as error:
                log("alarm not handled", endpoint=self.endpoint, alarm=alarm, error=str(error))
                failures.append(error)
            else:
                each(answers[-1])
        if failures:
            raise failures[0]
        return tuple(answers)

    def record(self, state: RolloutState) -> int:
        """Store the audit records that wait; how many these were.

        Raises:
            RolloutError: Something of it cannot be stored; the next call continues.
        """
        return self.recorder.put() if self.recorder is not None and state.audit.waiting else 0


def mirror(
    mlflow: Callable[[], AbstractContextManager[Api]],
    shelf: Shelf,
    state: RolloutState,
    manifest: Callable[[Release], bytes],
    now: float,
) -> tuple[str, ...] | None:
    """Show in MLflow how the rollouts of an endpoint stand. What fails is logged, as nothing waits for a mirror.

    Args:
        mlflow: Opens MLflow's API for a short time.
        shelf: Where the endpoint's builds are.
        state: Its journal.
        manifest: The manifest of a release's package, after its digest was verified.
        now: Epoch seconds.

    Returns:
        The packages that MLflow does not know yet; None when it failed.
    """
    from tracking.mirror import mirror as compare  # noqa: PLC0415 - see above

    try:
        with mlflow() as api:
            unknown = compare(api, shelf, state, manifest, now)
    except Exception as error:  # whatever it is
        log("not mirrored", endpoint=state.endpoint, error=f"{type(error).__name__}: {error}")
        return None
    if unknown:
        log("not mirrored", endpoint=state.endpoint, unknown=list(unknown), until="the update that began it has ended")
    return unknown
