"""The duties of a controller for one endpoint, run by a function for each duty, or by one process for all.

Every duty may be called by several processes at once, late, or twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelstack.monitoring.alarms.alarm import Alarm, NotAnAlarm
from modelstack.monitoring.alarms.outage import Outage
from modelstack.monitoring.alarms.response import AlarmResponse, respond
from modelstack.monitoring.log import log
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.ports import Journal
from modelstack.rollout.controller.recorder import Recorder
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState

if TYPE_CHECKING:  # a stack without an MLflow needs none of it
    from modelstack.records.tracking.api import Api
    from modelstack.records.tracking.logged import Shelf


@dataclass(frozen=True)
class Worker:
    """The duties for one endpoint."""

    endpoint: str
    controller: Controller
    journal: Journal
    outage: Outage
    recorder: Recorder | None = None

    def answer(
        self,
        alarms: Iterable[Alarm | NotAnAlarm],
        *,
        patience: Callable[[], float],
        each: Callable[[AlarmResponse], None],
    ) -> tuple[AlarmResponse, ...]:
        """Act on every alarm, whichever fails; `each` is called with each response as soon as it is known.

        `patience` gives the seconds to try a rollback while the endpoint does not take it. Raises `RolloutError` at the
        end if an alarm could not be acted upon, and must be delivered again.
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
        """Store the pending audit records; returns how many. After a `RolloutError` the next call continues."""
        return self.recorder.put() if self.recorder is not None and state.audit.waiting else 0


def mirror(
    mlflow: Callable[[], AbstractContextManager[Api]],
    shelf: Shelf,
    state: RolloutState,
    manifest: Callable[[Release], bytes],
    now: float,
) -> tuple[str, ...] | None:
    """Show the rollouts of an endpoint in MLflow. Failures are logged, as nothing waits for a mirror.

    Returns the packages that MLflow does not know yet; None if it failed.
    """
    from modelstack.records.tracking.mirror import mirror as compare  # noqa: PLC0415 - see above

    try:
        with mlflow() as api:
            unknown = compare(api, shelf, state, manifest, now)
    except Exception as error:  # whatever it is
        log("not mirrored", endpoint=state.endpoint, error=f"{type(error).__name__}: {error}")
        return None
    if unknown:
        log("not mirrored", endpoint=state.endpoint, unknown=list(unknown), until="the update that began it has ended")
    return unknown
