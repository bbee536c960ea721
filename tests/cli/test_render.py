"""`modelstack status`: metrics of a package, moves, and delays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cli.local.image import region_of
from cli.platform.choose import platform_of
from cli.platform.facts import ServedView
from cli.view import served
from cli.view.render import delay, shown_metrics, snapshot
from cli.view.render import served as served_table
from tests.cli.conftest import PROD, CloudWatch, plan
from tests.cli.played import look, printed
from tests.rollout.worlds import release
from tests.simulator.platform import World


def test_metrics_of_a_users_own_are_shown_after_the_well_known_ones() -> None:
    assert shown_metrics({"ndcg": "1", "auc": "2", "hits": "3"}) == ["auc", "ndcg", "hits"]
    assert len(shown_metrics(f"m{number}" for number in range(20))) < 20, "what has no place is left out"


def test_the_last_verdict_is_the_releases_and_a_move_of_the_champion_is_told_beside_it(
    begin: Callable[..., World],
) -> None:
    world = begin(seconds=600)
    world.configs["solo-b-large"], world.broken = {"v-b": 1.0}, {"solo-b-large"}
    world.controller().release(replace(release("b"), config_name="solo-b-large"), None, plan())
    world.controller().follow(600)
    text = printed(snapshot(look(world)), 400)
    assert "last verdict promoted b at" in text
    assert "champion moved failed b at" in text


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
