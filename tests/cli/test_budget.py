"""What `modelstack status` says of the error budgets."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.target import Target
from cli.view import render
from cli.view.budget import BudgetView, read
from monitoring.objectives.slo import Objective

OBJECTIVE = Objective(availability=0.999, latency=0.99, latency_ms=250, window_seconds=30 * 86400, min_requests=20)
# By metric and variant, what CloudWatch has in two periods.
COUNTED = {
    ("Invocations", "v-a"): [60_000.0, 30_000.0],
    ("Invocations", "v-b"): [10_000.0],
    ("Invocation5XXErrors", "v-a"): [5.0, 10.0],
    ("Invocation5XXErrors", "v-b"): [10.0],
    ("ModelLatency", "v-a"): [1_500.0, 0.0],
    ("OverheadLatency", "v-a"): [9_999.0],
}


class CloudWatch:
    """Answers in two pages, and keeps what it was asked."""

    def __init__(self, counted: dict[tuple[str, str], list[float]]) -> None:
        self.counted = counted
        self.asked: dict[str, Any] = {}

    def get_paginator(self, operation: str) -> CloudWatch:
        self.operation = operation
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked[self.operation] = asked
        if self.operation == "list_metrics":
            for name, variant in self.counted:
                yield {"Metrics": [{"MetricName": name, "Namespace": "AWS/SageMaker", "Dimensions": [variant]}]}
            return
        for query in asked["MetricDataQueries"]:
            metric = query["MetricStat"]["Metric"]
            for value in self.counted[metric["MetricName"], metric["Dimensions"][0]]:
                yield {"MetricDataResults": [{"Id": query["Id"], "Values": [value]}]}


def target(monkeypatch: pytest.MonkeyPatch, counted: dict[tuple[str, str], list[float]], **outputs: Any) -> Target:
    cloudwatch = CloudWatch(counted)
    monkeypatch.setattr(Target, "client", lambda *_: cloudwatch)
    return Target(stack="prod", endpoint="flight-delay-prod", region="us-east-1", outputs=outputs)


def test_budgets_are_of_all_versions_over_the_objectives_window(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = target(monkeypatch, COUNTED, slo=OBJECTIVE.as_dict())
    failures, slowness = read(asked)
    assert failures == BudgetView("availability", 0.999, 30, 100_000, 25, pytest.approx(100), pytest.approx(0.75))
    assert slowness == BudgetView("latency", 0.99, 30, 100_000, 1_500, pytest.approx(1_000), pytest.approx(-0.5))
    questions = asked.client("cloudwatch").asked
    assert questions["list_metrics"]["Dimensions"] == [{"Name": "EndpointName", "Value": "flight-delay-prod"}]
    data = questions["get_metric_data"]
    assert (data["EndTime"] - data["StartTime"]).days == 30
    stats = {query["MetricStat"]["Metric"]["MetricName"]: query["MetricStat"] for query in data["MetricDataQueries"]}
    assert stats["ModelLatency"]["Stat"] == "TC(250000:)"
    assert all(item["Period"] % 60 == 0 for item in stats.values())


def test_a_budget_that_is_overspent_says_how_often() -> None:
    console = Console(width=160, file=StringIO(), record=True)
    console.print(render.budget(BudgetView("latency", 0.95, 0.25, 1000, 225, 50, -3.5)))
    assert console.export_text().strip() == (
        "latency 95% of 0.25 days: 4.5 times as much as there is of the error budget is used up (225 of 1,000 requests "
        "were slow, 50 might)"
    )


def test_endpoint_without_a_request_has_its_whole_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row.left for row in read(target(monkeypatch, {}, slo=OBJECTIVE.as_dict()))] == [1, 1]


def test_endpoint_that_was_named_without_its_stack_has_no_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(target(monkeypatch, COUNTED)) == ()


def test_a_line_says_what_was_promised_what_is_left_and_by_how_many_requests() -> None:
    console = Console(width=200, record=True, file=StringIO())
    console.print(render.budget(BudgetView("availability", 0.999, 30, 100_000, 25, 100, 0.75)))
    assert console.export_text().strip() == (
        "availability 99.9% of 30 days: 75% of the error budget is left (25 of 100,000 requests failed, 100 might)"
    )
