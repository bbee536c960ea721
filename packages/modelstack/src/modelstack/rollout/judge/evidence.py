"""Accumulates the e-values of one metric's blocks into evidence.

What makes the evidence valid at any time:

- The windows of a block are chosen by the counts of earlier ones (see `blocks`), and so is every bet on it.
- Each bet's product over the blocks is a test supermartingale; so is a mixture of them with fixed weights.
- Evidence for "worse" also starts again with each block, since a failure may begin at any time. With S planned
  steps, between which the challenger gets more traffic, each has the stake 1/S: half of it is bet from its first
  block on, and 1/(2k(k+1)) of it from its k-th later one. Stakes not yet bet count as themselves. So this is a mixture
  of test supermartingales that begin at different times.
- What a block, and a short run of blocks, add to evidence for "worse" is limited (see `Evidence`). Less evidence than
  there is stays valid.
- Evidence for "not worse" and "better" is kept for the whole trial and for the present step alone. The latter begins
  at 1 and is a test supermartingale while the challenger is worse in this step, whatever happened before. A step that
  was interrupted continues with its evidence: that changes no bet, and what came at other weights is no part of it.

A block compares averages over itself, so rates and means may change, as long as the share of traffic stays the same.
Therefore a change of the weights closes the block.

The assumption: given the past, a request's outcome does not depend on how many requests each version got in the block,
nor on its other requests. The latter is not true, so a block is bet on at its effective size (see `dependence`). That
is an estimate, not a theorem; `make bench` measures the errors.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import add, mul
from typing import NamedTuple, Protocol

from modelstack.rollout.judge.metrics import Sums

_ENOUGH = 300.0  # nats: a cap, so that numbers stay finite
_MOST = math.exp(_ENOUGH)
_SHORT = 5  # windows: an incident that is short beside the trial


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
    """The evidence on one metric; one block multiplies a bet's evidence for "worse" by at most `most`.

    A run, blocks in a row that all add to the evidence for "worse", may be a single incident, however many answers fail
    in it. So it multiplies the evidence by at most `run` until it is longer than `_SHORT` windows. That one begins when
    the challenger gets traffic, or more of it, is unlikely unless the challenger is the cause: such a run has no limit.
    """

    def __init__(self, bettor: Bettor, *, segments: int = 1, most: float = _MOST, run: float = _MOST) -> None:
        self._bettor, self._segments, self._most, self._run = bettor, max(1, segments), most, run
        self._won = [0.0] * len(bettor.shares.worse)  # the value of all stakes so far, per bet
        self._staked, self._step, self._blocks = 0.0, 0, Counter[int]()
        self.whole, self._steps = Favour(bettor.shares), defaultdict[int, Favour](lambda: Favour(bettor.shares))
        self._now, self._peak = 1.0, 0.0
        self._before, self._length = math.inf, 0  # of the run: the evidence before it, and its windows

    @property
    def here(self) -> Favour:
        """The evidence of the present step alone."""
        return self._steps[self._step]

    @property
    def worse(self) -> float:
        """Log of the highest evidence so far that it is worse: once shown, it stays shown."""
        return self._peak

    def restart(self, step: int) -> None:
        """Begin a segment, as the weights were changed: of a new step, or of one that resumes with its evidence."""
        self._step = step
        if not self._length:
            self._before = math.inf

    def bet(
        self, champion: Sums, challenger: Sums, worth: tuple[Sums, Sums] | None = None, *, windows: int = 1
    ) -> None:
        """Add a block with at least one observation of each version; `worth` is its effective size, if that differs."""
        gains = self._bettor.gains(*(worth or (champion, challenger)))
        self._play(gains.worse, windows)
        self.whole.add(gains)
        self.here.add(gains)
        self._bettor.learn(champion, challenger)

    def _play(self, gains: Sequence[float], windows: int) -> None:
        stake = self._stake()
        self._staked += stake
        before = [won + stake for won in self._won]
        self._won = [
            self._grown(at, gain) if gain > 0 else at * math.exp(gain) for at, gain in zip(before, gains, strict=True)
        ]
        won, left = sum(map(mul, self._won, self._bettor.shares.worse)), 1 - self._staked
        self._now = self._limited(won + left, windows)
        if self._now < won + left:
            self._won = [each * (self._now - left) / won for each in self._won]
        self._peak = max(self._peak, math.log(self._now))

    def _limited(self, now: float, windows: int) -> float:
        """The evidence after a block, without what its run adds beyond the limit."""
        if now <= self._now:
            self._before, self._length = max(now, 1.0), 0
            return now
        self._length += windows
        return min(now, self._before * self._run) if self._length <= _SHORT else now

    def _grown(self, at: float, gain: float) -> float:
        """The stake after a gain, limited: less evidence than there is stays valid."""
        return min(at * math.exp(min(gain, _ENOUGH)), max(at, 1.0) * self._most, _MOST)

    def _stake(self) -> float:
        """The new stake of a block: half of the segment's for the first, then less and less."""
        at = self._blocks[self._step]
        self._blocks[self._step] += 1
        if self._step >= self._segments:
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
