"""The documented rules of a DeploymentConfig, and the steps that follow from one."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.sagemaker.deployment import Deployment, Variant
from localcloud.sagemaker.errors import ApiError
from localcloud.sagemaker.guardrails import Policy, applied, read, steps

from .guards import blue_green, canary, linear, rolling, size


def variant(name: str = "v", count: int = 1, instance_type: str | None = "ml.m5.large", **more: Any) -> Variant:
    return Variant(
        name=name,
        model="m",
        instance_type=instance_type,
        image="i",
        model_data_url=None,
        environment={},
        routing="RANDOM",
        startup_timeout=None,
        weight=1,
        desired_weight=1,
        count=count,
        desired_count=count,
        **more,
    )


def of(*variants: Variant) -> Deployment:
    return Deployment("c", variants, None, 0)


def refused(guard: dict[str, Any], old: Deployment | None = None, new: Deployment | None = None) -> str:
    new = new or of(variant())
    with pytest.raises(ApiError) as caught:
        applied(read(guard), old or new, new)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def shares(guard: dict[str, Any], new: Deployment) -> list[tuple[float, int, int]]:
    policy = applied(read(guard), new, new)
    return [(round(step.share, 3), step.instances, step.bake) for step in steps(policy, new)]


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        (canary(51), "CanarySize is 51 %; Value must be less than or equal to 50%"),
        (linear(9), "LinearStepSize is 9 %; Value must be 10-50%"),
        (linear(51), "LinearStepSize is 51 %; Value must be 10-50%"),
        (rolling(size(4)), "MaximumBatchSize is 4 %; Value must be 5-50%"),
        (rolling(size(51)), "MaximumBatchSize is 51 %; Value must be 5-50%"),
        (rolling(size(50), RollbackMaximumBatchSize=size(101)), "RollbackMaximumBatchSize is 101 %"),
        (blue_green("CANARY"), "CanarySize is required"),
        (blue_green("LINEAR"), "LinearStepSize is required"),
        (blue_green("ALL_AT_ONCE", CanarySize=size(10)), "CanarySize is for traffic routing of type CANARY"),
        (blue_green("CANARY", LinearStepSize=size(10), CanarySize=size(10)), "LinearStepSize is for traffic routing"),
        ({**canary(10), **rolling(size(10))}, "Only one update policy should be used"),
        (canary(10, wait=600, termination=600, limit=1200), "1 x 600 s WaitIntervalInSeconds + 600 s"),
        (
            linear(10, wait=3600, termination=0),
            "9 x 3600 s WaitIntervalInSeconds + 0 s Termin",
        ),
        (blue_green("ALL_AT_ONCE", termination=600, limit=600), "should be larger than the total waiting time"),
    ],
)
def test_what_aws_excludes_is_refused_with_the_member_and_the_limit(guard, words):
    assert words in refused(guard)


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        (canary_of := blue_green("CANARY", CanarySize=size(3, "INSTANCE_COUNT")), "3 of the 4 instances"),
        (blue_green("LINEAR", LinearStepSize=size(3, "INSTANCE_COUNT")), "which is 75 %"),
        (rolling(size(3, "INSTANCE_COUNT")), "MaximumBatchSize is 3 of the 4 instances of variant v"),
    ],
)
def test_a_number_of_instances_is_held_against_the_variants_instances(guard, words):
    assert words in refused(guard, new=of(variant(count=4)))
    assert canary_of["BlueGreenUpdatePolicy"]


def test_one_instance_has_no_part_that_is_half_or_less():
    assert "which is 100 %" in refused(rolling(size(1, "INSTANCE_COUNT")))


def test_a_linear_step_of_too_few_instances_is_refused():
    assert "which is 5 %" in refused(
        blue_green("LINEAR", LinearStepSize=size(1, "INSTANCE_COUNT")), new=of(variant(count=20))
    )


@pytest.mark.parametrize("guard", [blue_green("ALL_AT_ONCE"), canary(), linear(), rolling(size(50))])
def test_old_and_new_configuration_need_the_same_variant_names(guard):
    said = refused(guard, old=of(variant("a")), new=of(variant("b")))
    assert "must have the same variant names" in said
    assert "the old one has a, the new one b" in said


def test_rolling_excludes_several_variants():
    both = of(variant("a"), variant("b"))
    assert "multi-variant endpoints: a, b" in refused(rolling(size(50)), new=both)


def test_inf1_falls_back_to_all_at_once_without_baking():
    inf1 = of(variant(instance_type="ml.inf1.xlarge"))
    assert shares(canary(10), inf1) == [(1.0, 1, 0)]


def test_alarms_without_a_policy_guard_a_shift_all_at_once():
    alone = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "x"}, {"AlarmName": "x"}]}}
    assert read(alone) == Policy(alarms=("x",))


@pytest.mark.parametrize(
    ("guard", "count", "expected"),
    [
        (blue_green("ALL_AT_ONCE", wait=5, termination=7), 3, [(1.0, 3, 7)]),
        (canary(30, wait=5, termination=7), 3, [(0.3, 1, 5), (1.0, 3, 7)]),
        (blue_green("CANARY", CanarySize=size(1, "INSTANCE_COUNT")), 4, [(0.25, 1, 60), (1.0, 4, 60)]),
        (linear(50, wait=5, termination=0), 1, [(0.5, 1, 5), (1.0, 1, 0)]),
        (linear(33, wait=5), 3, [(0.33, 1, 5), (0.66, 2, 5), (0.99, 3, 5), (1.0, 3, 60)]),
        (
            blue_green("LINEAR", LinearStepSize=size(2, "INSTANCE_COUNT")),
            5,
            [(0.4, 2, 60), (0.8, 4, 60), (1.0, 5, 60)],
        ),
        (rolling(size(50), wait=5), 2, [(0.5, 1, 5), (1.0, 2, 5)]),
        (rolling(size(2, "INSTANCE_COUNT"), wait=5), 5, [(0.4, 2, 5), (0.8, 4, 5), (1.0, 5, 5)]),
        (rolling(size(5), wait=5), 3, [(0.333, 1, 5), (0.667, 2, 5), (1.0, 3, 5)]),
    ],
)
def test_steps_end_with_all_traffic_and_each_has_its_wait(guard, count, expected):
    assert shares(guard, of(variant(count=count))) == expected
