"""A simulated platform: the ports in memory, on a manual clock.

    world = World(configs={"solo-a": {"v-a": 1}, "pair": {"v-a": 1, "v-b": 0}}, serving="solo-a")
    world.error_rates["v-b"] = 0.5
    world.controller().follow(seconds=600)

It behaves as SageMaker does: weights are relative, a config has its own weights, every change takes a while, and
meanwhile other changes are refused.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from modelstack.records.audit.record import AuditRecord
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.ports import Alarms, Journal, Notify, Quantile, Registry, Replay, Signals, Traffic
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.failing import FAILED, UNANSWERED
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.live import Approval, Live, Variant
from modelstack.rollout.core.plan import ERRORS, Guard
from modelstack.rollout.core.state import Replayed, RolloutState
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.services.counters import COUNTED, CountedWindow, Counters, CountQuery
from modelstack.services.signals import CountedSignals
from tests.simulator.answers import Answered

_HISTORY = 3 * 3600


class Watcher(Protocol):
    def pass_time(self, now: float, seconds: float) -> None:
        """So many seconds have passed, and it is now."""


class ManualClock:
    """A clock that moves only by `sleep`, second by second."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self.watchers: list[Watcher] = []

    def time(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        left = seconds
        while left > 0:
            part = min(1.0, left)
            self._now += part
            left -= part
            for watcher in self.watchers:
                watcher.pass_time(self._now, part)


@dataclass
class World:
    """One endpoint with its traffic, metrics, journal, registry and notifications.

    Attributes:
        configs: Endpoint config -> relative weight per variant.
        shadows: Config -> the variant that it copies requests to, and the percent of them.
        error_rates: Variant -> the share of its requests that fail.
        latencies: Variant -> the median of its log-normal latency, ms; 10 by default.
        slow: Variant -> the share of its answers that take longer, and their median, ms.
        correct: Variant -> the share of its answers that labels prove right.
        label_seconds: From an answer to its label.
        count_seconds: From labels and captured answers to their counting.
        replays: Variant -> the result of its replay.
        replay_problem: Why captured requests cannot be replayed; empty when they can.
        broken: Configs that never come up without naming a variant: the endpoint falls back.
        silent: Configs that never come up: the endpoint falls back without a reason.
        shown_after: Seconds in which an endpoint still looks as before a change.
        unstartable: Variants whose new instances, and so any config that has them, do not come up.
        last_words: Variant -> the last line in the log of an instance that does not come up.
        unanswered: Variant -> the share of its requests that none of its instances answers.
        metrics_problem: Why metrics are unreachable; empty when they are not.
        metrics_known_until: A time whose later windows are not counted yet; None counts each at once.
        metrics_hidden: Whether the window that begins at a time is never counted.
    """

    configs: dict[str, dict[str, float]]
    serving: str
    shadows: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    error_rates: dict[str, float] = field(default_factory=dict[str, float])
    latencies: dict[str, float] = field(default_factory=dict[str, float])
    slow: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    correct: dict[str, float] = field(default_factory=dict[str, float])
    label_seconds: float = 0.0
    count_seconds: float = 0.0
    replays: dict[str, Replayed] = field(default_factory=dict[str, Replayed])
    replay_problem: str = ""
    requests_per_second: float = 20.0
    change_seconds: float = 3.0
    broken: set[str] = field(default_factory=set[str])
    silent: set[str] = field(default_factory=set[str])
    shown_after: float = 0.0
    unstartable: set[str] = field(default_factory=set[str])
    last_words: dict[str, str] = field(default_factory=dict[str, str])
    firing: tuple[VariantAlarm, ...] = ()
    unanswered: dict[str, float] = field(default_factory=dict[str, float])
    metrics_problem: str = ""
    metrics_known_until: float | None = None
    metrics_hidden: Callable[[int], bool] = lambda _: False
    unsendable: bool = False
    unwritable: bool = False
    seed: int = 1
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._weights = dict(self.configs[self.serving])
        self._pending: tuple[float, str, dict[str, float]] | None = None
        self._detail = ""
        self._modified = self._modified_before = self.clock.time()
        self._owed = 0.0
        self.answered = Answered(self._random)
        self.lost: list[tuple[float, str, int]] = []
        self.windows: dict[object, dict[int, CountedWindow]] = {}
        self.guards: list[Guard | None] = []
        self.state = RolloutState("endpoint")
        self.approvals: dict[str, Approval] = {}
        self.sent: list[Event] = []
        self.records: list[AuditRecord] = []
        self.served: dict[str, int] = {}
        self.clock.watchers.append(self)

    def controller(
        self,
        *,
        traffic: Traffic | None = None,
        journal: Journal | None = None,
        registry: Registry | None = None,
        notify: Notify | None = None,
        replay: Replay | None = None,
        alarms: Alarms | None = None,
        signals: Signals | None = None,
    ) -> Controller:
        """A controller of its own over this world, with other ports where they are given; any number may be used."""
        return Controller(
            traffic=traffic or MemoryTraffic(self),
            signals=signals or CountedSignals(MemoryCounters(self)),
            alarms=alarms or MemoryAlarms(self),
            journal=journal or MemoryJournal(self),
            registry=registry or MemoryRegistry(self),
            replay=replay or MemoryReplay(self),
            clock=self.clock,
            notify=notify or MemoryNotify(self),
        )

    def live(self) -> Live:
        """What the endpoint says of itself."""
        going = self._pending[2] if self._pending and self._pending[1] == self.serving else self._weights
        variants = {name: Variant(weight, going.get(name, weight), 1) for name, weight in self._weights.items()}
        copied = self.shadows.get(self.serving)
        shadows = {copied[0]: Variant(copied[1], copied[1], 1)} if copied else {}
        begun = self.clock.time() - self._modified >= self.shown_after
        status = "changing" if self._pending and begun else "ready"
        modified = self._modified if begun else self._modified_before
        return Live(status, self.serving, variants, self._detail or status, shadows, self._detail, modified)

    def change(self, config: str, weights: Mapping[str, float]) -> None:
        if self._pending:
            raise Busy("cannot update an endpoint that is Updating")
        self._modified_before, self._modified = self._modified, self.clock.time()
        self._pending = (self._modified + self.change_seconds, config, dict(weights))

    def pass_time(self, now: float, seconds: float) -> None:
        self._owed += self.requests_per_second * seconds
        arrived = int(self._owed)
        self._owed -= arrived
        if arrived:
            self._serve(arrived, now - seconds / 2)
        if self._pending and now >= self._pending[0]:
            _, config, weights = self._pending
            self._pending = None
            failed = sorted(weights.keys() & self.unstartable) if config != self.serving else []
            if failed:
                said = self.last_words.get(failed[0], "")
                why = f"the container for production variant {failed[0]} did not pass the ping health check"
                self._detail = f"{why}: {said}" if said else why
            elif config in self.broken:
                self._detail = f"{config} did not come up: no capacity"
            elif config in self.silent:
                self._detail = ""
            else:
                self.serving, self._weights, self._detail = config, weights, ""

    def _serve(self, requests: int, at: float) -> None:
        copied = self.shadows.get(self.serving)
        for variant, count in Counter(self._chosen(requests)).items():
            self.served[variant] = self.served.get(variant, 0) + count
            lost = self.loses(variant, count, at)
            self.answers(variant, at, count, lost, self._answer(variant, count - lost, at))
            if copied:
                self._answer(copied[0], self.answered.some_of(count, copied[1] / 100), at)

    def _chosen(self, requests: int) -> list[str]:
        weights = list(self._weights.values()) if any(self._weights.values()) else None
        return self._random.choices(list(self._weights), weights, k=requests)

    def answers(self, variant: str, at: float, count: int, lost: int, failed: int) -> None:
        """So many requests came to a variant; for those who listen."""

    def loses(self, variant: str, count: int, at: float) -> int:
        """How many of a variant's requests none of its instances answers."""
        share = self.unanswered.get(variant, 0.0)
        lost = self.answered.some_of(count, share) if share else 0
        self.lost += [(at, variant, lost)] if lost else []
        return lost

    def _answer(self, variant: str, count: int, at: float) -> int:
        """Let a variant answer; how many of its answers failed."""
        failing, median = self.error_rates.get(variant, 0.0), self.latencies.get(variant, 10.0)
        share, longer = self.slow.get(variant, (0.0, 0.0))
        slow = self.answered.some_of(count, share)
        failed = self.answered.add(variant, at, count - slow, failing=failing, median=median)
        if slow:
            failed += self.answered.add(variant, at, slow, failing=failing, median=longer)
        if variant in self.correct:
            self.answered.label(
                variant, at + self.label_seconds + self.count_seconds, count, right=self.correct[variant]
            )
        return failed


@dataclass
class MemoryTraffic:
    world: World

    def read(self) -> Live:
        return self.world.live()

    def set_weights(self, weights: Mapping[str, int]) -> None:
        live = self.world.live()
        unknown = weights.keys() - live.variants.keys()
        if unknown:
            raise RolloutError(f"the endpoint has no variant {', '.join(sorted(unknown))}")
        now = {name: variant.weight for name, variant in live.variants.items()}
        self.world.change(live.config, {**now, **weights})

    def use_config(self, name: str, guard: Guard | None = None) -> bool:
        if name not in self.world.configs:
            raise RolloutError(f"there is no endpoint config {name}")
        live = self.world.live()
        beside = live.variants.keys() | live.shadows.keys()
        if guard is not None and self.world.configs[name].keys() != beside:
            raise RolloutError(f"a guarded deployment needs the variants that serve: {', '.join(sorted(beside))}")
        self.world.change(name, self.world.configs[name])
        self.world.guards.append(guard)
        return True


@dataclass
class MemoryCounters(Counters):
    """`Counters` whose latencies are milliseconds."""

    world: World

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        """The closed windows, and an open one with all answers that were counted by now."""
        self._reach()
        # What is over stays as it was: a trial of weeks is read as often as it has windows.
        cuts = str(query.cuts)
        closed = self.world.windows.setdefault((query.variants, query.seconds, query.metrics, cuts), {})
        times = range(*query.grid, query.seconds)
        for at in times:
            if at not in closed:
                closed[at] = CountedWindow(at, {name: self._tallies(query, at, name) for name in query.variants})
        until = self.world.metrics_known_until
        known = [not self.world.metrics_hidden(at) and (until is None or at + query.seconds <= until) for at in times]
        found = [closed[at] if is_ else CountedWindow(at, {}) for at, is_ in zip(times, known, strict=True)]
        if query.captured:
            found.append(
                CountedWindow(times.stop, {name: self._counted(query, name) for name in query.variants}, False)
            )
        return found

    def _tallies(self, query: CountQuery, at: int, variant: str) -> dict[str, Tally]:
        def tally(metric: Metric, cut: float | None = None) -> Tally:
            return self.world.answered.tally(metric, variant, at, at + query.seconds, cut)

        found = {metric.name: tally(metric) for metric in query.metrics}
        found |= {name: tally(KNOWN["latency_p99"], cut) for name, cut in query.cuts.get(variant, {}).items()}
        errors = tally(ERRORS)
        lost = sum(n for when, name, n in self.world.lost if name == variant and at <= when < at + query.seconds)
        return {**found, ERRORS.name: errors, FAILED: errors, UNANSWERED: Tally(errors.count + lost, lost)}

    def _counted(self, query: CountQuery, variant: str) -> dict[str, Tally]:
        answers = self.world.answered.tally(KNOWN["invalid_answers"], variant, query.start, self._until(query), None)
        return {COUNTED: answers}

    def _until(self, query: CountQuery) -> float:
        return self.world.clock.time() - self.world.count_seconds

    def _reach(self) -> None:
        if self.world.metrics_problem:
            raise Unreachable(self.world.metrics_problem)

    def captured(self) -> float:
        return 1.0

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        self._reach()
        ordered = sorted(self.world.answered.milliseconds(variant, start, end))
        return Quantile(ordered[int(quantile * len(ordered))], len(ordered)) if ordered else None


@dataclass
class MemoryAlarms:
    world: World

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        return self.world.firing


@dataclass
class MemoryReplay:
    world: World

    def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
        """What the world says of the challenger; a clean replay when it says nothing."""
        if self.world.replay_problem:
            raise Unreachable(self.world.replay_problem)
        now = self.world.clock.time()
        captured = self.world.answered.count(champion, now - _HISTORY, now)
        return self.world.replays.get(challenger, Replayed(min(requests, captured), 0, 0, 1.0))


@dataclass
class MemoryJournal:
    """`Journal` whose writes pass through JSON; audit records are stored with each write."""

    world: World
    by: str = "test"

    def read(self) -> RolloutState:
        return self.world.state

    def write(self, state: RolloutState) -> RolloutState:
        if self.world.unwritable:
            raise Unreachable("the journal does not answer")
        if state.revision != self.world.state.revision:
            raise Conflict(f"the journal is at revision {self.world.state.revision}, not at {state.revision}")
        after = state.written(self.by)
        self.world.records += after.audit.waiting
        after = replace(after, audit=after.audit.kept(after.audit.number))
        self.world.state = RolloutState.from_json(after.to_json())
        return self.world.state


@dataclass
class MemoryRegistry:
    world: World

    def approval(self, package: str) -> Approval:
        return self.world.approvals.get(package, "PendingManualApproval")

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        if not why:
            raise Unreachable("an approval needs its reason")
        self.world.approvals[package] = approval


@dataclass
class MemoryNotify:
    world: World

    def send(self, event: Event) -> None:
        if self.world.unsendable:
            raise Unreachable("the topic does not answer")
        self.world.sent.append(event)
