"""Estimates how many independent answers a version's dependent answers are worth.

A stall, a noisy neighbour or a burst of retries makes many answers of a window slow or wrong together. With v the
variance of one answer and rho the correlation of two answers of the same window, the mean of n has the variance

    v / n * (1 + (n - 1) rho),

so they are worth n / (1 + (n - 1) rho) independent ones (the design effect; Kish, "Survey Sampling", 1965, section
5.4). Counts and sums are divided by it before any bet, as Rao and Scott do with clustered binary data (Biometrics 48,
1992, p. 577).

rho is estimated from earlier blocks, by how much neighbouring blocks differ beyond v / n (von Neumann, Ann. Math. Stat.
12, 1941), which is robust to drift. The same is done with blocks joined by two, four and eight (batch means), because
an incident may outlast a window. Until there is enough data it is `_GUESS`.

It is estimated for each version, and for their difference, on which all bets are. What affects both alike (a slow
dependency) varies each version, but not the difference. Independent incidents give the difference the mean of both
correlations. So rho is the greater of both versions' (the challenger may have fewer instances), but at most twice the
difference's.

The assumption: future windows vary as earlier ones did. A new kind of incident is taken for the version's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modelstack.rollout.judge.metrics import Kind, Sums, Worth

_GUESS: Mapping[Kind, float] = {"rate": 0.01, "quantile": 0.03, "mean": 0.01}
_WEIGHT = 2.0  # the weight, in pairs, of the guess, and of each level's estimate at the next one
_TELLING = 4  # the minimum pairs of joined blocks for an estimate
_LEVELS = 4  # blocks by one, two, four and eight
_FIRST = (1.0, 0.02, 0.02)  # a prior answer
_FEW = 5  # answers that may all depend on each other, whatever the number of windows they are from


class Block(NamedTuple):
    """Consecutive windows: the sums of both versions, and how many windows they are."""

    champion: Sums
    challenger: Sums
    windows: int


class Dependence:
    """The estimated dependence of one metric's answers."""

    def __init__(self, kind: Kind) -> None:
        self._guess = self._rho = _GUESS[kind]
        self._levels = [_Level() for _ in range(_LEVELS)]
        self._seen = list(zip(*[level.seen for level in self._levels], strict=True))  # per version, by level
        self._champion = self._challenger = Worth(*_FIRST)
        self._counts, self._windows = (0.0, 0.0), 0  # of the step

    def worth(self, block: Block) -> tuple[Worth, Worth]:
        """The worth of a block's answers, the champion's and the challenger's."""
        champion, challenger = self._sizes(block)
        return _worth(block.champion, champion, self._rho), _worth(block.challenger, challenger, self._rho)

    def _sizes(self, block: Block) -> tuple[float, float]:
        """How many answers of each version an incident may affect: those of a window, or a block's if it has few.

        By the step's earlier blocks: a block's own count depends on its failures where clients repeat failed requests.
        More traffic in both together does count.
        """
        counts = block.champion.count, block.challenger.count
        if self._windows:
            growth = max(1.0, sum(counts) * self._windows / (sum(self._counts) * block.windows))
            part = growth * block.windows / self._windows
            counts = self._counts[0] * part, self._counts[1] * part
        return counts[0] / _clusters(counts[0], block.windows), counts[1] / _clusters(counts[1], block.windows)

    def in_turn(self, blocks: Iterable[Block]) -> list[tuple[Worth, Worth]]:
        """The worth of each block by what was known before it; then learns from it."""
        found: list[tuple[Worth, Worth]] = []
        for block in blocks:
            found.append(self.worth(block))
            self.learn(block)
        return found

    def learn(self, block: Block) -> None:
        """Use a closed block for later estimates."""
        self._champion = plus(self._champion, block.champion)
        self._challenger = plus(self._challenger, block.challenger)
        self._counts = self._counts[0] + block.champion.count, self._counts[1] + block.challenger.count
        self._windows += block.windows
        variances = self._champion.variance, self._challenger.variance
        for level in self._levels:
            level.compare(block, variances)
            joined = level.joined(block)
            if joined is None:
                break
            block = joined
        champion, challenger, apart = map(self._greatest, self._seen)
        self._rho = min(max(champion, challenger), 2 * apart)

    def restart(self) -> None:
        """Begin a step: its blocks are not compared with earlier ones, as a share of traffic may change a version."""
        for level in self._levels:
            level.last = level.waits = None
        self._counts, self._windows = (0.0, 0.0), 0

    def _greatest(self, levels: Sequence[_Pairs]) -> float:
        """The greatest estimate of all levels; each level's prior is the one below."""
        value, greatest, least = self._guess, 0.0, 0
        for seen in levels:
            telling = seen.telling
            if telling >= least and seen.size > 0:
                value = (_WEIGHT * value + telling * (seen.excess / seen.size)) / (_WEIGHT + telling)
                value = value if value > 0 else 0.0
            greatest = value if value > greatest else greatest
            least = _TELLING  # above the first level
        return greatest


