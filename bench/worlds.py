"""Worlds in which two versions answer, request by request, and trials in them as the controller sees them; no cloud.

World(effects=(stalls, partial(retries, most=3))).trial(seed)    # "promoted", "worse", or "unknown"

Effects change the requests in turn. Without `worse` both versions are equal, whatever their answers depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from modelstack.platforms.kubernetes.metrics import nearest_edge
from modelstack.rollout.controller.look import Looker
from modelstack.rollout.controller.ports import Quantile
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import Decision
from modelstack.rollout.core.failing import FAILED
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Tally
from modelstack.services.counters import CountedWindow, Counters, CountQuery
from modelstack.services.signals import CountedSignals

MINUTE = 60.0
_BEFORE = 1800.0  # seconds before the trial, in which the champion alone answers
_OLD, _NEW = (replace(Release(*[name] * 11), variant=name) for name in ("old", "new"))
_BROKEN = -1  # the user whose failures are the client's own: 4XX
_MILLISECOND = 1000.0  # latencies are in microseconds, as on AWS and on Kubernetes

Random = np.random.Generator


@dataclass(frozen=True)
class Requests:
    """Arrays of one length, in the order of `times`, seconds since the trial began.

    Attributes:
        users: Who sends the request, a number.
        new: Whether the challenger answers it.
        known: When the label of the answer comes, or the failure is reported.
    """

    times: np.ndarray
    users: np.ndarray
    new: np.ndarray
    failed: np.ndarray
    latency: np.ndarray
    right: np.ndarray
    known: np.ndarray

    def columns(self) -> Iterator[np.ndarray]:
        """All arrays."""
        return (getattr(self, each.name) for each in fields(self))

    def chosen(self, which: np.ndarray) -> Requests:
        """Some of the requests."""
        return Requests(*(each[which] for each in self.columns()))

    def plus(self, more: Requests) -> Requests:
        """Both, in order."""
        both = Requests(*(np.concatenate(pair) for pair in zip(self.columns(), more.columns(), strict=True)))
        return both.chosen(np.argsort(both.times, kind="stable"))

    def swapped(self) -> Requests:
        """The same requests, the labels of the versions exchanged since the trial began."""
        return replace(self, new=(self.times >= 0) & ~self.new)


Effect = Callable[[Random, "World", Requests], Requests]
Chosen = Callable[[Random, "World", Requests], np.ndarray]


@dataclass(frozen=True)
class World:
    """How requests come, what happens to them, and how they are counted.

    Attributes:
        rate: Requests a second.
        shares: The challenger's percent of the requests, by step.
        minutes: Of each step.
        swing: By which share of its mean the load swings, once in `period` seconds.
        session: Requests of a user, on average; all go to one version.
        failing: The share of requests that fail without any effect.
        warm_up: As in `Plan.warm_up_requests`.
        lag: For how many minutes windows are incomplete: `thin` of their requests are missing.
        late: The share of windows that is not there at all for `lag` minutes.
        lost: The share of windows that is lost for one version; `lost_failing` of those in which it fails over 5%.
        lost_for_both: Whether these are lost for the other version, too.
        buckets: Whether latencies are counted at the bounds of the gateway's buckets only.
    """

    effects: tuple[Effect, ...] = ()
    metrics: tuple[str, ...] = ("errors",)
    rate: float = 8.0
    shares: tuple[int, ...] = (10, 25, 50)
    minutes: int = 20
    swing: float = 0.0
    period: float = 4800.0
    session: float = 1.0
    failing: float = 0.003
    warm_up: int = 0
    lag: int = 0
    thin: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    lost_failing: float = 0.0
    lost_for_both: bool = False
    buckets: bool = False
    counters: Callable[[Log], Counters] = field(default=lambda log: log)

    @property
    def end(self) -> float:
        """The trial's length in seconds."""
        return MINUTE * self.minutes * len(self.shares)

    @property
    def starts(self) -> list[float]:
        """When each step begins, seconds."""
        return [MINUTE * self.minutes * step for step in range(len(self.shares))]

    def step(self, times: np.ndarray) -> np.ndarray:
        """The step of each time."""
        return np.clip(times // (MINUTE * self.minutes), 0, len(self.shares) - 1).astype(int)

    def share(self, times: np.ndarray) -> np.ndarray:
        """The challenger's share of the requests, 0 to 1."""
        return np.where(times < 0, 0, np.array(self.shares)[self.step(times)] / 100)

    def load(self, times: np.ndarray) -> np.ndarray:
        """As a multiple of its mean."""
        return 1 + self.swing * np.sin(2 * np.pi * times / self.period)

    def plan(self) -> Plan:
        """A plan that ends by its verdict only."""
        metrics = tuple(KNOWN[name] for name in self.metrics)
        steps = tuple(Step(share, 300) for share in self.shares)
        return Plan(steps, metrics, max_seconds=2 * self.end, warm_up_requests=self.warm_up, max_failed=0.05)

    def play(self, source: Random) -> Requests:
        """The requests of a trial, and of the time before."""
        sessions = source.poisson(self.rate * (1 + self.swing) * (self.end + _BEFORE) / self.session)
        begin = source.uniform(-_BEFORE, self.end, sessions)
        begin = begin[source.random(sessions) * (1 + self.swing) < self.load(begin)]
        new = source.random(len(begin)) < self.share(begin)
        sizes = source.geometric(1 / self.session, len(begin))
        users = np.repeat(np.arange(len(begin)), sizes)
        times = begin[users] + (source.exponential(MINUTE, len(users)) if self.session > 1 else 0.0)
        return self.answered(source, times, users, new[users], self.failing)

    def answered(
        self, source: Random, times: np.ndarray, users: np.ndarray, new: np.ndarray, failing: float
    ) -> Requests:
        """Requests with answers that nothing has affected yet; those beyond the trial are left out."""
        count = len(times)
        failed, right = source.random(count) < failing, source.random(count) < 0.85
        made = Requests(times, users, new, failed, source.lognormal(np.log(0.08), 0.5, count), right, times)
        order = np.argsort(times, kind="stable")
        return made.chosen(order[((times < self.end) & ((times >= 0) | ~new))[order]])

    def requests(self, source: Random) -> Requests:
        """The requests of a trial after all effects."""
        requests = self.play(source)
        for effect in self.effects:
            requests = effect(source, self, requests)
        return requests

    def log(self, seed: int | Sequence[int], *, swapped: bool = False) -> Log:
        """What a seed gives."""
        source = np.random.default_rng(seed)
        requests = self.requests(source)
        return Log(self, requests.swapped() if swapped else requests, source)

    def trial(self, seed: int | Sequence[int], *, swapped: bool = False, every: int = 1) -> str:
        """How a trial ends that is looked at once in `every` minutes; its shares change by the clock alone."""
        for decision in self.log(seed, swapped=swapped).looks(every):
            if decision.findings is not None and decision.findings.answer == "worse":
                return "worse"
            if decision.action == "promote":
                return "promoted"
        return "unknown"


class Log:
    """`Counters` over the requests of a trial, and its clock."""

    def __init__(self, world: World, requests: Requests, source: Random) -> None:
        self.world, self.requests, self.now = world, requests, 0.0
        minutes = round(world.end / MINUTE)
        self._late = source.random(minutes) < world.late
        whole = [requests.chosen(requests.new == new) for new in (False, True)]
        part = [side.chosen(source.random(len(side.times)) >= world.thin) for side in whole]
        self._sides = part, whole
        grid = {"bins": minutes, "range": (0, world.end)}
        failing = [
            np.histogram(side.times[side.failed], **grid)[0] > 0.05 * np.histogram(side.times, **grid)[0]
            for side in whole
        ]
        self._lost = source.random((2, minutes)) < np.where(failing, world.lost_failing, world.lost)
        if world.lost_for_both:
            self._lost |= self._lost[::-1]
        self._tallies: dict[tuple[object, ...], Tally] = {}

    def looks(self, every: int = 1) -> Iterator[Decision]:
        """The controller's decisions, one in `every` minutes."""
        world, looker = self.world, Looker(CountedSignals(self.world.counters(self)), self)
        plan, starts = world.plan(), world.starts
        state = RolloutState("e", phase=Phase.BAKING, champion=_OLD, challenger=_NEW, plan=plan)
        for minute in range(every, round(world.end / MINUTE) + 1, every):
            self.now = MINUTE * minute + plan.settle
            step = (minute - 1) // world.minutes
            state = replace(state, step=step, step_starts=tuple(starts[: step + 1]))
            decision, after = looker.look(state)
            if decision is None:  # it has fixed a pivot
                state, decision = after, looker.decide(after)
            assert decision is not None
            yield decision

    def time(self) -> float:
        """The clock."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """The clock moves by `looks` alone."""

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        """See `Counters`."""
        found: list[CountedWindow] = []
        for at in range(*query.grid, query.seconds):
            minute = int(at / MINUTE)
            settled = not self.world.lag or at + query.seconds + MINUTE * self.world.lag <= query.end
            if not settled and self._late[minute]:
                continue
            known = [name for new, name in enumerate(query.variants) if not self._lost[new, minute]]
            found.append(CountedWindow(at, {name: self._of(query, name, at, settled) for name in known}))
        return found

    def _of(self, query: CountQuery, name: str, at: int, settled: bool) -> dict[str, Tally]:
        new, kept = name == _NEW.variant, self._tallies
        side, key = self._sides[settled][new], (name, at, settled)
        begin, end = np.searchsorted(side.times, (at, at + query.seconds))
        if key not in kept:
            failed, refused = side.failed[begin:end], side.users[begin:end] == _BROKEN
            kept[key] = Tally(int(end - begin), int(failed.sum()))
            kept[*key, FAILED] = Tally(int(end - begin), int((failed & ~refused).sum()))
        found = {"errors": kept[key], FAILED: kept[*key, FAILED]}
        for which, cut in query.cuts.get(name, {}).items():
            if (*key, cut) not in kept:
                slow = np.count_nonzero(side.latency[begin:end] * 1000 * _MILLISECOND > cut)
                kept[*key, cut] = Tally(int(end - begin), int(slow))
            found[which] = kept[*key, cut]
        for metric in query.metrics:
            if (*key, metric) not in kept:
                came = (side.known >= at) & (side.known < at + query.seconds) & (side.times >= 0)
                came &= self.world.step(side.times) == self.world.step(np.array(at))
                kept[*key, metric] = Tally(int(came.sum()), int(side.right[came].sum()))
            found[metric.name] = kept[*key, metric]
        return found

    def cut(self, latency: float) -> float | None:
        """See `Counters`."""
        if not self.world.buckets:
            return latency
        edge = nearest_edge(latency / _MILLISECOND)
        return None if edge is None else edge * _MILLISECOND

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        """See `Counters`."""
        side = self._sides[True][variant == _NEW.variant]
        seen = side.latency[slice(*np.searchsorted(side.times, (start, end)))]
        return Quantile(float(np.quantile(seen, quantile)) * 1000 * _MILLISECOND, len(seen)) if len(seen) else None

    def captured(self) -> float:
        """See `Counters`."""
        return 0.0


@dataclass(frozen=True)
class Spells:
    """Spells that begin at random, on average one in `every` seconds, and last from `least` to `most` seconds."""

    every: float
    least: float
    most: float

    def draw(self, source: Random, world: World) -> tuple[np.ndarray, np.ndarray]:
        """Their begins and ends, in order."""
        count = source.poisson((world.end + _BEFORE) / self.every)
        begin = np.sort(source.uniform(-_BEFORE, world.end, count))
        return begin, begin + source.uniform(self.least, self.most, count)

    def left(self, source: Random, world: World, times: np.ndarray) -> np.ndarray:
        """How long the spell lasts that each time is in; 0 outside."""
        begin, end = self.draw(source, world)
        last = np.searchsorted(begin, times, side="right") - 1
        return np.where(last >= 0, np.maximum(np.append(end, 0)[last] - times, 0), 0)


def pauses(
    source: Random, world: World, seen: Requests, *, spells: Spells, instances: tuple[int, int], more: float = 1.0
) -> np.ndarray:
    """For how long the instance of each request still pauses; the challenger's do so `more` times as often."""
    waits = np.zeros(len(seen.times))
    for new, count in enumerate(instances):
        instance = source.integers(0, count, len(seen.times))
        often = replace(spells, every=spells.every / more) if new else spells
        for number in range(count):
            mine = (instance == number) & (seen.new == new)
            waits[mine] = often.left(source, world, seen.times[mine])
    return waits


def stalls(
    source: Random,
    world: World,
    seen: Requests,
    *,
    spells: Spells = Spells(100, 0.5, 2),
    instances: tuple[int, int] = (9, 1),
) -> Requests:
    """Each instance pauses; its requests wait, and half of those that wait for over a second fail."""
    waits = pauses(source, world, seen, spells=spells, instances=instances)
    failed = seen.failed | ((waits > 1) & (source.random(len(waits)) < 0.5))
    return replace(seen, latency=seen.latency + waits, failed=failed)


def shared(
    source: Random, world: World, seen: Requests, *, spells: Spells = Spells(600, 30, 300), fails: float = 0.2
) -> Requests:
    """What both versions depend on is three times as slow, and fails."""
    met = spells.left(source, world, seen.times) > 0
    failed = seen.failed | (met & (source.random(len(met)) < fails))
    return replace(seen, latency=seen.latency * np.where(met, 3, 1), failed=failed)


def loaded(source: Random, world: World, seen: Requests, *, power: float = 1.0, fails: float = 0.01) -> Requests:
    """Latency grows with the load, and failures with its square."""
    load = world.load(seen.times)
    failed = seen.failed | (source.random(len(load)) < fails * load**2)
    return replace(seen, latency=seen.latency * load**power, failed=failed)


def retries(
    source: Random,
    world: World,
    seen: Requests,
    *,
    again: float = 0.9,
    most: int = 6,
    wait: float = 1.0,
    routed: bool = False,
) -> Requests:
    """A failed request is repeated at the same version, or a `routed` one; it fails with probability `again`."""
    failed = seen.chosen(seen.failed)
    for attempt in range(most):
        later = failed.times + source.exponential(wait * 2**attempt, len(failed.times))
        new = source.random(len(later)) < world.share(later) if routed else failed.new
        sent = world.answered(source, later, failed.users, new, again)
        seen, failed = seen.plus(sent), sent.chosen(sent.failed)
    return seen


def floods(
    source: Random,
    world: World,
    seen: Requests,
    *,
    spells: Spells = Spells(400, 60, 200),
    rate: float = 0.8,
    bad: float = 0.6,
) -> Requests:
    """Clients with a broken input: each sends for a while to one version."""
    for begin, end in zip(*spells.draw(source, world), strict=True):
        times = source.uniform(begin, end, source.poisson(rate * (end - begin)))
        new = np.full(len(times), source.random() < world.share(begin))
        seen = seen.plus(world.answered(source, times, np.full(len(times), _BROKEN), new, bad))
    return seen


def users(source: Random, world: World, seen: Requests, *, index: float = 1.1, fails: float = 0.002) -> Requests:
    """Users differ, by a Pareto tail: in how slow their requests are, how often they fail and are answered wrongly."""
    size = (1 + source.pareto(index, int(seen.users.max(initial=0)) + 2))[seen.users]
    failed = seen.failed | (source.random(len(size)) < np.minimum(0.3, fails * size))
    right = seen.right & (source.random(len(size)) > np.minimum(0.8, 0.03 * size))
    return replace(seen, latency=seen.latency * size, failed=failed, right=right)


def sessions(
    source: Random, world: World, seen: Requests, *, share: float = 0.03, fails: float = 0.2, slower: float = 2.0
) -> Requests:
    """Some users' requests fail often, and are slow."""
    bad = segment(share)(source, world, seen)
    failed = seen.failed | (bad & (source.random(len(bad)) < fails))
    return replace(seen, failed=failed, latency=seen.latency * np.where(bad, slower, 1))


def churn(
    source: Random, world: World, seen: Requests, *, every: float = 400, cold: float = 20, instances: int = 9
) -> Requests:
    """Instances are replaced, of which the challenger has its share; a new one is slow at first, and fails."""
    count = np.maximum(1, np.rint(instances * np.where(seen.new, world.share(seen.times), 1))).astype(int)
    instance = (source.random(len(count)) * count).astype(int) + instances * seen.new
    met = np.zeros(len(count), dtype=bool)
    for number in range(2 * instances):
        mine = instance == number
        met[mine] = Spells(every, cold, cold).left(source, world, seen.times[mine]) > 0
    failed = seen.failed | (met & (source.random(len(met)) < 0.1))
    return replace(seen, failed=failed, latency=seen.latency * np.where(met, 3, 1))


def drift(source: Random, world: World, seen: Requests, *, minutes: float = 5, sigma: float = 0.15) -> Requests:
    """The latency of each version wanders by itself: the logarithm of an Ornstein-Uhlenbeck process."""
    keep, each = np.exp(-1 / minutes), round((world.end + _BEFORE) / MINUTE) + 1
    factor = np.empty((2, each))
    factor[:, 0] = source.normal(0, sigma, 2)
    for at in range(1, each):
        factor[:, at] = keep * factor[:, at - 1] + source.normal(0, sigma * np.sqrt(1 - keep**2), 2)
    at = ((seen.times + _BEFORE) // MINUTE).astype(int)
    return replace(seen, latency=seen.latency * np.exp(factor[seen.new.astype(int), at]))


def labels(source: Random, world: World, seen: Requests, *, delay: float = 240) -> Requests:
    """Labels come late, those of wrong answers sooner."""
    return replace(seen, known=seen.times + source.exponential(delay * np.where(seen.right, 1.5, 0.7)))


def cold(source: Random, world: World, seen: Requests, *, requests: int = 200, fails: float = 0.0) -> Requests:
    """The first requests of each of the challenger's instances are 3 times as slow, which are one for 4 a second."""
    count = np.ceil(world.rate * world.share(seen.times) / 4)
    instance = np.where(seen.new, source.random(len(count)) * count, -1).astype(int)
    first = np.zeros(len(count), dtype=bool)
    for number in range(int(count.max(initial=0))):
        first[np.flatnonzero(seen.new & (instance == number))[:requests]] = True
    failed = seen.failed | (first & (source.random(len(first)) < fails))
    return replace(seen, latency=seen.latency * np.where(first, 3, 1), failed=failed)


def reported(source: Random, world: World, seen: Requests, *, late: tuple[float, float]) -> Requests:
    """Failures are reported later than requests."""
    return replace(seen, known=seen.times + np.where(seen.failed, source.uniform(*late, len(seen.times)), 0))


def high_load(source: Random, world: World, seen: Requests) -> np.ndarray:
    """The requests while the load is above its mean."""
    return world.load(seen.times) > 1


def last_step(source: Random, world: World, seen: Requests) -> np.ndarray:
    """The requests of the last step."""
    return seen.times >= world.end - MINUTE * world.minutes


def ageing(source: Random, world: World, seen: Requests) -> np.ndarray:
    """More and more requests of each step, from none to all: a leak."""
    return source.random(len(seen.times)) < (seen.times / (MINUTE * world.minutes)) % 1


def bursts(every: float = 300, seconds: float = 20) -> Chosen:
    """The requests within spells."""
    spells = Spells(every, seconds, seconds)
    return lambda source, world, seen: spells.left(source, world, seen.times) > 0


def segment(share: float = 0.08) -> Chosen:
    """All requests of some users."""
    return lambda source, world, seen: (source.random(int(seen.users.max(initial=0)) + 2) < share)[seen.users]


def worse(
    source: Random,
    world: World,
    seen: Requests,
    *,
    more: float = 0.0,
    slower: float = 1.0,
    wrong: float = 0.0,
    only: Chosen | None = None,
) -> Requests:
    """The challenger fails that much more often, all its answers together, is slower, and is wrong more often."""
    hit = seen.new & (seen.times >= 0)
    mine = hit.sum()
    if only is not None:
        hit = hit & only(source, world, seen)
    failed = seen.failed | (hit & (source.random(len(hit)) < more * mine / max(1, hit.sum())))
    right = seen.right & ~(hit & (source.random(len(hit)) < wrong))
    return replace(seen, failed=failed, right=right, latency=seen.latency * np.where(hit, slower, 1))
