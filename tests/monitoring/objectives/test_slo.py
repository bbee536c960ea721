"""The error budget, and the windows that it is watched in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.testing.cloudwatch import Condition
from monitoring.objectives.slo import Objective, budgets, rules

DAY = 86400


def objective(days: float = 30, **changes: float) -> Objective:
    given = {"availability": 0.999, "latency": 0.99, "latency_ms": 1000.0, **changes}
    return Objective(**given, window_seconds=round(days * DAY), min_requests=20)


def test_thirty_days_have_the_windows_and_burn_rates_of_the_workbook() -> None:
    found = [(rule.severity, rule.factor, rule.long_seconds, rule.short_seconds) for rule in rules(objective(), 60)]
    assert found == [
        ("page", 14.4, 3600, 300),
        ("page", 6.0, 6 * 3600, 1800),
        ("ticket", 1.0, 3 * DAY, 6 * 3600),
    ]


def test_a_quarter_of_a_day_has_the_same_burn_rates_in_windows_of_seconds_and_minutes() -> None:
    found = [(rule.factor, rule.long_seconds, rule.short_seconds) for rule in rules(objective(0.25), 10)]
    assert found == [(14.4, 30, 10), (6.0, 180, 20), (1.0, 2160, 180)]


@given(days=st.floats(0.25, 60), finest=st.sampled_from([10, 20, 30, 60]))
def test_every_window_is_a_period_that_an_alarm_may_have_and_the_same_share_of_the_budget_is_gone(
    days: float, finest: int
) -> None:
    asked = objective(days)
    for rule, share in zip(rules(asked, finest), (0.02, 0.05, 0.10), strict=True):
        for seconds in (rule.long_seconds, rule.short_seconds):
            assert seconds >= finest
            assert seconds in (10, 20, 30) or seconds % 60 == 0
            assert seconds <= 7 * DAY
            assert Condition("GreaterThanThreshold", 1, seconds, 1, 1).period == seconds
        assert rule.short_seconds <= rule.long_seconds
        assert rule.factor * rule.long_seconds == pytest.approx(share * asked.window_seconds, rel=1e-4)


def test_what_is_tolerated_has_no_noise_of_floats() -> None:
    assert objective().tolerated("availability") == 0.001
    assert objective(latency=0.95).tolerated("latency") == 0.05


def test_budget_left_is_a_share_of_what_the_objective_tolerates() -> None:
    found = budgets(objective(), requests=100_000, failed=25, slow=2_000)
    assert found["availability"].tolerated == pytest.approx(100)
    assert found["availability"].left == pytest.approx(0.75)
    assert found["latency"].left == pytest.approx(-1), "twice as many were slow as the objective tolerates"


def test_without_requests_the_whole_budget_is_left() -> None:
    assert {item.left for item in budgets(objective(), 0, 0, 0).values()} == {1.0}


def test_an_objective_survives_its_way_through_a_stacks_outputs() -> None:
    told = {name: float(value) for name, value in objective().as_dict().items()}
    assert Objective.from_dict(told) == objective()
