from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.core.plan import PlanError, Step
from rollout.core.strategies import ab, all_at_once, canary, linear, shadow, steps


def test_every_strategy_is_a_list_of_steps() -> None:
    assert all_at_once(60) == (Step(100, 60),)
    assert canary(5, 300) == (Step(5, 300),)
    assert linear(30, 60) == (Step(30, 60), Step(60, 60), Step(90, 60))
    assert linear(25, 60) == (Step(25, 60), Step(50, 60), Step(75, 60))
    assert steps([Step(10, 1), Step(20, 2, approve=True)]) == (Step(10, 1), Step(20, 2, approve=True))
    assert ab(50, 3600) == (Step(50, 3600),)
    assert ab(50, None) == (Step(50, 0),)
    assert shadow(40, 60) == (Step(40, 60, shadow=True),)
    assert shadow(40, 60, then=canary(5, 300)) == (Step(40, 60, shadow=True), Step(5, 300))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: linear(0, 60), "step_percent: got 0, allowed is 1 to 50 percent"),
        (lambda: linear(51, 60), "step_percent: got 51, allowed is 1 to 50 percent"),
        (lambda: canary(100, 60), "weight: got 100, allowed is 1 to 99 percent"),
        (lambda: ab(100, 60), "weight: got 100, allowed is 1 to 99 percent"),
    ],
)
def test_a_share_that_is_not_allowed_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(PlanError) as refused:
        make()
    assert words in str(refused.value)
