"""Scales a metric's tallies to values from 0 to 1, lower is better.

A tally out of the range is not clipped: two versions beyond it would look alike, and the bets would not hold.
"""

from __future__ import annotations

import math
from operator import le

from modelstack.rollout.judge.blocks import Column
from modelstack.rollout.judge.metrics import Metric, Sums, Tally, Worth

_ROUNDING = 1e-9  # of the values' size: sums of 64-bit numbers, rounded on their way


def scaled(metric: Metric, tally: Sums) -> Worth:
    """A tally that `unfit` accepts, scaled; rounding beyond the range is corrected."""
    count = tally.count
    if not count:
        return Worth(0, 0.0, 0.0)
    if metric.kind == "mean":
        total, squares = _sums(metric, tally)
        total = min(max(total, 0.0), count)
        squares = min(max(squares, total**2 / count), total)
    else:
        total = squares = min(max(tally.total, 0.0), count)
    if metric.better == "higher":
        total, squares = count - total, count - 2 * total + squares
    return Worth(count, total, squares)


def unfit(metric: Metric, tally: Tally) -> dict[str, str]:
    """The figures of a tally that cannot be of values within the metric's range; empty when it can."""
    low, high = span(metric)
    count = tally.count
    if count < 0 or not (math.isfinite(tally.total) and math.isfinite(tally.squares)):
        squares = {"squares": f"{tally.squares:g}"} if metric.kind == "mean" else {}
        return {"count": str(count), "sum": f"{tally.total:g}", **squares}
    if not count:
        return {}
    total, squares = _sums(metric, tally)
    size = 1 + max(abs(low), abs(high)) / (high - low)
    slack = _ROUNDING * count * size
    if not -slack <= total <= count + slack:
        return {"count": str(count), "mean": f"{tally.total / count:.6g}"}
    slack *= 4 * size
    if not total**2 / count - slack <= squares <= total + slack:
        squares = f"{tally.squares / count:.6g}"
        return {"count": str(count), "mean": f"{tally.total / count:.6g}", "squares": squares}
    return {}


def fit(metric: Metric, column: Column) -> bool:
    """A fast check of a whole column: True means that `unfit` accepts all of it, False that it may not."""
    counts, totals, squares = column.counts, column.totals, column.squares
    if metric.kind == "mean":
        return _means_fit(span(metric), column)
    return min(totals, default=0) >= 0 and all(map(le, totals, counts)) and not any(squares)


def _means_fit(within: tuple[float, float], column: Column) -> bool:
    low, high = within
    width = high - low
    for count, total, square in zip(column.counts, column.totals, column.squares, strict=True):
        slack = _ROUNDING * count
        mean = (total - count * low) / width
        spread = (square - low * (2 * total - count * low)) / (width * width)
        if not (-slack <= mean <= count + slack and spread <= mean + slack):
            return False
        if not mean * mean <= count * (spread + slack) + slack:
            return False
    return True


def span(metric: Metric) -> tuple[float, float]:
    """The least and the greatest value of the metric."""
    return (metric.low, metric.high) if metric.kind == "mean" else (0.0, 1.0)


def _sums(metric: Metric, tally: Sums) -> tuple[float, float]:
    low, high = span(metric)
    width, count = high - low, tally.count
    total = (tally.total - count * low) / width
    if metric.kind != "mean":
        return total, min(max(total, 0.0), count)
    return total, (tally.squares - 2 * low * tally.total + count * low * low) / (width * width)
