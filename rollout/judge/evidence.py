"""Gathers the e-values of one metric's blocks into evidence.

What makes the evidence valid at any time:

- Both sizes of a block are known before its outcome (see `blocks`), and so is every bet on it, which uses earlier
  blocks only.
- Each bet's product over the blocks is a test supermartingale; so is a mixture of them with fixed weights.
- Evidence for "worse" begins anew, beside the old, with each block, as a failure may begin at any time. With S segments
  planned, between which the challenger gets more traffic, each has the stake 1/S: half of it is bet from its first
  block on, and 1/(2k(k+1)) of it from its k-th later one. What is not yet bet counts as itself. So this is a mixture of
  test supermartingales that begin at different times.
- Evidence for "not worse" and "better" is kept of the whole trial and, beside it, of the present segment alone. The
  latter begins at 1 and is a test supermartingale while the challenger is worse in this segment, however it was before.

A block compares averages over itself, so rates and means may change from block to block, and within one as long as the
share of traffic stays the same: a drift that both versions share does not mislead it. Therefore a change of the weights
closes the block, and a window in which one version had no traffic to speak of is left out.

It is assumed that what a request meets does not depend, given the past, on how many requests each version got in the
block, nor on what other requests of the block met. The latter is not so: answers of one instance stall and fail
together. Therefore a block is bet on for what its answers are worth (see `dependence`). That is learned and no theorem;
`make bench` measures what becomes of the promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add, mul
from typing import NamedTuple, Protocol

from rollout.judge.metrics import Sums

_ENOUGH = 300.0  # nats: more is not told apart, so that numbers stay finite
_MOST = math.exp(_ENOUGH)


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

    def gains(self, champion: Sums, challenger: Sums) -> Gains:
        """The e-values of a block with at least one observation of each version."""
        ...

    def learn(self, champion: Sums, challenger: Sums) -> None:
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
        most: With one block the evidence for "worse" of a bet grows at most so many times, beginning at 1 or above.

    Attributes:
        whole: The evidence for the challenger from the whole trial.
        here: The same from the present segment alone.
    """

    def __init__(self, bettor: Bettor, *, segments: int = 1, most: float = _MOST) -> None:
        self._bettor, self._segments, self._most = bettor, max(1, segments), most
        self._won = [0.0] * len(bettor.shares.worse)  # what became of all stakes so far, bet by bet
        self._staked, self._step, self._block = 0.0, 1, 0
        self.whole, self.here = Favour(bettor.shares), Favour(bettor.shares)
        self._peak = 0.0

    @property
    def worse(self) -> float:
        """The log of the most evidence so far that it is worse: once shown it stays shown."""
        return self._peak

    def restart(self) -> None:
        """Begin a segment, and gather its evidence beside the old: the weights were changed."""
        self.here = Favour(self._bettor.shares)
        self._step, self._block = self._step + 1, 0

    def bet(self, champion: Sums, challenger: Sums, worth: tuple[Sums, Sums] | None = None) -> None:
        """Take in a block with at least one observation of each version.

        Args:
            champion: The champion's.
            challenger: The challenger's.
            worth: What both are worth, where observations depend on each other; by default all that they are.
        """
        gains = self._bettor.gains(*(worth or (champion, challenger)))
        self._play(gains.worse)
        self.whole.add(gains)
        self.here.add(gains)
        self._bettor.learn(champion, challenger)

    def _play(self, gains: Sequence[float]) -> None:
        """Stake anew, and take in what a block made of all that is at stake."""
        stake = self._stake()
        self._staked += stake
        before = [won + stake for won in self._won]
        self._won = [
            self._grown(at, gain) if gain > 0 else at * math.exp(gain) for at, gain in zip(before, gains, strict=True)
        ]
        now = sum(map(mul, self._won, self._bettor.shares.worse)) + 1 - self._staked
        self._peak = max(self._peak, math.log(now))

    def _grown(self, at: float, gain: float) -> float:
        """What a gain makes of a stake, up to the limits: less evidence than there is stays valid."""
        return min(at * math.exp(min(gain, _ENOUGH)), max(at, 1.0) * self._most, _MOST)

    def _stake(self) -> float:
        """How much of the whole is staked anew with a block: half of the segment's with the first, then ever less."""
        at, self._block = self._block, self._block + 1
        if self._step > self._segments:
            return 0.0
        return 0.5 / self._segments / (at * (at + 1) or 1)


def log_mixture(logs: Sequence[float], shares: Sequence[float]) -> float:
    """Log of the weighted mean of e-values, from their logs; of none it is 0: no evidence."""
    if not logs:
        return 0.0
    top = max(logs)
    return top + math.log(sum(share * math.exp(log - top) for log, share in zip(logs, shares, strict=True)))


def _sum(logs: Sequence[float], gains: Sequence[float]) -> list[float]:
    return list(map(add, logs, gains))