def plus(one: Sums, other: Sums) -> Worth:
    """Both together."""
    return Worth(one.count + other.count, one.total + other.total, one.squares + other.squares)


def _clusters(count: float, windows: float) -> float:
    """How many groups of dependent answers so many answers of some windows are."""
    return min(windows, max(1.0, count / _FEW))


def _worth(answers: Sums, size: float, rho: float) -> Worth:
    count, effect = answers.count, 1 + max(size - 1, 0.0) * rho
    return Worth(count / effect, answers.total / effect, answers.squares / effect)


_Pair = tuple[float, float, float, bool]
"""Of two blocks: the difference of their means; its variance if answers were independent; what is added to that if the
answers of a window are all the same; whether the answers differ at all."""


@dataclass(slots=True)
class _Pairs:
    """What pairs of blocks have shown.

    Attributes:
        telling: The number of pairs whose answers differ at all; others are uninformative.
        excess: Sum of how much more they differ than independent answers would, as a multiple of that.
        size: Sum of how much more they would differ if the answers of a window were all the same, likewise.
    """

    telling: int = 0
    excess: float = 0.0
    size: float = 0.0

    def add(self, pair: _Pair) -> None:
        moved, expected, beyond, telling = pair
        self.telling += telling
        self.excess += moved**2 / expected - 1
        self.size += beyond / expected


class _Level:
    """Single or joined blocks, each compared with the one before: champion, challenger and their difference."""

    def __init__(self) -> None:
        self.last: Block | None = None
        self.waits: Block | None = None
        self.seen = _Pairs(), _Pairs(), _Pairs()

    def compare(self, block: Block, variances: tuple[float, float]) -> None:
        before, self.last = self.last, block
        if before is None:
            return
        windows = before.windows, block.windows
        old = _pair(before.champion, block.champion, windows, variances[0])
        new = _pair(before.challenger, block.challenger, windows, variances[1])
        champion, challenger, apart = self.seen
        champion.add(old)
        challenger.add(new)
        apart.add((new[0] - old[0], old[1] + new[1], old[2] + new[2], old[3] or new[3]))

    def joined(self, block: Block) -> Block | None:
        """The block joined with the waiting one; None when it has to wait itself."""
        before, self.waits = self.waits, None
        if before is None:
            self.waits = block
            return None
        champion, challenger = plus(before.champion, block.champion), plus(before.challenger, block.challenger)
        return Block(champion, challenger, before.windows + block.windows)


def _pair(before: Sums, after: Sums, windows: tuple[int, int], variance: float) -> _Pair:
    n0, n1, sum0, sum1 = before.count, after.count, before.total, after.total
    part0, part1 = 1 / n0, 1 / n1
    beyond0, beyond1 = 1 / _clusters(n0, windows[0]) - part0, 1 / _clusters(n1, windows[1]) - part1
    beyond = (beyond0 if beyond0 > 0 else 0.0) + (beyond1 if beyond1 > 0 else 0.0)
    telling = (before.squares + after.squares) * (n0 + n1) > (sum0 + sum1) ** 2 * (1 + 1e-9)
    return sum1 * part1 - sum0 * part0, variance * (part0 + part1), variance * beyond, telling
