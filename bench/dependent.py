"""What do answers that depend on each other do to the judge's promise? Simulated trials; no cloud is needed.

python -m bench dependent

An instance stalls now and then, and what arrives meanwhile is slow, or fails. The other worlds change one thing at a
time. A window is a minute, a trial has sixty: 5%, 25% and 50% of the requests for twenty minutes each. Models are equal
unless a row says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import lognorm

from bench.judge import ALPHA, ERRORS, P99, WEIGHTS, interval
from bench.rows import Row
from bench.worlds import MINUTE, Random, Requests, Spells, World, pauses, retries
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.judge.verdict import judge

INVALID = KNOWN["invalid_answers"]
METRICS = (ERRORS, P99, INVALID)
RUNS = 500
_BASE = 0.005  # the share of answers that fail, are slow, or are invalid without a stall
_SLOW = float(lognorm.isf(_BASE, 0.5, scale=0.08))  # seconds
_LOOKS = 5  # in the last step, at each of which a challenger might be promoted


def _stalled(source: Random, world: World, seen: Requests, *, hit: float, fails: float, **pausing: Any) -> Requests:
    """Each instance stalls: a share of its requests is slow, and a share of these fails."""
    met = pauses(source, world, seen, **pausing) > 0
    met &= source.random(len(met)) < hit
    failed = seen.failed | (met & (source.random(len(met)) < fails))
    return replace(seen, failed=failed, latency=seen.latency + met * _SLOW)


def _sent(source: Random, world: World, seen: Requests, *, requests: int) -> Requests:
    """Each user sends so many requests within two minutes, to either version."""
    users = np.arange(len(seen.times)).repeat(requests)
    times = seen.times[users] + source.uniform(0, 2 * MINUTE, len(users))
    return world.answered(source, times, users, source.random(len(users)) < world.share(times), world.failing)


def _valid(source: Random, world: World, seen: Requests) -> Requests:
    """All answers to one user in 200 are invalid."""
    right = source.random(int(seen.users.max(initial=0)) + 1) >= _BASE
    return replace(seen, right=right[seen.users])


def stalling(
    rate: float = 20,
    *,
    instances: int = 1,
    shares: tuple[int, ...] = WEIGHTS,
    minutes: int = 20,
    stall: float = 1.0,
    stalled: float = 0.01,
    hit: float = 1.0,
    fails: float = 0.0,
    more: float = 1.0,
    sessions: int = 1,
    failing: float = _BASE,
    repeats: int = 0,
) -> World:
    """A world whose instances stall.

    Args:
        rate: Requests a second.
        instances: Of each version.
        shares: The challenger's percent of the requests, by step.
        minutes: Of each step.
        stall: How long an instance stalls at a time, seconds.
        stalled: The share of the time that it does.
        hit: The share of the requests in a stall that are slow.
        fails: The share of these that fail.
        more: How many times as often the challenger stalls.
        sessions: How many requests a user sends within two minutes.
        failing: The share of the requests that fail without a stall.
        repeats: How often a client repeats a failed request at the same version, where it fails again.
    """
    spells, each = Spells(stall / stalled, stall, stall), (instances, instances)
    effect = partial(_stalled, hit=hit, fails=fails, spells=spells, instances=each, more=more)
    again = partial(retries, again=1.0, most=repeats, wait=1e-6)
    effects = partial(_sent, requests=sessions), effect, again, _valid
    return World(effects, rate=rate / sessions, shares=shares, minutes=minutes, failing=failing)


def windows(world: World, source: Random) -> list[Window]:
    """The windows of a trial."""
    seen, minutes = world.requests(source), round(world.end / MINUTE)
    bad = {ERRORS.name: seen.failed, P99.name: seen.latency > _SLOW, INVALID.name: ~seen.right}
    sides: list[list[dict[str, Tally]]] = []
    for version in (False, True):
        chosen = (seen.new == version) & (seen.times >= 0)
        at = (seen.times // MINUTE).astype(int)
        counts = np.bincount(at[chosen], minlength=minutes)
        ones = {name: np.bincount(at[chosen & each], minlength=minutes) for name, each in bad.items()}
        sides.append(
            [{name: Tally(int(counts[n]), int(each[n])) for name, each in ones.items()} for n in range(minutes)]
        )
    return [Window(MINUTE * n, MINUTE, old, challenger) for n, (old, challenger) in enumerate(zip(*sides, strict=True))]


STALLS: dict[str, Callable[..., World]] = {
    "20 a second, one instance, 1 s": stalling,
    "20 a second, one instance, 3 s": partial(stalling, stall=3),
    "50 a second, two instances, 1 s": partial(stalling, 50, instances=2),
    "50 a second, two instances, 3 s": partial(stalling, 50, instances=2, stall=3),
}
OTHERS = {
    "failing_stalls": ("stalls of 3 s in which every answer fails", stalling(stall=3, fails=1)),
    "long_stalls": ("stalls of 10 s", stalling(stall=10)),
    "sticky": ("users who send 50 requests within two minutes, one in 200 only such as the model cannot answer",
               stalling(sessions=50, stalled=0.002)),
    "neighbour": ("minutes in which one of two instances has a fifth of its answers slow, 5% of the time",
                  stalling(50, instances=2, stall=60, stalled=0.05, hit=0.2)),
    "repeats": ("one to two requests a minute, 5% fail and are repeated five times at the same version",
                stalling(1.5 / MINUTE, minutes=1000, stalled=1e-9, shares=(20, 30, 50), failing=0.05, repeats=5)),
    "floods": ("30% of a version's answers fail for two minutes, 7% of the time",
               stalling(8, stall=120, stalled=0.07, hit=0.3, fails=1, shares=(10, 25, 50))),
}  # fmt: skip


def _judged(world: World, seen: Sequence[Window], metrics: Sequence[Metric] = METRICS) -> str:
    starts = [start for start in world.starts if start < MINUTE * len(seen)]
    last = len(starts) == len(world.starts)
    return judge(seen, metrics=metrics, alpha=ALPHA, starts=starts, segments=len(world.starts), last=last).answer


def false_rollbacks(runs: int) -> list[Row]:
    """How often one of two equal models is rolled back; of the first row the worst of its four worlds counts."""
    found: dict[str, int] = {}
    for at, (name, world) in enumerate(STALLS.items()):
        found[name] = sum(_rolled_back(world(), (80, at, n)) for n in range(runs))
    each = "; ".join(f"{name}: {interval(count, runs)}" for name, count in found.items())
    goal = f"<= {ALPHA}"
    rows = [Row("false_rollback_rate_stalls", max(found.values()) / runs, "share", goal, f"1% of the time. {each}")]
    for at, (name, (what, world)) in enumerate(OTHERS.items()):
        count = sum(_rolled_back(world, (81, at, n)) for n in range(runs))
        rows.append(Row(f"false_rollback_rate_{name}", count / runs, "share", goal, f"{what}; {interval(count, runs)}"))
    return rows


def _rolled_back(world: World, seed: tuple[int, ...]) -> bool:
    return _judged(world, windows(world, np.random.default_rng(seed))) == "worse"  # once found, it stays found


def missed_regressions(runs: int) -> list[Row]:
    """How often a challenger with twice the stalls is promoted."""
    found: dict[str, tuple[int, int]] = {}
    for at, (name, make) in enumerate(STALLS.items()):
        world = make(more=2)
        looks = np.linspace(world.starts[-1], world.end, _LOOKS + 1)[1:] // MINUTE
        promoted = worse = 0
        for n in range(runs):
            seen = windows(world, np.random.default_rng((82, at, n)))
            answers = [_judged(world, seen[: int(look)]) for look in looks]
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
        minutes = 60
        world = STALLS[what](shares=(50,), minutes=minutes, more=4)
        trials = [windows(world, np.random.default_rng((83, at, n))) for n in range(runs)]
        ours = np.median([_first_worse(world, seen) for seen in trials])
        theirs = next(
            (m for m in range(4, minutes + 1) if _bootstrap_power(trials, m, np.random.default_rng((84, m))) >= 0.5),
            minutes,
        )
        peer = f"{what}: {ours:.0f} minutes, median of {runs}; a block bootstrap of fixed size: {theirs}"
        rows.append(Row(f"sample_ratio_stalls{name}", float(ours / theirs), "ratio", "< 3", peer))
    return rows


def _first_worse(world: World, seen: Sequence[Window]) -> int:
    """The first window after which it is found, by bisection: once found it stays found."""
    low, high = 0, len(seen)
    if _judged(world, seen, (P99,)) != "worse":
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _judged(world, seen[:middle], (P99,)) == "worse" else (middle, high)
    return high


def _bootstrap_power(trials: Sequence[Sequence[Window]], minutes: int, source: Random) -> float:
    found = 0
    for seen in trials:
        drawn: list[np.ndarray] = []
        for side in ("champion", "challenger"):
            tallies = [getattr(window, side)[P99.name] for window in seen[:minutes]]
            ones, counts = (np.array([getattr(tally, part) for tally in tallies]) for part in ("total", "count"))
            picked = source.integers(0, minutes, (500, minutes))
            drawn.append(ones[picked].sum(1) / counts[picked].sum(1))
        found += bool(np.mean(drawn[1] - drawn[0] <= 0) <= ALPHA)
    return found / len(trials)


def rows(runs: int = RUNS) -> list[Row]:
    """Every row."""
    return [*false_rollbacks(runs), *missed_regressions(max(2, runs // 4)), *delays(max(2, runs // 10))]
