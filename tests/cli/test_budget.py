"""What `modelstack status` says of the error budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.view import render
from cli.view.budget import BudgetView, read
from monitoring.objectives.slo import Objective
from tests.cli.conftest import PROD, CloudWatch
from tests.cli.played import printed

OBJECTIVE = Objective(availability=0.999, latency=0.99, latency_ms=250, window_seconds=30 * 86400, min_requests=20)
SLOW = "TC(250000:)"
COUNTED = {
    ("Invocations", "Sum", "v-a"): [60_000.0, 30_000.0],
    ("Invocations", "Sum", "v-b"): [10_000.0],
    ("Invocation5XXErrors", "Sum", "v-a"): [5.0, 10.0],
    ("Invocation5XXErrors", "Sum", "v-b"): [10.0],
    ("ModelLatency", SLOW, "v-a"): [1_500.0, 0.0],
    ("OverheadLatency", SLOW, "v-a"): [9_999.0],
}
PROMISED = replace(PROD, outputs={"slo": OBJECTIVE.as_dict()})


def test_budgets_are_of_all_versions_over_the_objectives_window(cloudwatch: CloudWatch) -> None:
    cloudwatch.had = COUNTED
    failures, slowness = read(PROMISED)
    assert failures == BudgetView("availability", 0.999, 30, 100_000, 25, pytest.approx(100), pytest.approx(0.75))
    assert slowness == BudgetView("latency", 0.99, 30, 100_000, 1_500, pytest.approx(1_000), pytest.approx(-0.5))
    data = cloudwatch.asked["get_metric_data"]
    assert (data["EndTime"] - data["StartTime"]).days == 30
    assert all(query["MetricStat"]["Period"] % 60 == 0 for query in data["MetricDataQueries"])


def test_endpoint_without_a_request_has_its_whole_budget(cloudwatch: CloudWatch) -> None:
    assert [row.left for row in read(PROMISED)] == [1, 1]


def test_endpoint_that_was_named_without_its_stack_has_no_objective(cloudwatch: CloudWatch) -> None:
    assert (read(PROD), cloudwatch.asked) == ((), {})


@pytest.mark.parametrize(
    ("budget", "line"),
    [
        (
            BudgetView("availability", 0.999, 30, 100_000, 25, 100, 0.75),
            "availability 99.9% of 30 days: 75% of the error budget is left (25 of 100,000 requests failed, 100 might)",
        ),
        (
            BudgetView("latency", 0.95, 0.25, 1000, 225, 50, -3.5),
            "latency 95% of 0.25 days: 4.5 times as much as there is of the error budget is used up (225 of 1,000 "
            "requests were slow, 50 might)",
        ),
    ],
)
def test_a_line_says_what_was_promised_what_is_left_and_by_how_many_requests(budget: BudgetView, line: str) -> None:
    assert printed(render.budget(budget)).strip() == line
