"""What do answers that depend on each other do to the judge's promise? Simulated trials; no cloud is needed.

python -m bench dependent

Each request has a time, a variant, and an instance of it. An instance stalls now and then, and what arrives
meanwhile is slow, or fails. The other worlds change one thing at a time. A window is a minute, a trial has sixty: 5%,
25% and 50% of the requests for twenty minutes each. Models are equal unless a row says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.judge import ALPHA, ERRORS, P99, WEIGHTS, interval
from bench.rows import Row
from rollout.core.catalogue import KNOWN
from rollout.judge.metrics import Metric, Tally, Window
from rollout.judge.verdict import judge

INVALID = KNOWN["invalid_answers"]
METRICS = (ERRORS, P99, INVALID)
MINUTE = 60.0
RUNS = 500
_BASE_SLOW, _BASE_ERRORS, _BASE_INVALID = 0.005, 0.005, 0.005  # of answers that nothing troubles
_LOOKS = 5  # in the last step, at each of which a challenger might be promoted

Random = np.random.Generator


@dataclass(frozen=True)
class World:
    """How requests come and what happens to them.

    Attributes:
        requests: A second, on average.
        instances: Of each variant.
        minutes: How long it lasts.
        weights: Percent of the requests that the challenger gets, in parts of the same length.
        stall: How long an instance stalls at a time, seconds.
        stalled: The share of the time that it does.
        hit: The share of the requests in a stall that it troubles.
        fails: The share of these that fail.
        errors: The share of the requests that fail without a stall.
        sessions: How many requests a user sends within a minute or two; of one user in 200 all answers are
            invalid.
        repeats: How often a client repeats a failed request at the same version, where it fails again.
    """

    requests: float = 20
    instances: int = 1
    minutes: int = 60
    weights: Sequence[int] = WEIGHTS
    stall: float = 1.0
    stalled: float = 0.01
    hit: float = 1.0
    fails: float = 0.0
    sessions: int = 1
    repeats: int = 0
    errors: float = _BASE_ERRORS

    @property
    def starts(self) -> tuple[float, ...]:
        """When each step begins, seconds."""
        each = self.minutes // len(self.weights)
        return tuple(MINUTE * each * step for step in range(len(self.weights)))

    def play(self, source: Random, *, stalls: float = 1.0) -> list[Window]:
        """The windows of a trial in which the challenger stalls so many times as often as the champion."""
        end = MINUTE * self.minutes
        times, users = self._arrivals(source, end)
        troubled = self._troubles(source, end, stalls)
        new = self._routed(source, times)
        hit = troubled(times, new)
        slow = (source.random(len(times)) < _BASE_SLOW) | hit
        errors = (source.random(len(times)) < self.errors) | (hit & (source.random(len(times)) < self.fails))
        again = np.flatnonzero(errors).repeat(self.repeats)
        times, new, slow, errors, users = (np.concatenate([of, of[again]]) for of in (times, new, slow, errors, users))
        invalid = users < _BASE_INVALID
        return _windows(times, new, {ERRORS.name: errors, P99.name: slow, INVALID.name: invalid}, self.minutes)

    def _arrivals(self, source: Random, end: float) -> tuple[np.ndarray, np.ndarray]:
        """The times of all requests, and of each a number from 0 to 1 that its user has."""
        times = source.uniform(0, end, source.poisson(self.requests * end / self.sessions))
        users = source.random(len(times))
        if self.sessions > 1:
            times = np.repeat(times, self.sessions) + source.uniform(0, 2 * MINUTE, len(times) * self.sessions)
            users = np.repeat(users, self.sessions)
            users, times = users[times < end], times[times < end]
        return times, users

    def _routed(self, source: Random, times: np.ndarray) -> np.ndarray:
        """Which requests go to the challenger."""
        each = MINUTE * (self.minutes // len(self.weights))
        step = np.minimum((times // each).astype(int), len(self.weights) - 1)
        return source.random(len(times)) * 100 < np.array(self.weights)[step]

    def _troubles(self, source: Random, end: float, stalls: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Tells which requests meet a stall of the instance that they are sent to."""
        begins = {
            (version, instance): np.sort(
                source.uniform(
                    -self.stall, end, source.poisson(self.stalled * (stalls if version else 1) * end / self.stall)
                )
            )
            for version in (False, True)
            for instance in range(self.instances)
        }

        def met(times: np.ndarray, new: np.ndarray) -> np.ndarray:
            instance = source.integers(0, self.instances, len(times))
            found = np.zeros(len(times), dtype=bool)
            for (version, number), at in begins.items():
                if len(at):
                    chosen = (instance == number) & (new == version)
                    place = np.searchsorted(at, times[chosen], side="right") - 1
                    found[chosen] = (place >= 0) & (times[chosen] < at[place] + self.stall)
            return found & (source.random(len(times)) < self.hit)

        return met


