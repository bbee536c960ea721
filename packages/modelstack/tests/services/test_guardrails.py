"""SageMaker's deployment guardrails: what it would refuse is refused before, with the arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelstack.rollout.core.plan import Guard, PlanError
from modelstack.services.guardrails import guardrail, steps_of


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: guardrail("blue", 10, 60), "kind: got 'blue', allowed is one of all_at_once, canary, linear, rolling"),
        (lambda: guardrail("canary", 51, 60), "percent: got 51, allowed for canary is 1 to 50 percent"),
        (lambda: guardrail("linear", 9, 60), "percent: got 9, allowed for linear is 10 to 50 percent"),
        (lambda: guardrail("rolling", 4, 60), "percent: got 4, allowed for rolling is 5 to 50 percent"),
        (lambda: guardrail("canary", 10, 3601), "bake_seconds: got 3601, allowed is 0 to 3600 s"),
        (lambda: guardrail("canary", 10, 60, ["a"] * 11), "alarms: got 11, allowed is at most 10"),
        (lambda: guardrail("linear", 10, 3600), "10 x 3600 s = 36000 s, allowed is at most 27000 s in all"),
        (
            lambda: guardrail("rolling", 5, 1500, instances=39),
            "got 1500; rolling by 5% of 39 instances, 1 at a time, has 39 waits, and 39 x 1500 s = 58500 s, allowed is",
        ),
        (
            lambda: guardrail("rolling", 50, 60, instances=1),
            "kind: got 'rolling'; a batch is one instance at least, which is 100% of 1, allowed is at most 50%: 2 inst",
        ),
        (lambda: guardrail("linear", 10, 2880), "28800 s, allowed is at most 27000 s in all (28800 s less 1800 s for"),
        (lambda: guardrail("linear", 10, 2701), "10 x 2701 s = 27010 s, allowed is at most 27000 s in all"),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_with_the_arithmetic(make: Callable[[], object], words: str) -> None:
    with pytest.raises(PlanError) as refused:
        make()
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "percent", "instances", "steps"),
    [
        ("all_at_once", 100, 1, (100,)),
        ("canary", 20, 3, (20, 100)),
        ("linear", 25, 1, (25, 50, 75, 100)),
        ("linear", 30, 1, (30, 60, 90, 100)),
        ("rolling", 50, 2, (50, 100)),
        ("rolling", 34, 3, (33, 67, 100)),
        ("rolling", 50, 5, (40, 80, 100)),
    ],
)
def test_the_steps_are_those_of_sagemaker(kind: str, percent: int, instances: int, steps: tuple[int, ...]) -> None:
    assert steps_of(guardrail(kind, percent, 60, ("alarm",), instances), instances) == steps


@pytest.mark.parametrize(("instances", "batches"), [(2, 2), (3, 3), (4, 2), (5, 3), (10, 2), (19, 3)])
def test_a_rolling_deployment_waits_after_every_batch_of_whole_instances(instances: int, batches: int) -> None:
    assert guardrail("rolling", 50, 1000, instances=instances).max_seconds == 2 * batches * 1000


def test_a_guardrail_leaves_the_instances_as_long_to_come_up_as_it_waits() -> None:
    # SageMaker takes up to half an hour to start a fleet, however short the waits.
    assert guardrail("canary", 50, 60) == Guard("canary", 50, 60, (), 120 + 1800)
    assert guardrail("all_at_once", 100, 0).max_seconds == 1800
    assert guardrail("canary", 50, 1000).max_seconds == 4000
    assert guardrail("linear", 10, 600, ["x"]) == Guard("linear", 10, 600, ("x",), 12_000)
    assert guardrail("linear", 10, 2000).max_seconds == 28_800
    assert guardrail("linear", 10, 2700).max_seconds == 28_800  # 1,800 s are left
