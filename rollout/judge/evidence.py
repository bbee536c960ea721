"""Gathers the e-values of one metric's blocks into evidence.

What makes the evidence valid at any time:

- Both sizes of a block are known before its outcome (see `blocks`), and so is every bet on it, which uses earlier
  blocks only.
- Each bet's product over the blocks is a test supermartingale; so is a mixture of them with fixed weights.
- Evidence for "worse" begins anew, beside the old, when the challenger gets more traffic. With S such segments planned,
  each has the weight 1/S, and counts as 1 until it begins.
- Evidence for "not worse" and "better" is kept of the whole trial and, beside it, of the present segment alone. The
  latter begins at 1 and is a test supermartingale while the challenger is worse in this segment, however it was before.

A block compares averages over itself, so rates and means may change from block to block, and within one as long as the
share of traffic stays the same: a drift that both versions share does not mislead it. Therefore a change of the weights
closes the block, and a window in which one version had no traffic to speak of is left out.

It is assumed that what a request meets does not depend, given the past, on how many requests each version got in the
block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add
from typing import NamedTuple, Protocol

from rollout.judge.metrics import Tally


class Gains(NamedTuple):
    """Log e-values of one block, in nats, one for each bet."""

    worse: Sequence[float]
    not_worse: Sequence[float]
    better: Sequence[float]


class Bettor(Protocol):
    """Turns blocks into e-values. Its bets on a block are fixed by the earlier blocks and this one's counts.

    Attributes:
        shares: The mixture weights of the bets, of each kind; each sums to 1. Empty where nothing is bet.
    """

    shares: Gains

    def gains(self, champion: Tally, challenger: Tally) -> Gains:
        """The e-values of a block with at least one observation of each version."""
        ...

    def learn(self, champion: Tally, challenger: Tally) -> None:
        """Take a closed block into account for later bets."""
        ...


class Favour:
    """The present evidence for a challenger, as logs."""

    def __init__(self, shares: Gains) -> None:
        self._shares = shares
        self._not_worse, self._better = [0.0] * len(shares.not_worse), [0.0] * len(shares.better)

    @property
    def not_worse(self) -> float:
        """The log of the evidence that it is not worse by more than the margin."""
        return log_mixture(self._not_worse, self._shares.not_worse)

    @property
    def better(self) -> float:
        """The log of the evidence that it is better."""
        return log_mixture(self._better, self._shares.better)

    def add(self, gains: Gains) -> None:
        """Take in a block."""
        self._not_worse, self._better = _sum(self._not_worse, gains.not_worse), _sum(self._better, gains.better)


class Evidence:
    """What is known so far of one metric.

    Args:
        bettor: Makes the e-values.
        segments: How many times evidence for "worse" may start anew, the first included.

    Attributes:
        whole: The evidence for the challenger from the whole trial.
        here: The same from the present segment alone.
    """

    def __init__(self, bettor: Bettor, *, segments: int = 1) -> None:
        self._bettor, self._segments = bettor, max(1, segments)
        self._worse = [[0.0] * len(bettor.shares.worse)]  # log e-values: segment, bet
        self.whole, self.here = Favour(bettor.shares), Favour(bettor.shares)
        self._peak = 0.0

    @property
    def worse(self) -> float:
        """The log of the most evidence so far that it is worse: once shown it stays shown."""
        return self._peak

    def restart(self) -> None:
        """Begin a segment, and gather its evidence beside the old: the weights were changed."""
        self.here = Favour(self._bettor.shares)
        if len(self._worse) < self._segments:
            self._worse.append([0.0] * len(self._worse[0]))

    def bet(self, champion: Tally, challenger: Tally) -> None:
        """Take in a block with at least one observation of each version."""
        gains = self._bettor.gains(champion, challenger)
        self._worse = [_sum(segment, gains.worse) for segment in self._worse]
        self.whole.add(gains)
        self.here.add(gains)
        self._note_peak()
        self._bettor.learn(champion, challenger)

    def _note_peak(self) -> None:
        if max(map(max, self._worse)) <= self._peak:
            return  # a mean is at most the greatest
        shares = self._bettor.shares.worse
        begun = [log_mixture(segment, shares) for segment in self._worse]
        every = begun + [0.0] * (self._segments - len(begun))
        self._peak = max(self._peak, log_mixture(every, [1 / self._segments] * self._segments))


def log_mixture(logs: Sequence[float], shares: Sequence[float]) -> float:
    """Log of the weighted mean of e-values, from their logs; of none it is 0: no evidence."""
    if not logs:
        return 0.0
    top = max(logs)
    return top + math.log(sum(share * math.exp(log - top) for log, share in zip(logs, shares, strict=True)))


def _sum(logs: Sequence[float], gains: Sequence[float]) -> list[float]:
    return list(map(add, logs, gains))
