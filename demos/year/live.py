"""The year on a live endpoint: its traffic, and a release for each candidate that a retraining leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from demos.year.facts import Year, start
from demos.year.observations import alarms, evidence, joined
from demos.year.plan import Doing, Plan
from demos.year.traffic import Traffic, raised
from demos.year.watcher import Watcher
from modelstack.cli.again import again
from modelstack.cli.console.figure import Span
from modelstack.cli.errors import OperatorError
from modelstack.cli.labels import LateLabels
from modelstack.cli.local.stack import Stack
from modelstack.cli.replay import events
from modelstack.cli.target import Target
from modelstack.monitoring.labels.quality import Form

_LOOK_S = 0.5
_WATCH_S = 1.0
_COUNT_S = 3.0
_TELL_S = 10.0
_PATIENCE_S = 60.0  # without one more pair, no label is waited for
_DAY = 86_400

Say = Callable[[str], None]


class Live:
    """One year of one stack.

    Args:
        stack: What is released.
        target: Its endpoint, which serves.
        plan: What is replayed.
        said: What the model's answers mean.
        say: Told what happens.
    """

    def __init__(self, stack: Stack, target: Target, plan: Plan, said: Form, say: Say) -> None:
        self._stack, self._target, self._plan, self._say = stack, target, plan, say
        self._closed: set[str] = set()
        self._remarks: list[str] = []
        self._last = start(plan.until) - plan.last_release_days * _DAY
        self.watcher = Watcher(target, plan.look_s, self._refused)
        self._labels, self._behind, self._began = LateLabels(target, after=None), 0, time.time()
        self.traffic = Traffic(
            target,
            plan,
            events(plan.since, plan.until),
            said=said,
            labels=self._labels,
            doing=lambda: self.doing,
        )

    @property
    def doing(self) -> Doing:
        """What days are to take longer for."""
        return self.watcher.doing or ("labels" if self._behind > self._plan.labels_behind else "")

    def run(self) -> Year:
        """Let it pass; what other policies would have answered is still to be told.

        Raises:
            OperatorError: The replay ended early.
        """
        self._began = time.time()
        with again(_WATCH_S, self.watcher.tick):
            with self._labels, self.traffic:
                self._release_what_comes()
                raised(self.traffic)
            took = time.time() - self._began
            self._await_labels()
        self.watcher.look()
        return self._lived(took)

    def _release_what_comes(self) -> None:
        told = counted = 0.0
        while not self.traffic.over:
            if time.monotonic() - counted > _COUNT_S:
                counted = time.monotonic()
                self._behind = self._waiting_to_be_joined()
            if time.monotonic() - told > _TELL_S:
                told = time.monotonic()
                self._tell()
            if release := self.watcher.candidate:
                self._release(release)
            else:
                threading.Event().wait(_LOOK_S)

    def _waiting_to_be_joined(self) -> int:
        """Answers whose label the stack has not counted yet, nearly all of them older than a day; as of the last look
        if CloudWatch does not answer.
        """
        try:
            return len(self.traffic.answered.losses) - self._joined()
        except OperatorError:
            return self._behind

    def _joined(self) -> int:
        return joined(self._target, list(self.watcher.seen.variants), _span(self._began))

    def _refused(self, release: str) -> bool:
        """Whether a candidate had its update already, or comes so late that its trial would run out of requests."""
        return release in self._closed or self._time() >= self._last

    def _release(self, release: str) -> None:
        """Put a candidate on trial and wait for the verdict, as a pipeline would; a rollback is an outcome."""
        self._closed.add(release)
        self.watcher.updating = True
        self._say(f"{self._day()}: pulumi up, with {release}")
        done = self._stack.up()
        self.watcher.updating = False
        self.watcher.look()
        verdict = next((one for one in self.watcher.seen.verdicts.values() if one.release == release), None)
        said = verdict.outcome.replace("_", " ") if verdict else f"no verdict: {done.error}"
        self._say(f"{self._day()}: {release} {said}")
        if verdict is None:
            self._remarks.append(f"{self._day()}: `pulumi up` with {release} came to no verdict: {done.error}")

    def _await_labels(self) -> None:
        """Until the stack has counted every pair, or counts no more."""
        counted, changed = -1, time.monotonic()
        while counted < len(self.traffic.answered.losses) and time.monotonic() - changed < _PATIENCE_S:
            now = self._joined()
            if now != counted:
                counted, changed = now, time.monotonic()
            threading.Event().wait(1.0)

    def _lived(self, took: float) -> Year:
        seen, answered, clock = self.watcher.seen, self.traffic.answered, self.traffic.clock
        unsent = [f"labels were not sent: {self._labels.failure}"] if self._labels.unsent else []
        problems = [f"{count} times: {text}" for text, count in self.watcher.problems.items()]
        return Year(
            self._plan,
            took,
            replace(answered.counts, joined=self._joined()),
            alarms=tuple(alarms(self._target, self._began, clock)),
            retrainings=tuple(seen.retrainings(clock)),
            rollouts=tuple(seen.rollouts(clock)),
            evidence=evidence(self._target, seen.variants, _span(self._began), clock),
            served={day: dict(variants) for day, variants in answered.served.items()},
            remarks=(*self._remarks, *unsent, *problems),
        )

    def _tell(self) -> None:
        counts, doing = self.traffic.answered.counts, self.doing
        self._say(f"{self._day()}: {counts.events:,} events, {counts.failed} failed" + (f"; {doing}" * bool(doing)))

    def _time(self) -> float:
        return self.traffic.clock.at(time.time()) if self.traffic.clock.notes else 0.0

    def _day(self) -> str:
        return datetime.fromtimestamp(self._time() or start(self._plan.since), UTC).strftime("%Y-%m-%d")


def _span(began: float) -> Span:
    """The real time of the replay, in whole periods of the metrics."""
    return Span(began - 60, time.time() + 60)
