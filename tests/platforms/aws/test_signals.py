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
