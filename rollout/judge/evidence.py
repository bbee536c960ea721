"""Accumulates the e-values of one metric's blocks into evidence.

What makes the evidence valid at any time:

- Both sizes of a block are known before its outcome (see `blocks`), and so is every bet on it.
- Each bet's product over the blocks is a test supermartingale; so is a mixture of them with fixed weights.
- Evidence for "worse" also starts again with each block, since a failure may begin at any time. With S planned
  segments, between which the challenger gets more traffic, each has the stake 1/S: half of it is bet from its first
  block on, and 1/(2k(k+1)) of it from its k-th later one. Stakes not yet bet count as themselves. So this is a mixture
  of test supermartingales that begin at different times.
- Evidence for "not worse" and "better" is kept for the whole trial and for the present segment alone. The latter begins
  at 1 and is a test supermartingale while the challenger is worse in this segment, whatever happened before.

A block compares averages over itself, so rates and means may change, as long as the share of traffic stays the same.
Therefore a change of the weights closes the block, and a window in which one version had almost no traffic is left out.

The assumption: given the past, a request's outcome does not depend on how many requests each version got in the block,
nor on its other requests. The latter is not true, so a block is bet on at its effective size (see `dependence`). That
is an estimate, not a theorem; `make bench` measures the errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add, mul
from typing import NamedTuple, Protocol

from rollout.judge.metrics import Sums

_ENOUGH = 300.0  # nats: a cap, so that numbers stay finite
_MOST = math.exp(_ENOUGH)


class Gains(NamedTuple):
    """Log e-values of one block, in nats, one per bet."""

    worse: Sequence[float]
    not_worse: Sequence[float]
    better: Sequence[float]


class Bettor(Protocol):
    """Turns blocks into e-values; its bets on a block are fixed by earlier blocks and this one's counts."""

    shares: Gains

    def gains(self, champion: Sums, challenger: Sums) -> Gains:
        """The e-values of a block with at least one observation of each version."""

    def learn(self, champion: Sums, challenger: Sums) -> None:
        """Use a closed block for later bets."""


class Favour:
    """The present evidence in favour of a challenger, as logs."""

    def __init__(self, shares: Gains) -> None:
        self._shares = shares
        self._not_worse, self._better = [0.0] * len(shares.not_worse), [0.0] * len(shares.better)

    @property
    def not_worse(self) -> float:
        """Log of the evidence that it is not worse by more than the margin."""
        return log_mixture(self._not_worse, self._shares.not_worse)

    @property
    def better(self) -> float:
        """Log of the evidence that it is better."""
        return log_mixture(self._better, self._shares.better)

    def add(self, gains: Gains) -> None:
        """Add a block."""
        self._not_worse, self._better = _sum(self._not_worse, gains.not_worse), _sum(self._better, gains.better)


class Evidence:
    """The evidence on one metric; one block multiplies a bet's evidence for "worse" by at most `most`."""

    def __init__(self, bettor: Bettor, *, segments: int = 1, most: float = _MOST) -> None:
        self._bettor, self._segments, self._most = bettor, max(1, segments), most
        self._won = [0.0] * len(bettor.shares.worse)  # the value of all stakes so far, per bet
        self._staked, self._step, self._block = 0.0, 1, 0
        self.whole, self.here = Favour(bettor.shares), Favour(bettor.shares)
        self._peak = 0.0

    @property
    def worse(self) -> float:
        """Log of the highest evidence so far that it is worse: once shown, it stays shown."""
        return self._peak

    def restart(self) -> None:
        """Begin a segment, as the weights were changed."""
        self.here = Favour(self._bettor.shares)
        self._step, self._block = self._step + 1, 0

    def bet(self, champion: Sums, challenger: Sums, worth: tuple[Sums, Sums] | None = None) -> None:
        """Add a block with at least one observation of each version; `worth` is its effective size, if that differs."""
        gains = self._bettor.gains(*(worth or (champion, challenger)))
        self._play(gains.worse)
        self.whole.add(gains)
        self.here.add(gains)
        self._bettor.learn(champion, challenger)

    def _play(self, gains: Sequence[float]) -> None:
        stake = self._stake()
        self._staked += stake
        before = [won + stake for won in self._won]
        self._won = [
            self._grown(at, gain) if gain > 0 else at * math.exp(gain) for at, gain in zip(before, gains, strict=True)
        ]
        now = sum(map(mul, self._won, self._bettor.shares.worse)) + 1 - self._staked
        self._peak = max(self._peak, math.log(now))

    def _grown(self, at: float, gain: float) -> float:
        """The stake after a gain, limited: less evidence than there is stays valid."""
        return min(at * math.exp(min(gain, _ENOUGH)), max(at, 1.0) * self._most, _MOST)

    def _stake(self) -> float:
        """The new stake of a block: half of the segment's for the first, then less and less."""
        at, self._block = self._block, self._block + 1
        if self._step > self._segments:
            return 0.0
        return 0.5 / self._segments / (at * (at + 1) or 1)


def log_mixture(logs: Sequence[float], shares: Sequence[float]) -> float:
    """Log of the weighted mean of e-values, from their logs; 0 (no evidence) if there are none."""
    if not logs:
        return 0.0
    top = max(logs)
    return top + math.log(sum(share * math.exp(log - top) for log, share in zip(logs, shares, strict=True)))


def _sum(logs: Sequence[float], gains: Sequence[float]) -> list[float]:
    return list(map(add, logs, gains))
