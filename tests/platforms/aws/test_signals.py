"""Tallies from what CloudWatch says."""

from __future__ import annotations

from platforms.aws.signals import Series, Source
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
