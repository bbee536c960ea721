"""Tallies from what CloudWatch says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from platforms.aws.signals import CloudWatchSignals, Series, Source
from rollout.controller.ports import Ask
from rollout.core.catalogue import KNOWN
from rollout.judge.metrics import Metric, Tally

MINUTES = Metric("minutes", "mean", 1.0, high=60.0, namespace="own", metric="Minutes")
SERIES = tuple(
    Series(name, stat, "v-a", "own", "rollout-1")
    for name, stat in (("Minutes", "SampleCount"), ("Minutes", "Sum"), ("MinutesSquared", "Sum"))
)


def test_a_mean_without_its_squares_is_not_known() -> None:
    source = Source(MINUTES.name, MINUTES, SERIES)
    count, total, squares = SERIES
    assert source.tally({(count, 60): 4.0, (total, 60): 40.0}, 60) == Tally()
    assert source.tally({(count, 60): 4.0, (total, 60): 40.0, (squares, 60): 500.0}, 60) == Tally(4, 40.0, 500.0)


def test_a_rate_needs_no_squares() -> None:
    right = Metric("right", "rate", 0.1, namespace="own", metric="Right")
    series = tuple(Series("Right", stat, "v-a", "own", "rollout-1") for stat in ("SampleCount", "Sum"))
    assert Source(right.name, right, series).tally({(series[0], 60): 4.0, (series[1], 60): 3.0}, 60) == Tally(4, 3.0)


P99 = Metric("latency_p99", "quantile", 0.5, quantile=0.99)


def test_requests_without_the_series_of_failures_are_not_requests_without_a_failure() -> None:
    series = tuple(Series(name, "Sum", "v-a") for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors"))
    source, (count, refused, failed) = Source("errors", None, series), series
    assert source.tally({(count, 60): 40.0, (refused, 60): 1.0}, 60) == Tally()
    assert source.tally({(count, 60): 40.0, (refused, 60): 1.0, (failed, 60): 0.0}, 60) == Tally(40, 1)


def test_answers_without_the_share_of_fast_ones_are_not_all_slow() -> None:
    series = Series("ModelLatency", "SampleCount", "v-a"), Series("ModelLatency", "PR(:300)", "v-a")
    source = Source(P99.name, P99, series)
    assert source.tally({(series[0], 60): 40.0}, 60) == Tally()
    assert source.tally({(series[0], 60): 40.0, (series[1], 60): 90.0}, 60) == Tally(40, 4)
    assert source.tally({(series[0], 60): 40.0, (series[1], 60): 0.0}, 60) == Tally(40, 40)


class Cloud:
    """An endpoint that captures a share of its answers, of which 40 were counted in the second minute."""

    def __init__(self, capture: Mapping[str, Any]) -> None:
        self.capture, self.asked = capture, list[str]()

    def __call__(self, _: str) -> Any:
        return self

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        return {"DataCaptureConfig": self.capture}

    def get_metric_data(self, MetricDataQueries: list[Any], **_: Any) -> dict[str, Any]:
        asked = [(query["Id"], query["MetricStat"]) for query in MetricDataQueries]
        self.asked = [stat["Metric"]["MetricName"] for _, stat in asked]
        own = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v-b"}]
        return {
            "MetricDataResults": [
                {"Id": id_, "Timestamps": [datetime.fromtimestamp(120, UTC)], "Values": [40.0]}
                for id_, stat in asked
                if stat["Metric"]["MetricName"] == "InvalidAnswers" and stat["Metric"]["Dimensions"] == own
            ]
        }


def capturing(percent: int, *, on: bool = True) -> dict[str, Any]:
    return {"EnableCapture": on, "CurrentSamplingPercentage": percent}


@pytest.mark.parametrize(
    ("capture", "counted"),
    [(capturing(100), 40), (capturing(10), pytest.approx(590, abs=1)), (capturing(100, on=False), None), ({}, None)],
    ids=["all", "a tenth, as many as may well be", "off", "never"],
)
def test_how_many_answers_were_counted_is_told_of_what_was_captured(capture: Mapping[str, Any], counted: Any) -> None:
    cloud = Cloud(capture)
    ask = Ask("v-a", "v-b", "r", 60, 300, 60, (KNOWN["errors"], KNOWN["accuracy"]))
    assert CloudWatchSignals(cloud, "e").read(ask).counted == counted


def test_of_a_trial_that_needs_no_captured_answers_nobody_asks_how_many_were_counted() -> None:
    cloud = Cloud(capturing(100))
    assert CloudWatchSignals(cloud, "e").read(Ask("v-a", "v-b", "r", 60, 300, 60)).counted is None
    assert "InvalidAnswers" not in cloud.asked
