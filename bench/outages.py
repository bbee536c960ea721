"""What does an outage that both versions share do to a trial? Simulated trials; no cloud is needed.

python -m bench outages

Trials as in `bench.judge`, compared on errors. In the first rows two equal models are on trial, and in the outage every
request fails, whoever answers it. In the others it fails one in ten of the champion's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.judge import ALPHA, EQUAL, ERRORS, WEIGHTS, Model, interval, share, trial
from bench.rows import Row
from modelstack.rollout.core.decision import TrialObservations, judged
from modelstack.rollout.core.failing import FAILED
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Window

TRIALS = 200
TOLERATED = 0.05  # as by default
_STEP = 30  # windows of each step
_LAST = _STEP * (len(WEIGHTS) - 1)
_DOWN = Model(errors=1.0)
_PLAN = Plan(
    steps=tuple(Step(weight, 1) for weight in WEIGHTS), metrics=(ERRORS,), alpha=ALPHA, window_seconds=1,
    max_failed=TOLERATED,
)  # fmt: skip
_BLIND = replace(_PLAN, max_failed=1.0)

Random = np.random.Generator


def _trial(source: Random, last: int, outage: range) -> tuple[Window, ...]:
    """All windows of a trial whose last step has so many; failures are 5XX."""
    windows: list[Window] = []
    for at in range(_LAST + last):
        model = _DOWN if at in outage else EQUAL
        weight = WEIGHTS[min(at // _STEP, len(WEIGHTS) - 1)]
        windows += trial(source, model, [weight], 200, metrics=(ERRORS,), champion=model, start=at)
    return _failing(windows)


def _failing(windows: Sequence[Window]) -> tuple[Window, ...]:
    """The same windows; every error is a failure."""
    return tuple(
        replace(
            window,
            champion={**window.champion, FAILED: window.champion["errors"]},
            challenger={**window.challenger, FAILED: window.challenger["errors"]},
        )
        for window in windows
    )


_STARTS = tuple(float(at) for at in range(0, _LAST + 1, _STEP))


def _promoted(plan: Plan, windows: Sequence[Window], starts: tuple[float, ...] = _STARTS) -> bool:
    """Whether a trial in its last step would now be promoted."""
    old, new = (Release(*[n] * 11) for n in ("old", "new"))
    state = RolloutState(
        "bench", phase=Phase.BAKING, champion=old, challenger=new, step=len(starts) - 1, step_starts=starts, plan=plan
    )
    findings = judged(plan, state, TrialObservations(tuple(windows)))
    return findings is not None and findings.answer == "not worse"


def _partial(source: Random, challenger: Model, outage: int, after: int) -> tuple[Window, ...]:
    """A trial of one step of 2%: an outage in which one in ten of the champion's requests fails, and what follows."""
    windows: list[Window] = []
    for at in range(outage + after):
        down = at < outage
        models = (challenger, Model(errors=0.1)) if down else (EQUAL, EQUAL)
        windows += trial(source, models[0], [2], 1000, metrics=(ERRORS,), champion=models[1], start=at)
    return _failing(windows)


def partial_outages(trials: int) -> list[Row]:
    """Whether one that fails still more is promoted in an outage of a part, and a good one after it."""
    at_once = replace(_PLAN, steps=(Step(2, 1),))

    def share_promoted(number: int, errors: float, outage: int, after: int) -> int:
        seeds = ((72, number, n) for n in range(trials))
        return sum(
            any(
                _promoted(at_once, windows[:look], starts=(0.0,))
                for windows in [_partial(np.random.default_rng(seed), Model(errors=errors), outage, after)]
                for look in range(max(outage - 60, 0) + 30, outage + after + 1, 15)
            )
            for seed in seeds
        )

    worse = {errors: share_promoted(at, errors, 90, 0) for at, errors in enumerate((0.13, 0.15))}
    good = share_promoted(2, 0.1, 30, 90)
    each = "; ".join(f"{errors:.0%} of the challenger's: {interval(count, trials)}" for errors, count in worse.items())
    what = "10% of the champion's requests fail, 2% of the traffic to the challenger, 90 windows of 1,000"
    return [
        Row("promoted_in_outage_partial", max(worse.values()) / trials, "share", "== 0", f"{what}; {each}"),
        share("promoted_after_outage_partial", "an equal one, the outage takes 30 windows, 90 follow", good, trials,
              goal=">= 0.95", beside="Looked at every 15 windows"),
    ]  # fmt: skip


def rows(trials: int = TRIALS) -> list[Row]:
    """How often a release is promoted during an outage, and after one."""
    cases = [
        ("promoted_in_outage", "an outage from begin to end", _STEP, range(_LAST + _STEP), "== 0"),
        ("promoted_after_outage", "its last step begins with an outage of 30 windows, and then has 60", 90,
         range(_LAST, _LAST + _STEP), ">= 0.9"),
    ]  # fmt: skip
    found: list[Row] = []
    for number, (name, what, last, outage, goal) in enumerate(cases):
        source = np.random.default_rng((71, number))
        seen = blind = 0
        for _ in range(trials):
            windows = _trial(source, last, outage)
            seen += _promoted(_PLAN, windows)
            blind += _promoted(_BLIND, windows)
        beside = f"By a judge that does not look at what fails: {interval(blind, trials)}"
        found.append(share(name, what, seen, trials, goal=goal, beside=beside))
    return [*found, *partial_outages(trials)]
