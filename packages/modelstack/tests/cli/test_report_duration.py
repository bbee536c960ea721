"""How long a rollout takes is what the judge needs, at the traffic that there is."""

from __future__ import annotations

import math

import pytest

from modelstack.cli.report.duration import Traffic, foreseen
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.judge.metrics import Metric

ERRORS = Metric("errors", "rate", 0.02)
PLAN = Plan((Step(10, 30), Step(50, 30)), metrics=(ERRORS,), window_seconds=10)


def test_more_requests_make_a_rollout_shorter_until_it_only_bakes() -> None:
    lasts = [foreseen(PLAN, Traffic(rate)).seconds for rate in (5, 20, 80, 2000)]
    assert lasts == sorted(lasts, reverse=True) and lasts[0] > lasts[-1]
    assert lasts[-1] == 2 * (30 + PLAN.settle)


def test_failures_of_the_champion_make_it_longer() -> None:
    assert foreseen(PLAN, Traffic(20, failed=0.05)).seconds > foreseen(PLAN, Traffic(20)).seconds


def test_too_little_traffic_does_not_end_in_time() -> None:
    found = foreseen(PLAN, Traffic(0.05))
    assert not found.in_time and found.ends == "roll_back"
    assert [seconds for _, seconds in found.steps] == [math.inf, math.inf]


def test_every_step_waits_for_its_requests() -> None:
    plan = Plan((Step(50, 10),), metrics=(ERRORS,), window_seconds=10, min_requests=2000)
    assert foreseen(plan, Traffic(10)).seconds >= 2000 / 5


def test_all_at_once_only_bakes() -> None:
    found = foreseen(Plan((Step(100, 300),)), Traffic(0.0))
    assert (found.seconds, found.in_time, found.at_once) == (300, True, True)


def test_a_step_of_which_labels_alone_decide_waits_for_its_requests_all_the_same() -> None:
    plan = Plan((Step(10, 30), Step(50, 30)), metrics=(Metric("log_loss", "mean", 0.1, high=5.0),), min_requests=1000)
    assert [seconds for _, seconds in foreseen(plan, Traffic(50)).steps] == [200, 40]
    assert not foreseen(plan, Traffic(0)).in_time


def test_a_latency_counts_only_when_enough_requests_tell_where_to_cut() -> None:
    slow = Metric("latency_p99", "quantile", 0.5, quantile=0.99)
    plan = Plan((Step(50, 10),), metrics=(slow,), window_seconds=10, max_seconds=7200)
    assert foreseen(plan, Traffic(20)).seconds > slow.requests_to_cut / 20


@pytest.mark.parametrize(("p50", "p99", "share"), [(None, None, 0.5), (5.0, 5.0, 0.5)])
def test_without_measured_latencies_half_of_the_slow_answers_are_slow_by_more(p50, p99, share: float) -> None:
    assert Traffic(1, p50=p50, p99=p99).slower(0.99, 0.5) == share


def test_a_steep_tail_has_few_answers_that_are_slow_by_more() -> None:
    steep, flat = (Traffic(1, p50=10, p99=p99).slower(0.99, 1.0) for p99 in (15, 200))
    assert steep < 0.01 and 0.2 < flat < 1
    assert Traffic(1, p50=10, p99=15).slower(0.99, 0.0) == 1.0


def test_metrics_of_labels_are_named_and_not_foreseen() -> None:
    plan = Plan((Step(50, 10),), metrics=(ERRORS, Metric("log_loss", "mean", 0.1, high=5.0)), window_seconds=10)
    found = foreseen(plan, Traffic(50))
    assert found.unknown == ("log_loss",) and math.isfinite(found.seconds)
