"""What is computed of what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

FLAGGER_INTERVAL_S, FLAGGER_THRESHOLD, FLAGGER_EXAMPLE = 60, 1, 10
"""Flagger's `analysis.interval` and `analysis.threshold` where a Canary sets none, and the threshold of its example.

Source: fluxcd/flagger, pkg/apis/flagger/v1beta1/canary.go; its page on deployment strategies.
"""


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile by nearest rank: the least value that at least a share q of all does not exceed.

    Raises:
        ValueError: There are no values, or q is not above 0 and at most 1.
    """
    if not values or not 0 < q <= 1:
        raise ValueError(f"quantile {q} of {len(values)} values: expected 0 < q <= 1, and a value")
    return sorted(values)[max(0, -int(-q * len(values) // 1) - 1)]


def flagger_seconds(interval: float, threshold: int) -> float:
    """Seconds that Flagger takes to roll back a canary that fails: its documentation's own formula."""
    return interval * threshold


def calls_a_minute(standing: float, each_look: float, endpoints: int, rest_seconds: float) -> float:
    """Calls a minute of a controller whose endpoints all rest.

    Args:
        standing: Calls a minute that it makes however many endpoints there are.
        each_look: Calls of one look at one endpoint.
        endpoints: How many there are.
        rest_seconds: The time between two looks at an endpoint.
    """
    return standing + endpoints * each_look * 60 / rest_seconds


def line(points: Mapping[int, float]) -> tuple[float, float]:
    """Slope and intercept of the straight line that fits best, by least squares.

    Raises:
        ValueError: There are fewer than two points.
    """
    if len(points) < 2:
        raise ValueError(f"a line through {len(points)} points")
    slope, intercept = statistics.linear_regression(list(points), list(points.values()))
    return slope, intercept


def bent(points: Mapping[int, float]) -> float:
    """The last of the points, in order, over where the line through the others has it: 1 when growth is linear.

    Raises:
        ValueError: There are fewer than three points.
    """
    *first, last = sorted(points)
    slope, intercept = line({at: points[at] for at in first})
    return points[last] / (slope * last + intercept)
