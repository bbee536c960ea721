"""Confidence intervals (95%) of rates and means of labels.

They assume independent pairs. Labels of one day share their weather, so an interval over a few days is too narrow as a
forecast; it describes the mean of days like these.

Sources: rates, Wilson, JASA 22 (1927), whose coverage is near nominal from ten observations on: Brown, Cai and
DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001); means, the central limit
theorem with the sample's variance, for 30 observations and more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

LEVEL = 0.95
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


@lru_cache(maxsize=64)
def deviations(level: float = LEVEL) -> float:
    """Half width, in standard deviations, of the central interval with this share of a normal distribution."""
    return _NORMAL.inv_cdf((1 + level) / 2)


def of_rate(hits: float, count: float, level: float = LEVEL) -> Interval:
    """The rate of `hits` (which may be fractional) in `count` independent trials, by Wilson's score interval."""
    rate, z2 = hits / count, deviations(level) ** 2
    middle = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (rate * (1 - rate) / count + z2 / (4 * count * count))) / (1 + z2 / count)
    return Interval(rate, min(max(0.0, middle - half), rate), max(min(1.0, middle + half), rate))


def of_rate_surely(hits: float, count: float, level: float) -> Interval:
    """The mean rate of hits among independent trials with individual rates; coverage is at least `level`.

    Source: Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58 (1963), theorem 1: the
    rates p that have count * KL(hits / count, p) <= log(2 / (1 - level)).
    """
    rate, nats = hits / count, math.log(2 / (1 - level)) / count
    return Interval(rate, _farthest(rate, 0.0, nats), _farthest(rate, 1.0, nats))


def _farthest(rate: float, end: float, nats: float) -> float:
    """The farthest rate towards an end within this divergence in nats, rounded away from the rate."""
    near, far = rate, end
    for _ in range(40):
        middle = (near + far) / 2
        near, far = (middle, far) if _divergence(rate, middle) <= nats else (near, middle)
    return far


def _divergence(rate: float, other: float) -> float:
    """Kullback-Leibler divergence of two Bernoulli distributions, nats; `other` is neither 0 nor 1."""
    hit = rate * math.log(rate / other) if rate else 0.0
    return hit + ((1 - rate) * math.log((1 - rate) / (1 - other)) if rate < 1 else 0.0)


def of_mean(total: float, squares: float, count: int) -> Interval:
    """The mean of non-negative values by their sum and sum of squares, by the central limit theorem."""
    mean = total / count
    if count < 2:
        return Interval(mean, 0.0, math.inf)
    variance = max(0.0, (squares - total * mean) / (count - 1))
    half = deviations() * math.sqrt(variance / count)
    return Interval(mean, max(0.0, mean - half), mean + half)
