"""When a count is more than chance: the bound, and how often it errs."""

from __future__ import annotations

import math
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from scipy.stats import binom

from localcloud.testing.cloudwatch import Condition
from modelstack.monitoring.objectives.slo import SLIS, rules
from modelstack.platforms.aws.evaluations import evaluations, ratio
from modelstack.program.aws.monitors import ALPHA, burn_evidence
from modelstack.program.config.settings import Settings
from modelstack.program.config.slo_settings import SloSettings
from modelstack.services.declaration.alarm_thresholds import evidence, least
from tests.program.recorded import stack_config


def chances(requests: int, share: float) -> list[float]:
    return [math.comb(requests, bad) * share**bad * (1 - share) ** (requests - bad) for bad in range(requests + 1)]


def needed(stack: str) -> float:
    settings = Settings.load(stack_config(stack), stack=stack)
    rollout = settings.rollout
    seconds = 60 * (rollout.max_minutes + rollout.watch_minutes)
    return evidence(evaluations(seconds, settings.monitoring.period_seconds), rollout.judge.alpha)


@pytest.mark.parametrize("tolerated", [0.01, 0.05, 0.3])
def test_the_exact_chance_of_a_count_above_the_bound_is_within_the_promise(tolerated: float) -> None:
    for nats in (1.0, 4.0, needed("local")):
        for requests in range(1, 400, 7):
            above = least(requests, tolerated, nats)
            chance = math.fsum(p for bad, p in enumerate(chances(requests, tolerated)) if bad > above)
            assert chance <= math.exp(-nats), (requests, nats)


@pytest.mark.parametrize("requests", [8, 25, 200])
def test_equal_models_get_an_alarm_in_at_most_alpha_of_rollouts_whose_failures_are_just_tolerated(
    requests: int,
) -> None:
    alpha, periods, tolerated, rollouts = 0.05, 90, 0.05, 1000
    draw = Random(requests)
    above = least(requests, tolerated, evidence(periods, alpha))
    counts, weights = range(requests + 1), list(accumulate(chances(requests, tolerated)))
    worst = [max(draw.choices(counts, cum_weights=weights, k=periods)) for _ in range(rollouts)]
    assert sum(bad > above for bad in worst) <= alpha * rollouts
    assert sum(bad / requests > tolerated for bad in worst) > 0.9 * rollouts, "a share alone would fire in nearly all"


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_a_service_that_just_keeps_its_objective_fires_by_chance_within_the_promise(stack: str) -> None:
    objective = SloSettings().objective(stack)
    windows = rules(objective, 10 if stack == "local" else 60)
    nats = burn_evidence(objective, windows)
    for requests in (20, 100, 1_000, 20_000, 1_000_000):
        chance = 0.0
        for window in windows:
            for sli in SLIS:
                above = int(least(requests, objective.tolerated(sli), nats))
                each = float(binom.sf(above, requests, objective.tolerated(sli)))
                chance += each * evaluations(objective.window_seconds, window.seconds)
        assert chance <= ALPHA, requests


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_half_of_twenty_requests_is_beyond_chance_in_one_period(stack: str) -> None:
    assert least(20, 0.05, needed(stack)) < 10


def test_evidence_covers_every_evaluation_of_both_alarms() -> None:
    assert math.exp(-evidence(301, 0.05)) * 301 * 2 == pytest.approx(0.05)


@pytest.mark.parametrize(("period", "many"), [(10, 301), (20, 301), (30, 301), (60, 51), (300, 51), (3600, 51)])
def test_evaluations_are_all_the_periods_that_cloudwatch_evaluates(period: int, many: int) -> None:
    alarm = Condition("GreaterThanThreshold", 0.05, period, evaluation_periods=1, datapoints_to_alarm=1)
    assert len({alarm.range_end(now) for now in range(3600, 3600 + 50 * 60 + 1)}) == many
    assert evaluations(50 * 60, period) == many


def test_counting_long_periods_once_each_would_break_the_promise_that_counting_evaluations_keeps() -> None:
    """Equal models, 5% fail, an alarm at the exact quantile: 300-second periods that end each minute for five hours."""
    alpha, minutes, width, requests, rollouts = 0.05, 300, 5, 4000, 4000
    draw = np.random.default_rng(7)
    failed = draw.binomial(requests, 0.05, (rollouts, minutes + width - 1)).cumsum(axis=1)
    failed = np.hstack([np.zeros((rollouts, 1), int), failed])
    worst = (failed[:, width:] - failed[:, :-width]).max(axis=1)

    def fires(counted: int) -> float:
        above = binom.isf(alpha / counted, width * requests, 0.05)
        return float((worst > above).mean())

    assert fires(minutes) <= alpha
    assert fires(minutes // width) > 1.5 * alpha


def test_the_expression_is_the_bound_in_plain_numbers() -> None:
    assert ratio(0.05, 9) == "IF(part > (0.05 * whole + (0.9 * whole) ^ 0.5 + 3), part / whole, 0)"
    assert "e" not in ratio(1e-7, 12.3456789).removeprefix("IF(").replace("whole", "")
