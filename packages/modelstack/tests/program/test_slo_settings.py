"""The config section `slo`."""

from __future__ import annotations

import pytest

from modelstack.monitoring.objectives.slo import SLIS, rules
from modelstack.program.config.slo_settings import SloSettings
from tests.program.refusals import load, refusal


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_an_objective_of_less_than_a_week_is_for_local_stacks_only(stack: str) -> None:
    assert refusal(stack, slo={"window_days": 6.5}) == [
        "modelstack:slo.window_days = 6.5: SageMaker's metrics come once a minute, too seldom for the windows of such "
        "an objective; allowed is a number from 7 to 60 on AWS, or null"
    ]
    there = load("local", slo={"window_days": 0.5}).slo
    assert there.objective("local").window_seconds == 43_200


def test_without_a_window_the_objective_is_of_a_month_and_on_local_stacks_of_hours() -> None:
    assert SloSettings().objective("prod").window_seconds == 30 * 86400
    assert SloSettings().objective("local").window_seconds == 6 * 3600


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_every_objective_that_is_allowed_can_be_burnt_fast_enough_to_page(stack: str) -> None:
    worst = SloSettings(availability=0.95, latency=0.95).objective(stack)
    assert all(rule.factor * worst.tolerated(sli) < 1 for rule in rules(worst, 60) for sli in SLIS)
