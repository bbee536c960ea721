"""What `modelstack status` says of how the variants answered."""

from __future__ import annotations

from cli.platform.facts import ServedView
from cli.view import render
from cli.view.served import read
from tests.cli.conftest import PROD, CloudWatch
from tests.cli.played import printed

HAD = {
    ("Invocations", "Sum", "v-a"): [60_000.0],
    ("Invocation5XXErrors", "Sum", "v-a"): [1.0],
    ("Invocation4XXErrors", "Sum", "v-a"): [5.0],
    ("ModelLatency", "p50", "v-a"): [12_340.0],
    ("ModelLatency", "p90", "v-a"): [50_000.0],
    ("ModelLatency", "p99", "v-a"): [250_000.0, 90_000.0],
    ("Invocations", "Sum", "v-b"): [3.0],
}


def test_requests_failures_and_latency_are_of_each_variant_that_was_asked(cloudwatch: CloudWatch) -> None:
    cloudwatch.had = HAD
    first, second = read(PROD, ["v-a", "v-b", "v-idle"])
    assert first == ServedView("v-a", 60_000, 1, 5, {"p50": 12.34, "p90": 50.0, "p99": 250.0})
    assert second == ServedView("v-b", 3, 0, 0, {})
    asked = cloudwatch.asked["get_metric_data"]
    (period,) = {query["MetricStat"]["Period"] for query in asked["MetricDataQueries"]}
    spent = (asked["EndTime"] - asked["StartTime"]).total_seconds()
    assert period - 60 <= spent <= period, "one period, so that there is one quantile"


def test_an_endpoint_without_variants_is_not_asked_about(cloudwatch: CloudWatch) -> None:
    assert read(PROD, []) == ()
    assert cloudwatch.asked == {}


def test_no_failure_is_rounded_away(cloudwatch: CloudWatch) -> None:
    cloudwatch.had = HAD
    shown = printed(render.served(read(PROD, ["v-a", "v-b"])), width=100)
    first, second = (line.split("│")[1:-1] for line in shown.splitlines() if "v-" in line)
    assert [cell.strip() for cell in first] == ["v-a", "60,000", "99.99%", "1", "5", "12.3", "50.0", "250.0"]
    assert [cell.strip() for cell in second] == ["v-b", "3", "100%", "0", "0", "-", "-", "-"]
