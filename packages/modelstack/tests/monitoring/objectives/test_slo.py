from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.testing.cloudwatch import Condition
from modelstack.monitoring.objectives.slo import Objective, budgets, rules, still

DAY = 86400


def objective(days: float = 30, **changes: float) -> Objective:
    given = {"availability": 0.999, "latency": 0.99, "latency_ms": 1000.0, **changes}
    return Objective(**given, window_seconds=round(days * DAY), min_requests=20)


@pytest.mark.parametrize(
    ("days", "finest", "windows"),
    [(30, 60, [3600, 6 * 3600, 3 * DAY, 1800]), (0.25, 10, [30, 180, 2160, 20])],
    ids=["those of the workbook", "seconds and minutes"],
)
def test_an_objective_has_the_burn_rates_of_the_workbook(days: float, finest: int, windows: list[int]) -> None:
    found = rules(objective(days), finest)
    every = (*found, still(found, finest))
    assert [(rule.severity, rule.factor) for rule in every] == [
        *(("page", 14.4), ("page", 6.0), ("ticket", 1.0), ("page", 6.0))
    ]
    assert [rule.seconds for rule in every] == windows


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
