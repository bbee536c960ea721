"""Which latencies of a trial count: not those of instances that have just started."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import TrialObservations, judged
from modelstack.rollout.core.plan import ERRORS, Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.warm_up import without_cold
from modelstack.rollout.judge.metrics import Tally, Window
from tests.rollout.worlds import release

P99 = KNOWN["latency_p99"]
PLAN = Plan(steps=(Step(10, 30), Step(50, 60)), metrics=(ERRORS, P99), warm_up_requests=400, max_seconds=9000)
STATE = RolloutState(
    "endpoint", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=PLAN, step=0,
    step_starts=(0.0,),
)  # fmt: skip


def window(at: int, requests: int, slow: int) -> Window:
    old = {ERRORS.name: Tally(900, 9), P99.name: Tally(900, 9)}
    return Window(60.0 * at, 60, old, {ERRORS.name: Tally(requests, 1), P99.name: Tally(requests, slow)})


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=12))
def test_latencies_count_from_a_number_of_requests_on_whatever_they_were(seen: list[tuple[int, int]]) -> None:
    windows = tuple(window(at, count, min(slow, count)) for at, (count, slow) in enumerate(seen))
    kept = without_cold(PLAN, windows)
    answered = 0
    for before, after, (count, _) in zip(windows, kept, seen, strict=True):
        assert after.challenger[ERRORS.name] == before.challenger[ERRORS.name], "failures always count"
        counts = answered >= PLAN.warm_up_requests
        assert (P99.name in after.challenger, P99.name in after.champion) == (counts, counts)
        answered += count
    assert without_cold(replace(PLAN, warm_up_requests=0), windows) == windows


@pytest.mark.parametrize(("warm_up", "answer"), [(400, "unknown"), (0, "worse")])
def test_an_equal_version_whose_instances_start_slowly_is_not_rolled_back(warm_up: int, answer: str) -> None:
    source = np.random.default_rng(1)
    cold = [window(at, 100, int(source.binomial(100, 0.3))) for at in range(4)]
    warm = [window(at, 100, int(source.binomial(100, 0.004))) for at in range(4, 9)]
    plan = replace(PLAN, warm_up_requests=warm_up)
    findings = judged(plan, replace(STATE, plan=plan), TrialObservations((*cold, *warm)))
    assert findings is not None and findings.each[1].answer == answer


def test_a_version_that_stays_slow_is_found_once_its_instances_are_warm() -> None:
    slow = TrialObservations(tuple(window(at, 100, 30) for at in range(8)))
    findings = judged(PLAN, STATE, slow)
    assert findings is not None and findings.each[1].answer == "worse"