def _windows(times: np.ndarray, new: np.ndarray, bad: dict[str, np.ndarray], minutes: int) -> list[Window]:
    at = (times // MINUTE).astype(int)
    sides: list[list[dict[str, Tally]]] = []
    for version in (False, True):
        chosen = new == version
        counts = np.bincount(at[chosen], minlength=minutes)
        ones = {name: np.bincount(at[chosen & each], minlength=minutes) for name, each in bad.items()}
        sides.append(
            [{name: Tally(int(counts[n]), int(each[n])) for name, each in ones.items()} for n in range(minutes)]
        )
    return [Window(MINUTE * n, MINUTE, old, challenger) for n, (old, challenger) in enumerate(zip(*sides, strict=True))]


STALLS = {
    "20 a second, one instance, 1 s": World(),
    "20 a second, one instance, 3 s": World(stall=3),
    "50 a second, two instances, 1 s": World(requests=50, instances=2),
    "50 a second, two instances, 3 s": World(requests=50, instances=2, stall=3),
}
OTHERS = {
    "failing_stalls": ("stalls of 3 s in which every answer fails", World(stall=3, fails=1)),
    "long_stalls": ("stalls of 10 s", World(stall=10)),
    "sticky": ("users who send 50 requests within two minutes, one in 200 only such as the model cannot answer",
               World(sessions=50, stalled=0.002)),
    "neighbour": ("minutes in which one of two instances has a fifth of its answers slow, 5% of the time",
                  World(requests=50, instances=2, stall=60, stalled=0.05, hit=0.2)),
    "repeats": ("one to two requests a minute, 5% fail and are repeated five times at the same version",
                World(requests=1.5 / MINUTE, minutes=3000, stalled=0, weights=(20, 30, 50), errors=0.05, repeats=5)),
    "floods": ("30% of a version's answers fail for two minutes, 7% of the time",
               World(requests=8, stall=120, stalled=0.07, hit=0.3, fails=1, weights=(10, 25, 50))),
}  # fmt: skip


def _judged(world: World, windows: Sequence[Window], metrics: Sequence[Metric] = METRICS) -> str:
    starts = [start for start in world.starts if start < MINUTE * len(windows)]
    last = len(starts) == len(world.starts)
    return judge(windows, metrics=metrics, alpha=ALPHA, starts=starts, segments=len(world.starts), last=last).answer


def false_rollbacks(runs: int) -> list[Row]:
    """How often one of two equal models is rolled back; of the first row the worst of its four worlds counts."""
    found: dict[str, int] = {}
    for at, (name, world) in enumerate(STALLS.items()):
        found[name] = sum(_rolled_back(world, (80, at, n)) for n in range(runs))
    each = "; ".join(f"{name}: {interval(count, runs)}" for name, count in found.items())
    goal = f"<= {ALPHA}"
    rows = [Row("false_rollback_rate_stalls", max(found.values()) / runs, "share", goal, f"1% of the time. {each}")]
    for at, (name, (what, world)) in enumerate(OTHERS.items()):
        count = sum(_rolled_back(world, (81, at, n)) for n in range(runs))
        rows.append(Row(f"false_rollback_rate_{name}", count / runs, "share", goal, f"{what}; {interval(count, runs)}"))
    return rows


def _rolled_back(world: World, seed: tuple[int, ...]) -> bool:
    return _judged(world, world.play(np.random.default_rng(seed))) == "worse"  # once found, it stays found


def missed_regressions(runs: int) -> list[Row]:
    """How often a challenger with twice the stalls is promoted."""
    found: dict[str, tuple[int, int]] = {}
    for at, (name, world) in enumerate(STALLS.items()):
        begin = len(WEIGHTS) - 1
        first = int(world.starts[begin] / MINUTE)
        looks = np.linspace(first, world.minutes, _LOOKS + 1)[1:].astype(int)
        promoted = worse = 0
        for n in range(runs):
            windows = world.play(np.random.default_rng((82, at, n)), stalls=2)
            answers = [_judged(world, windows[:look]) for look in looks]
            worse += answers[-1] == "worse"
            promoted += any(answer == "not worse" for answer in answers)
        found[name] = promoted, worse
    missed = sum(promoted for promoted, _ in found.values())
    each = "; ".join(f"{name}: {p} promoted, {w} rolled back of {runs}" for name, (p, w) in found.items())
    total = runs * len(found)
    return [
        Row("missed_regression_rate_stalls", missed / total, "share", "< 0.01", f"{interval(missed, total)}; {each}")
    ]


def delays(runs: int) -> list[Row]:
    """Minutes until four times the stalls are found, beside a block bootstrap of fixed size at the same alpha.

    The bootstrap draws whole windows again, of each version by itself (Kunsch, Ann. Stat. 17, 1989), and is asked after
    how many minutes half of its tests find the difference. It may be asked once only; the judge after each window.
    """
    rows: list[Row] = []
    for at, (name, what) in enumerate(
        (("", "20 a second, one instance, 1 s"), ("_long", "20 a second, one instance, 3 s"))
    ):
        world = replace(STALLS[what], weights=(50,))
        trials = [world.play(np.random.default_rng((83, at, n)), stalls=4) for n in range(runs)]
        ours = np.median([_first_worse(world, windows) for windows in trials])
        theirs = next(
            (
                m
                for m in range(4, world.minutes + 1)
                if _bootstrap_power(trials, m, np.random.default_rng((84, m))) >= 0.5
            ),
            world.minutes,
        )
        peer = f"{what}: {ours:.0f} minutes, median of {runs}; a block bootstrap of fixed size: {theirs}"
        rows.append(Row(f"sample_ratio_stalls{name}", float(ours / theirs), "ratio", "< 3", peer))
    return rows


def _first_worse(world: World, windows: Sequence[Window]) -> int:
    """The first window after which it is found, by bisection: once found it stays found."""
    low, high = 0, len(windows)
    if _judged(world, windows, (P99,)) != "worse":
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _judged(world, windows[:middle], (P99,)) == "worse" else (middle, high)
    return high


def _bootstrap_power(trials: Sequence[Sequence[Window]], minutes: int, source: Random) -> float:
    found = 0
    for windows in trials:
        drawn: list[np.ndarray] = []
        for side in ("champion", "challenger"):
            tallies = [getattr(window, side)[P99.name] for window in windows[:minutes]]
            ones, counts = (np.array([getattr(tally, part) for tally in tallies]) for part in ("total", "count"))
            picked = source.integers(0, minutes, (500, minutes))
            drawn.append(ones[picked].sum(1) / counts[picked].sum(1))
        found += bool(np.mean(drawn[1] - drawn[0] <= 0) <= ALPHA)
    return found / len(trials)


def rows(runs: int = RUNS) -> list[Row]:
    """Every row."""
    return [*false_rollbacks(runs), *missed_regressions(max(2, runs // 4)), *delays(max(2, runs // 10))]
