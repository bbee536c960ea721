"""How many more observations of a challenger show that it is not worse?

The evidence so far cannot tell: it is a walk whose chance steps are as large as all that is asked for, so a number
taken from its slope jumps by a hundred times from one window to the next. What each bet wins in the mean is known,
though, from the rates of both versions: it follows from the share of traffic, the margin and the champion. So this is
what one that is as good as the champion would still need, counted from the evidence that it has.

How a challenger as good as the champion does is known of rates and means: the same. Of a quantile it is not, as its
answers are cut at another place than the champion's (see `rates`): there it is what was seen of it so far.
"""

from __future__ import annotations

import math

from rollout.judge.blocks import Column
from rollout.judge.dependence import Block, Dependence, Worth
from rollout.judge.evidence import Bettor
from rollout.judge.metrics import Metric, Sums
from rollout.judge.scale import scaled

_FIRST = 50  # before so many observations of the challenger, in this step, nothing can be known
_LUCK = 0.5  # nats that chance alone gives and takes: less is not told apart
_SLOW = 2.0  # slow answers that the first guess of a challenger's share of them is worth
_FAR = 10.0  # more than so many times what is known of a challenger's slow answers is a guess without worth


def lacking(
    metric: Metric, bettor: Bettor, dependence: Dependence, step: tuple[Column, Column], missing: float
) -> float:
    """About how many more observations show a challenger that is as good as the champion to be not worse.

    Args:
        metric: What is compared.
        bettor: Its bets, as they are now.
        dependence: How far its observations depend on each other.
        step: What both versions did in the present step, window by window.
        missing: What the evidence lacks, in nats.

    Returns:
        A number of the challenger's observations; infinite where none would do, or nothing is known yet.
    """
    champion, challenger = (scaled(metric, side.sum()) for side in step)
    if challenger.count < _FIRST or not champion.count:
        return math.inf
    windows = len(step[1].counts) - step[1].counts.count(0)
    worth = dependence.worth(Block(champion, challenger, windows))
    expected = [_like(side, all_of) for side, all_of in zip(worth, _as_good(metric, champion, challenger), strict=True)]
    won = max(bettor.gains(*expected).not_worse) / challenger.count
    more = max(missing, _LUCK) / won if won > 0 else math.inf
    known = math.inf if metric.quantile is None else challenger.count + _seen(metric.quantile)
    return more if more <= _FAR * known else math.inf


def _as_good(metric: Metric, champion: Sums, challenger: Sums) -> tuple[Worth, Worth]:
    """What both versions would look like in the long run."""
    if metric.quantile is None:
        both = Worth(
            champion.count + challenger.count,
            champion.total + challenger.total,
            champion.squares + challenger.squares,
        )
        return both, both
    slow, count = challenger.total + _SLOW, challenger.count + _seen(metric.quantile)
    return Worth(champion.count, champion.total, champion.total), Worth(count, slow, slow)


def _seen(quantile: float) -> float:
    """How many answers the first guess is worth: half of the champion's slow ones are slow by more than allowed."""
    return _SLOW / ((1 - quantile) / 2)


def _like(side: Worth, other: Worth) -> Worth:
    """As many observations as one side has, of the other's mean."""
    part = side.count / other.count
    return Worth(side.count, other.total * part, other.squares * part)
