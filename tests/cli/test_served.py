"""What `modelstack status` says of how the variants answered."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.target import Target
from cli.view import render
from cli.view.served import ServedView, read

# By metric, statistic and variant, what CloudWatch has of the last hour.
HAD = {
    ("Invocations", "Sum", "v-a"): [60_000.0],
    ("Invocation5XXErrors", "Sum", "v-a"): [1.0],
    ("Invocation4XXErrors", "Sum", "v-a"): [5.0],
    ("ModelLatency", "p50", "v-a"): [12_340.0],
    ("ModelLatency", "p90", "v-a"): [50_000.0],
    ("ModelLatency", "p99", "v-a"): [250_000.0, 90_000.0],
    ("Invocations", "Sum", "v-b"): [3.0],
}


class CloudWatch:
    """Answers a page a query, and keeps what it was asked."""

    asked: dict[str, Any]

    def get_paginator(self, operation: str) -> CloudWatch:
        assert operation == "get_metric_data"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked = asked
        for query in asked["MetricDataQueries"]:
            stat = query["MetricStat"]
            names = {item["Name"]: item["Value"] for item in stat["Metric"]["Dimensions"]}
            assert names["EndpointName"] == "flight-delay-prod"
            values = HAD.get((stat["Metric"]["MetricName"], stat["Stat"], names["VariantName"]), [])
            yield {"MetricDataResults": [{"Id": query["Id"], "Values": values}]}


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    client = CloudWatch()
    monkeypatch.setattr(Target, "client", lambda *_: client)
    return client


TARGET = Target(stack="prod", endpoint="flight-delay-prod", region="us-east-1", outputs={})


def test_requests_failures_and_latency_are_of_each_variant_that_was_asked(cloudwatch: CloudWatch) -> None:
    first, second = read(TARGET, ["v-a", "v-b", "v-idle"])
    assert first == ServedView("v-a", 60_000, 1, 5, {"p50": 12.34, "p90": 50.0, "p99": 250.0})
    assert second == ServedView("v-b", 3, 0, 0, {})
    (period,) = {query["MetricStat"]["Period"] for query in cloudwatch.asked["MetricDataQueries"]}
    spent = (cloudwatch.asked["EndTime"] - cloudwatch.asked["StartTime"]).total_seconds()
    assert period - 60 <= spent <= period, "one period, so that there is one quantile"


def test_an_endpoint_without_variants_is_not_asked_about(cloudwatch: CloudWatch) -> None:
    assert read(TARGET, []) == ()
    assert not hasattr(cloudwatch, "asked")


def test_no_failure_is_rounded_away(cloudwatch: CloudWatch) -> None:
    console = Console(width=100, file=StringIO(), record=True)
    console.print(render.served(read(TARGET, ["v-a", "v-b"])))
    first, second = (line.split("│")[1:-1] for line in console.export_text().splitlines() if "v-" in line)
    assert [cell.strip() for cell in first] == ["v-a", "60,000", "99.99%", "1", "5", "12.3", "50.0", "250.0"]
    assert [cell.strip() for cell in second] == ["v-b", "3", "100%", "0", "0", "-", "-", "-"]
