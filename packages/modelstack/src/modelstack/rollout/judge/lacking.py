"""Estimates how many more observations show that a challenger is not worse.

The slope of the evidence so far is no help: it jumps a hundredfold between windows. But the mean gain of each bet
follows from the share of traffic, the margin and the champion's rate. So this is what a challenger as good as the
champion would still need. For a quantile, whose versions are cut at different thresholds, it is the observed rate.
"""

from __future__ import annotations

import math

from modelstack.rollout.judge.blocks import Column
from modelstack.rollout.judge.dependence import Block, Dependence, plus
from modelstack.rollout.judge.evidence import Bettor
from modelstack.rollout.judge.metrics import Metric, Sums, Worth
from modelstack.rollout.judge.scale import scaled

_FIRST = 50  # the challenger's minimum observations in this step for an estimate
_LUCK = 0.5  # nats of random noise: a smaller lack counts as this
_SLOW = 2.0  # the weight, in slow answers, of the first guess of a challenger's share of them
_FAR = 10.0  # an estimate of more than this many times the known observations is worthless


def lacking(
    metric: Metric, bettor: Bettor, dependence: Dependence, step: tuple[Column, Column], missing: float
) -> float:
    """About how many more of the challenger's observations show it not worse, if it is as good; infinite if unknown."""
    champion, challenger = (scaled(metric, side.sum()) for side in step)
    if challenger.count < _FIRST or not champion.count:
        return math.inf
    worth = dependence.worth(Block(champion, challenger, len(step[1].counts)))
    expected = [_like(side, all_of) for side, all_of in zip(worth, _as_good(metric, champion, challenger), strict=True)]
    won = max(bettor.gains(*expected).not_worse) / challenger.count
    more = max(missing, _LUCK) / won if won > 0 else math.inf
    known = math.inf if metric.quantile is None else challenger.count + _seen(metric.quantile)
    return more if more <= _FAR * known else math.inf


def _as_good(metric: Metric, champion: Sums, challenger: Sums) -> tuple[Worth, Worth]:
    if metric.quantile is None:
        both = plus(champion, challenger)
        return both, both
    slow, count = challenger.total + _SLOW, challenger.count + _seen(metric.quantile)
    return Worth(champion.count, champion.total, champion.total), Worth(count, slow, slow)


def _seen(quantile: float) -> float:
    """How many answers the first guess is worth: half of the champion's slow ones are slow by more than allowed."""
    return _SLOW / ((1 - quantile) / 2)


def _like(side: Worth, other: Worth) -> Worth:
    part = side.count / other.count
    return Worth(side.count, other.total * part, other.squares * part)
