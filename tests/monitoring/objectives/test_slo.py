from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.testing.cloudwatch import Condition
from monitoring.objectives.slo import Objective, budgets, rules, still

DAY = 86400


def objective(days: float = 30, **changes: float) -> Objective:
    given = {"availability": 0.999, "latency": 0.99, "latency_ms": 1000.0, **changes}
    return Objective(**given, window_seconds=round(days * DAY), min_requests=20)


def test_thirty_days_have_the_windows_and_burn_rates_of_the_workbook() -> None:
    found = rules(objective(), 60)
    assert [(rule.severity, rule.factor, rule.seconds) for rule in (*found, still(found, 60))] == [
        ("page", 14.4, 3600),
        ("page", 6.0, 6 * 3600),
        ("ticket", 1.0, 3 * DAY),
        ("page", 6.0, 1800),
    ]


def test_a_quarter_of_a_day_has_the_same_burn_rates_in_windows_of_seconds_and_minutes() -> None:
    found = rules(objective(0.25), 10)
    windows = [(rule.factor, rule.seconds) for rule in (*found, still(found, 10))]
    assert windows == [(14.4, 30), (6.0, 180), (1.0, 2160), (6.0, 20)]


@given(days=st.floats(0.25, 60), finest=st.sampled_from([10, 20, 30, 60]))
def test_every_window_is_a_period_that_an_alarm_may_have_and_the_same_share_of_the_budget_is_gone(
    days: float, finest: int
) -> None:
    asked = objective(days)
    found = rules(asked, finest)
    goes_on = still(found, finest)
    for seconds in (rule.seconds for rule in (*found, goes_on)):
        assert seconds >= finest
        assert seconds in (10, 20, 30) or seconds % 60 == 0
        assert seconds <= 7 * DAY
        assert Condition("GreaterThanThreshold", 1, seconds, 1, 1).period == seconds
    for rule, share in zip(found, (0.02, 0.05, 0.10), strict=True):
        assert rule.factor * rule.seconds == pytest.approx(share * asked.window_seconds, rel=1e-4)
    pages = [rule for rule in found if rule.severity == "page"]
    assert goes_on.factor == min(rule.factor for rule in pages), "as long as any of them could go on"
    assert goes_on.seconds <= max(rule.seconds for rule in pages)


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
