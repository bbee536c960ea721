"""What does an outage that both versions share do to a trial? Simulated trials; no cloud is needed.

python -m bench outages

Trials as in `bench.judge`, of two equal models that are compared on errors; in the outage every request fails, whoever
answers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.judge import ALPHA, EQUAL, ERRORS, WEIGHTS, Model, interval, share, trial
from bench.rows import Row
from rollout.core.decision import Seen, judged
from rollout.core.failing import FAILED
from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState
from rollout.judge.metrics import Window

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
    return tuple(
        replace(
            window,
            champion={**window.champion, FAILED: window.champion["errors"]},
            challenger={**window.challenger, FAILED: window.challenger["errors"]},
        )
        for window in windows
    )


def _promoted(plan: Plan, windows: Sequence[Window]) -> bool:
    """Whether a trial in its last step would now be promoted."""
    old, new = (Release(*[n] * 11) for n in ("old", "new"))
    starts = tuple(float(at) for at in range(0, _LAST + 1, _STEP))
    state = RolloutState(
        "bench", phase=Phase.BAKING, champion=old, challenger=new, step=len(WEIGHTS) - 1, step_starts=starts, plan=plan
    )
    findings = judged(plan, state, Seen(tuple(windows)))
    return findings is not None and findings.answer == "not worse"


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
    return found
