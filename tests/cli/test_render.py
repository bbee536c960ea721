"""`modelstack status`: metrics of a package, moves, and delays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cli.local.image import region_of
from cli.platform.choose import platform_of
from cli.view.render import delay, shown_metrics, snapshot
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
