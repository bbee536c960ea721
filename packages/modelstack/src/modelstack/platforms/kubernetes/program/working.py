"""Processes the endpoints: ticks, wakes and audit records, with retries and metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from modelstack.monitoring.alarms.alarm import Alarm
from modelstack.monitoring.alarms.response import AlarmResponse
from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.program.counts import ANSWERS, CARRIED, FAILURES, PHASE, TICKS, Counts
from modelstack.platforms.kubernetes.program.known import Known
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.controller.loop import POLL, Progress
from modelstack.rollout.controller.outbox import CLAIM_SECONDS
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.firing_alarms import matters
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.worker import Worker

REST = 900.0  # seconds between two looks at an endpoint at rest: a release, an alarm or a person wakes the controller
WATCHED = 30.0  # seconds, while an alarm would still roll the champion back
MOVING = 2.0  # seconds, while the endpoint has to change
_FAILING = 15.0  # the longest pause after a failure
AGAIN = 2.0  # seconds until an unanswered wake is retried
WAKE_SECONDS = 120.0  # seconds of these retries; by then the ticks have found the alarm
ACT_SECONDS = 45.0  # seconds for which one alarm's rollback is tried
_UNFORESEEN = 60.0  # seconds until an endpoint is looked at again whose journal or spec cannot be read
_PASSING = (Busy, Unreachable, Conflict)


def pause(seen: Progress, now: float, every: float, *, unrecorded: bool = False) -> float:
    """Seconds until the next look; `every` is the time between two looks at a trial."""
    state = seen.state
    if not seen.in_time:
        return min(POLL, every)
    if state.phase is Phase.BAKING and (state.step_started_at is not None or state.reduced):
        return every
    if not state.at_rest:
        return min(MOVING, every)
    if state.on_trial:
        return every
    if state.outbox:
        return CLAIM_SECONDS + POLL
    return WATCHED if unrecorded or matters(state, now) else REST


def after_failures(failures: int, every: float) -> float:
    """Seconds until the next try, after this many failures in a row."""
    return min(_FAILING, every * 2 ** min(failures - 1, 10))


@dataclass(frozen=True)
class DrivenRollout:
    """A Rollout: seconds between two observations of a trial, and the firing alarms of its variants.

    `show` publishes whether the champion has ready pods.
    """

    worker: Worker
    every: float
    firing: Callable[[RolloutState], tuple[Alarm, ...]]
    show: Callable[[RolloutState, Live | None], None] = lambda *_: None


@dataclass
class Working:
    """The endpoints by name. Thread-safe. `make` builds an endpoint; `now` gives epoch seconds."""

    make: Callable[[str, RolloutSpec], DrivenRollout]
    counts: Counts
    now: Callable[[], float] = time.time
    known: Known = field(default_factory=Known)
    _made: dict[str, tuple[RolloutSpec, DrivenRollout]] = field(
        default_factory=dict[str, tuple[RolloutSpec, DrivenRollout]]
    )
    _failures: dict[str, int] = field(default_factory=dict[str, int])
    _told: dict[str, object] = field(default_factory=dict[str, object])
    _woken: dict[str, float] = field(default_factory=dict[str, float])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, rollout: dict[str, Any]) -> None:
        """Store a new or changed Rollout."""
        self.known.learn(rollout)

    def forget(self, name: str) -> None:
        """Remove a deleted Rollout."""
        with self._lock:
            for known in (self._made, self._failures, self._told, self._woken):
                known.pop(name, None)
        self.known.forget(name)
        for measure in (TICKS, FAILURES, ANSWERS, PHASE, CARRIED):
            self.counts.forget(measure, endpoint=name)

    def tick(self, name: str) -> float | None:
        """Look at an endpoint; seconds until the next look, None if it is gone."""
        try:
            endpoint = self._endpoint(name)
            seen = endpoint.worker.controller.tick()
        except Exception as error:
            return self._failed(name, "tick", error) if self.known.has(name) else None
        self._failures.pop(name, None)
        self._seen(name, seen)
        try:
            endpoint.show(seen.state, seen.live)
        except Exception as error:  # the next look does
            self._count_failure(name, "show", error)
        recorded = self._record(name, endpoint, seen)
        return pause(seen, self.now(), endpoint.every, unrecorded=not recorded)

    def answer(self, name: str) -> float | None:
        """Answer a wake; seconds until a retry, None if it is done."""
        since = self._woken.setdefault(name, self.now())
        try:
            endpoint = self._endpoint(name)
            firing = endpoint.firing(endpoint.worker.journal.read())
            endpoint.worker.answer(firing, patience=lambda: ACT_SECONDS, each=partial(self._answered, name))
        except Exception as error:
            if self.known.has(name):
                self._count_failure(name, "wake", error)
                if self.now() - since < WAKE_SECONDS:
                    return AGAIN
        self._woken.pop(name, None)
        return None

    def well(self, name: str) -> bool:
        """Whether the last look at an endpoint succeeded."""
        return name not in self._failures

    def _endpoint(self, name: str) -> DrivenRollout:
        spec = self.known.spec(name)
        with self._lock:
            if name not in self._made or self._made[name][0] != spec:
                self._made[name] = spec, self.make(name, spec)
            return self._made[name][1]

    def _answered(self, name: str, answer: AlarmResponse) -> None:
        self.counts.add(ANSWERS, endpoint=name, action=answer.action)
        log("alarm", endpoint=name, **answer.as_dict())

    def _record(self, name: str, endpoint: DrivenRollout, seen: Progress) -> bool:
        """Write the audit record; whether it succeeded. Moving traffic does not wait for it."""
        try:
            put = endpoint.worker.record(seen.state)
        except Exception as error:
            self._count_failure(name, "record", error)
            return False
        if put:
            log("audit", endpoint=name, records=put)
        return True

    def _failed(self, name: str, work: str, error: Exception) -> float:
        self._count_failure(name, work, error)
        self._failures[name] = self._failures.get(name, 0) + 1
        if not isinstance(error, _PASSING):
            return _UNFORESEEN
        made = self._made.get(name)
        return after_failures(self._failures[name], made[1].every if made else MOVING)

    def _count_failure(self, name: str, work: str, error: Exception) -> None:
        kind = type(error).__name__
        self.counts.add(FAILURES, endpoint=name, work=work, error=kind)
        log(
            f"{work} failed", endpoint=name, error=str(error) if isinstance(error, RolloutError) else f"{kind}: {error}"
        )

    def _seen(self, name: str, seen: Progress) -> None:
        """Log a changed state."""
        phase = seen.state.phase.value
        self.counts.add(TICKS, endpoint=name)
        self.counts.put(CARRIED, self.now(), endpoint=name)
        self.counts.forget(PHASE, endpoint=name)
        self.counts.put(PHASE, 1.0, endpoint=name, phase=phase)
        told = (phase, seen.state.step, seen.doing)
        if self._told.get(name) != told:
            self._told[name] = told
            shares = seen.live.shares() if seen.live else None
            log("tick", endpoint=name, phase=phase, step=seen.state.step, live=shares, doing=seen.doing)
