"""What does the judge say of equal models on instances that queue? Whole trials over a discrete-event simulation.

Requests wait in the queue of an instance, whose workers take them in turn. Now and then all of its workers pause, as
for a collection of garbage. Who would wait too long is answered 503 and tries again. A latency is what a container
would measure: waiting and service. In this world stalls are neither told nor drawn: they are what a pause leaves behind
until its queue is worked off.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bench.judge import ALPHA, interval
from bench.rows import Row
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import TrialObservations, decide
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Metric, Tally, Window

MINUTE = 60.0
RUNS = 100
P90, P99 = KNOWN["latency_p90"], KNOWN["latency_p99"]
_WARM = 30  # minutes in which the champion's quantile is learned
_ERRORS = _INVALID = 0.002  # of answers that nothing troubles
_SERVICE, _SPREAD = 0.03, 0.5  # median seconds of one answer, and their deviation on a log scale
_BACKOFF = 0.5


@dataclass(frozen=True)
class World:
    """A fleet; times are seconds.

    Attributes:
        rate: Requests a second for both versions.
        instances: Of each version.
        workers: Of an instance.
        every: Between two pauses of an instance, on average.
        pause: How long one lasts on average.
        refuse: Who would wait longer is answered 503.
        retries: How often such a request is tried again.
    """

    rate: float = 20.0
    instances: int = 2
    workers: int = 4
    every: float = 300.0
    pause: float = 3.0
    refuse: float = math.inf
    retries: int = 0


WORLDS = {
    "pauses of 3 s each 300 s, two instances": World(),
    "pauses of 3 s each 1,200 s, one instance": World(every=1200, instances=1),
    "the same with 503 beyond a second, tried three times more": World(
        every=1200, instances=1, refuse=1.0, retries=3
    ),
}  # fmt: skip


@dataclass
class _Instance:
    """When each worker is free, and the pauses to come."""

    free: list[float]
    pauses: Iterator[tuple[float, float]]
    pause: tuple[float, float]

    def start(self, at: float) -> float:
        """When a request that comes now begins to be served."""
        while self.pause[0] <= max(at, min(self.free)):
            begins, lasts = self.pause
            self.free = [max(each, begins) + lasts for each in self.free]
            self.pause = next(self.pauses)
        return max(at, min(self.free))


@dataclass
class _Count:
    """What one version did in a minute."""

    requests: int = 0
    failed: int = 0
    invalid: int = 0
    latencies: list[float] = field(default_factory=list)


class Fleet:
    """A champion and a challenger that are alike, minute by minute.

    Args:
        world: What they run on.
        seed: Decides everything.
        latency: The quantile of latency that is compared.
    """

    def __init__(self, world: World, seed: int, latency: Metric) -> None:
        self._world, self._random, self._latency = world, random.Random(seed), latency
        self._versions = [[self._instance() for _ in range(world.instances)] for _ in range(2)]
        self._queue: list[tuple[float, int]] = []  # when a request comes, and how often it may be tried again
        self.now, self._pivot = 0.0, math.inf
        seen = [latency for _ in range(_WARM) for latency in self._run(0.0)[0].latencies]
        assert latency.quantile is not None
        self._pivot = float(np.quantile(seen, latency.quantile))

    def minute(self, weight: float) -> Window:
        """The next minute, with so many percent of the requests for the challenger."""
        began, counts = self.now, self._run(weight)
        sides = [
            {
                "errors": Tally(count.requests, count.failed),
                "failed": Tally(count.requests, count.failed),
                self._latency.name: Tally(len(count.latencies), sum(latency > cut for latency in count.latencies)),
                "invalid_answers": Tally(len(count.latencies), count.invalid),
            }
            for count, cut in zip(counts, (self._pivot, (1 + self._latency.margin) * self._pivot), strict=True)
        ]
        return Window(began, MINUTE, *sides)

    def _instance(self) -> _Instance:
        pauses = self._pauses()
        return _Instance([0.0] * self._world.workers, pauses, next(pauses))

    def _pauses(self) -> Iterator[tuple[float, float]]:
        at = 0.0
        while True:
            at += self._random.expovariate(1 / self._world.every)
            lasts = self._random.expovariate(1 / self._world.pause)
            yield at, lasts
            at += lasts

    def _run(self, weight: float) -> list[_Count]:
        counts, until = [_Count(), _Count()], self.now + MINUTE
        at = self.now
        while (at := at + self._random.expovariate(self._world.rate)) < until:
            heapq.heappush(self._queue, (at, self._world.retries))
        while self._queue and self._queue[0][0] < until:
            at, left = heapq.heappop(self._queue)
            version = self._random.random() * 100 < weight
            if not self._served(at, version, counts[version]) and left:
                heapq.heappush(self._queue, (at + self._random.expovariate(1 / _BACKOFF), left - 1))
        self.now = until
        return counts

    def _served(self, at: float, version: bool, count: _Count) -> bool:
        count.requests += 1
        instance = self._random.choice(self._versions[version])
        start = instance.start(at)
        if start - at > self._world.refuse or self._random.random() < _ERRORS:
            count.failed += 1
            return False
        ends = start + _SERVICE * math.exp(self._random.gauss(0, _SPREAD))
        instance.free[instance.free.index(min(instance.free))] = ends
        count.latencies.append(ends - at)
        count.invalid += self._random.random() < _INVALID
        return True


def plan(latency: Metric) -> Plan:
    """The default one: 10%, then 50%, at least five minutes each, and an hour at most."""
    metrics = (KNOWN["errors"], latency, KNOWN["invalid_answers"])
    return Plan((Step(10, 300), Step(50, 300)), metrics, max_seconds=60 * MINUTE, max_failed=0.05)


def trial(world: World, seed: int, latency: Metric) -> str:
    """How a trial of two equal models ends: `promoted`, `worse`, or `no verdict` within its time."""
    fleet, course = Fleet(world, seed, latency), plan(latency)
    began = fleet.now
    state = RolloutState("e", phase=Phase.BAKING, plan=course, step=0, started_at=began, step_starts=(began,))
    windows: list[Window] = []
    while True:
        windows.append(fleet.minute(course.weight(state.step)))
        done = decide(course, state, TrialObservations(tuple(windows)), fleet.now + course.settle)
        if done.action == "advance":
            state = replace(state, step=state.step + 1, step_starts=(*state.step_starts, fleet.now))
        elif done.action == "promote":
            return "promoted"
        elif done.action == "roll_back":
            return "worse" if done.findings is not None and done.findings.answer == "worse" else "no verdict"


def rows(runs: int = RUNS) -> list[Row]:
    """How often equal models are found worse, and how often an hour is too short for a verdict."""
    ended = {
        (name, latency.name): Counter(trial(world, seed, latency) for seed in range(runs))
        for name, world in WORLDS.items()
        for latency in (P99, P90)
    }
    worse = max(each["worse"] for each in ended.values())
    found = "; ".join(f"{name}, {metric}: {interval(each['worse'], runs)}" for (name, metric), each in ended.items())
    left = max(each["no verdict"] for (_, metric), each in ended.items() if metric == P90.name)
    told = "; ".join(f"{name}, {metric}: {each['no verdict']} of {runs}" for (name, metric), each in ended.items())
    return [
        Row("false_rollback_rate_fleet", worse / runs, "share", f"<= {ALPHA}", f"instances that queue. {found}"),
        Row("no_verdict_rate_fleet", left / runs, "share", "<= 0.05", f"of latency_p90 in an hour. {told}"),
    ]
