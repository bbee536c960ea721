"""Alarms that ring only beyond chance: the bound, how often it errs, and what CloudWatch makes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from infra.config.settings import Settings
from localcloud.testing.cloudwatch import Condition
from platforms.aws.evaluations import evaluations, ratio
from services.declaration.alarm_thresholds import evidence, least
from tests.infra.recorded import LOCAL, RECIPE, run_program, stack_config
from tests.infra.watched import Watched, play

VARIANT = f"v-{RECIPE[:12]}"
LIMIT = 250_000.0  # microseconds


def chances(requests: int, share: float) -> list[float]:
    """The probability of each count of bad requests."""
    return [math.comb(requests, bad) * share**bad * (1 - share) ** (requests - bad) for bad in range(requests + 1)]


def needed(stack: str) -> float:
    """The evidence that a period of a committed stack needs."""
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
def test_equal_models_hear_an_alarm_in_at_most_alpha_of_rollouts_whose_failures_are_just_tolerated(
    requests: int,
) -> None:
    alpha, periods, tolerated, rollouts = 0.05, 90, 0.05, 1000
    draw = Random(requests)
    above = least(requests, tolerated, evidence(periods, alpha))
    counts, weights = range(requests + 1), list(accumulate(chances(requests, tolerated)))
    worst = [max(draw.choices(counts, cum_weights=weights, k=periods)) for _ in range(rollouts)]
    assert sum(bad > above for bad in worst) <= alpha * rollouts
    assert sum(bad / requests > tolerated for bad in worst) > 0.9 * rollouts, "a share alone would ring in nearly all"


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_half_of_twenty_requests_is_beyond_chance_in_one_period(stack: str) -> None:
    assert least(20, 0.05, needed(stack)) < 10


def test_evidence_covers_every_look_in_trial_and_watch_and_both_alarms() -> None:
    assert math.exp(-evidence(301, 0.05)) * 301 * 2 == pytest.approx(0.05)


@pytest.mark.parametrize(("period", "many"), [(10, 301), (20, 301), (30, 301), (60, 51), (300, 51), (3600, 51)])
def test_looks_are_all_the_periods_that_cloudwatch_looks_at(period: int, many: int) -> None:
    alarm = Condition("GreaterThanThreshold", 0.05, period, evaluation_periods=1, datapoints_to_alarm=1)
    seconds = range(3600, 3600 + 50 * 60 + 1)  # the trial and the watch after it
    assert len({alarm.range_end(now) for now in seconds}) == many
    assert evaluations(50 * 60, period) == many


def test_counting_long_periods_once_each_would_break_the_promise_that_counting_looks_keeps() -> None:
    """Equal models, 5% fail, an alarm at the exact quantile: 300-second periods that end each minute for five hours."""
    alpha, minutes, width, requests, rollouts = 0.05, 300, 5, 4000, 4000
    draw = np.random.default_rng(7)
    failed = draw.binomial(requests, 0.05, (rollouts, minutes + width - 1)).cumsum(axis=1)
    failed = np.hstack([np.zeros((rollouts, 1), int), failed])
    worst = (failed[:, width:] - failed[:, :-width]).max(axis=1)

    def rings(counted: int) -> float:
        above = binom.isf(alpha / counted, width * requests, 0.05)
        return float((worst > above).mean())

    assert rings(minutes) <= alpha
    assert rings(minutes // width) > 1.5 * alpha


def test_expression_is_the_bound_in_plain_numbers() -> None:
    assert ratio(0.05, 9) == "IF(part > (0.05 * whole + (0.9 * whole) ^ 0.5 + 3), part / whole, 0)"
    assert "e" not in ratio(1e-7, 12.3456789).removeprefix("IF(").replace("whole", "")


# --- on CloudWatch


class Served:
    """A CloudWatch with one declared alarm, and requests to put into it."""

    def __init__(self, watched: Watched, measure: str) -> None:
        self._watched, self._measure = watched, measure

    def answer(self, good: int, bad: int, *, errors: bool = True) -> None:
        """Answers as SageMaker counts them; without `errors` nothing is said of 5XX."""
        for position in range(good + bad):
            failed = float(position < bad)
            self._put("Invocations", 1)
            self._put("ModelLatency", 2 * LIMIT if failed else LIMIT)
            if errors:
                self._put("Invocation5XXErrors", failed)

    def _put(self, name: str, value: float) -> None:
        self._watched.put(name, value, VARIANT, "AWS/SageMaker")

    async def period(self) -> str:
        """Let a period pass; the state then."""
        await self._watched.local.advance(10)
        return await self._watched.state(VARIANT, self._measure, 1)  # what was put at its end has been seen

    async def value(self) -> float:
        """Of the newest data point that the alarm looked at."""
        found = await self._watched.local.describe(LOCAL.alarm(VARIANT, self._measure))
        return json.loads(found["StateReasonData"])["recentDatapoints"][-1]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[str, Callable[[Served], Awaitable[None]]], None]:
    """Runs a story against a new CloudWatch with the alarm on a measure."""

    def run(measure: str, story: Callable[[Served], Awaitable[None]]) -> None:
        alarm = run_program(monitoring={"max_p99_ms": LIMIT / 1000}).alarm(f"{VARIANT}-{measure}")
        play(tmp_path, [alarm], lambda watched: story(Served(watched, measure)))

    return run


@pytest.mark.parametrize("measure", ["5xx", "p99"])
def test_few_bad_requests_of_few_leave_the_alarm_ok(tell: Any, measure: str) -> None:
    async def story(served: Served) -> None:
        for _ in range(3):
            served.answer(good=13, bad=2)
            assert await served.period() == "OK"

    tell(measure, story)


def test_half_of_twenty_requests_failing_rings_in_the_first_period(tell: Any) -> None:
    async def story(served: Served) -> None:
        served.answer(good=20, bad=0)
        assert await served.period() == "OK"
        served.answer(good=10, bad=10)
        assert await served.period() == "ALARM"
        assert await served.value() == 0.5

    tell("5xx", story)


def test_many_requests_ring_for_a_share_a_little_over_what_is_tolerated(tell: Any) -> None:
    async def story(served: Served) -> None:
        served.answer(good=930, bad=70)
        assert await served.period() == "OK"
        served.answer(good=900, bad=100)
        assert await served.period() == "ALARM"

    tell("5xx", story)


def test_half_of_twenty_requests_slow_in_two_periods_rings(tell: Any) -> None:
    async def story(served: Served) -> None:
        served.answer(good=10, bad=10)
        assert await served.period() == "OK"
        served.answer(good=10, bad=10)
        assert await served.period() == "ALARM"

    tell("p99", story)


@pytest.mark.parametrize("measure", ["5xx", "p99"])
def test_a_period_without_requests_breaches_nothing(tell: Any, measure: str) -> None:
    async def story(served: Served) -> None:
        assert await served.period() == "OK"
        served.answer(good=30, bad=0, errors=False)
        assert await served.period() == "OK"

    tell(measure, story)
