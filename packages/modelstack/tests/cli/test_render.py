"""Parts of `modelstack status`: metrics of a package, delays, answers and error budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.cli.local.image import region_of
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import ServedView
from modelstack.cli.view import budget, served
from modelstack.cli.view.budget import BudgetView
from modelstack.cli.view.render import budget as budget_line
from modelstack.cli.view.render import delay, shown_metrics
from modelstack.cli.view.render import served as served_table
from modelstack.monitoring.objectives.slo import Objective
from tests.cli.conftest import PROD, CloudWatch
from tests.cli.played import printed


def test_metrics_of_a_users_own_are_shown_after_the_well_known_ones() -> None:
    assert shown_metrics({"ndcg": "1", "auc": "2", "hits": "3"}) == ["auc", "ndcg", "hits"]
    assert len(shown_metrics(f"m{number}" for number in range(20))) < 20, "what has no place is left out"


@pytest.mark.parametrize(
    ("registry", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("registry.example.com", None),
    ],
)
def test_the_region_of_a_registry_is_in_its_name(registry: str, region: str | None) -> None:
    assert region_of(registry) == region


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([3.0, 480.0], "captures and labels are counted 8 minutes after they came: what follows is as old"),
        ([480.0, 59.0], ""),
        ([], ""),
    ],
)
def test_a_backlog_is_told_by_the_file_that_was_counted_last(
    cloudwatch: CloudWatch, values: list[float], said: str
) -> None:
    cloudwatch.had = {("LabelsDelay", "Maximum", ""): values}
    assert delay(platform_of(PROD).delay()) == said
    asked = cloudwatch.asked["get_metric_data"]
    assert asked["ScanBy"] == "TimestampAscending"
    assert asked["MetricDataQueries"][0]["MetricStat"]["Metric"]["Namespace"] == "modelstack"


def test_requests_failures_and_latency_are_of_each_variant_that_was_asked_and_no_failure_is_rounded_away(
    cloudwatch: CloudWatch,
) -> None:
    assert (served.read(PROD, []), cloudwatch.asked) == ((), {})
    cloudwatch.had = {
        ("Invocations", "Sum", "v-a"): [60_000.0],
        ("Invocation5XXErrors", "Sum", "v-a"): [1.0],
        ("Invocation4XXErrors", "Sum", "v-a"): [5.0],
        ("ModelLatency", "p50", "v-a"): [12_340.0],
        ("ModelLatency", "p90", "v-a"): [50_000.0],
        ("ModelLatency", "p99", "v-a"): [250_000.0, 90_000.0],
        ("Invocations", "Sum", "v-b"): [3.0],
    }
    first, second = served.read(PROD, ["v-a", "v-b", "v-idle"])
    assert first == ServedView("v-a", 60_000, 1, 5, {"p50": 12.34, "p90": 50.0, "p99": 250.0})
    assert second == ServedView("v-b", 3, 0, 0, {})
    asked = cloudwatch.asked["get_metric_data"]
    (period,) = {query["MetricStat"]["Period"] for query in asked["MetricDataQueries"]}
    spent = (asked["EndTime"] - asked["StartTime"]).total_seconds()
    assert period - 60 <= spent <= period, "one period, so that there is one quantile"
    shown = printed(served_table((first, second)), width=100)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "v-" in line]
    assert cells[0] == ["v-a", "60,000", "99.99%", "1", "5", "12.3", "50.0", "250.0"]
    assert cells[1] == ["v-b", "3", "100%", "0", "0", "-", "-", "-"]


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
    failures, slowness = budget.read(PROMISED)
    assert failures == BudgetView("availability", 0.999, 30, 100_000, 25, pytest.approx(100), pytest.approx(0.75))
    assert slowness == BudgetView("latency", 0.99, 30, 100_000, 1_500, pytest.approx(1_000), pytest.approx(-0.5))
    data = cloudwatch.asked["get_metric_data"]
    assert (data["EndTime"] - data["StartTime"]).days == 30
    assert all(query["MetricStat"]["Period"] % 60 == 0 for query in data["MetricDataQueries"])


def test_endpoint_without_a_request_has_its_whole_budget(cloudwatch: CloudWatch) -> None:
    assert [row.left for row in budget.read(PROMISED)] == [1, 1]


def test_endpoint_that_was_named_without_its_stack_has_no_objective(cloudwatch: CloudWatch) -> None:
    assert (budget.read(PROD), cloudwatch.asked) == ((), {})


@pytest.mark.parametrize(
    ("view", "line"),
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
def test_a_line_says_what_was_promised_what_is_left_and_by_how_many_requests(view: BudgetView, line: str) -> None:
    assert printed(budget_line(view)).strip() == line
