"""How far do the answers of one version depend on each other, and how many independent ones are they worth?

A stall, a noisy neighbour or a burst of retries makes many answers of a window slow or wrong together. So a window of n
answers tells less than n independent ones would. With v the variance of one answer and rho the correlation of two
answers of the same window, their mean has the variance

    v / n * (1 + (n - 1) rho),

and the answers are worth n / (1 + (n - 1) rho) independent ones (Kish, "Survey Sampling", 1965, section 5.4: the design
effect). Counts and sums are divided by it before anything is bet on them, as Rao and Scott do with clustered binary
data (Biometrics 48, 1992, p. 577).

rho is learned from earlier blocks: from how much neighbouring blocks differ beyond v / n (von Neumann, Ann. Math. Stat.
12, 1941). A drift hardly counts so, as neighbours share most of it. The same is done with blocks taken together by two,
by four and by eight (batch means), since a trouble may last longer than a window. Until the blocks tell, it is taken
for `_GUESS`.

It is learned three times: of each version, and of the difference of both. What troubles both alike (a slow dependency,
a day of bad weather) makes each of them vary, but not their difference, and all bets are on the difference. Where each
has troubles of its own, the difference tells the mean of both correlations. So the greater of both versions' counts, as
the challenger may have fewer instances, but at most twice the difference's.

What is assumed: the windows to come vary as those before them did. A trouble that neither version has shown before is
taken for the version's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rollout.judge.metrics import Kind, Sums

_GUESS: Mapping[Kind, float] = {"rate": 0.01, "quantile": 0.03, "mean": 0.01}
_WEIGHT = 2.0  # so many telling pairs that guess is worth, and each level's estimate at the next one
_TELLING = 4  # pairs of blocks taken together, before which nothing is said of how these differ
_LEVELS = 4  # blocks by one, two, four and eight
_FIRST = (1.0, 0.02, 0.02)  # an answer before any was seen


class Block(NamedTuple):
    """Windows that follow each other.

    Attributes:
        champion: What the champion did in them.
        challenger: What the challenger did.
        windows: How many they are.
    """

    champion: Sums
    challenger: Sums
    windows: int


@dataclass(slots=True)
class Worth:
    """Answers, or as many independent ones as some are worth: how many, their sum and their sum of squares.

    A judging makes thousands of them, and a frozen class takes three times as long to make.
    """

    count: float
    total: float
    squares: float

    @property
    def variance(self) -> float:
        """Of one answer."""
        return max(self.squares / self.count - (self.total / self.count) ** 2, 1e-9)


class Dependence:
    """What is known so far of one metric.

    Args:
        kind: What kind of metric it is.
    """

    def __init__(self, kind: Kind) -> None:
        self._guess = self._rho = _GUESS[kind]
        self._levels = [_Level() for _ in range(_LEVELS)]
        self._seen = list(zip(*[level.seen for level in self._levels], strict=True))  # of each version, level by level
        self._champion = self._challenger = Worth(*_FIRST)

    def worth(self, block: Block) -> tuple[Worth, Worth]:
        """What the answers of a block are worth, the champion's and the challenger's."""
        return (
            _worth(block.champion, block.windows, self._rho),
            _worth(block.challenger, block.windows, self._rho),
        )

    def in_turn(self, blocks: Iterable[Block]) -> list[tuple[Worth, Worth]]:
        """What the answers of each block are worth, by what was known before it; all are learned from."""
        found: list[tuple[Worth, Worth]] = []
        for block in blocks:
            found.append(self.worth(block))
            self.learn(block)
        return found

    def learn(self, block: Block) -> None:
        """Take a closed block into account for later ones."""
        self._champion = _plus(self._champion, block.champion)
        self._challenger = _plus(self._challenger, block.challenger)
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
        """Begin a step: its blocks are not compared with those before, as a share of traffic may change a version."""
        for level in self._levels:
            level.last = level.waits = None

    def _greatest(self, levels: Sequence[_Pairs]) -> float:
        """The greatest of the levels; each level's guess is what the one below found."""
        value, greatest, least = self._guess, 0.0, 0
        for seen in levels:
            telling = seen.telling
            if telling >= least and seen.size > 0:
                value = (_WEIGHT * value + telling * (seen.excess / seen.size)) / (_WEIGHT + telling)
                value = value if value > 0 else 0.0
            greatest = value if value > greatest else greatest
            least = _TELLING  # above the first level
        return greatest


def _plus(one: Sums, other: Sums) -> Worth:
    """Both together."""
    return Worth(one.count + other.count, one.total + other.total, one.squares + other.squares)


def _worth(answers: Sums, windows: int, rho: float) -> Worth:
    count = answers.count
    effect = 1 + (count / windows - 1) * rho if count > windows else 1.0
    return Worth(count / effect, answers.total / effect, answers.squares / effect)


_Pair = tuple[float, float, float, bool]
"""Two blocks: by how much their means differ; the variance that this would have with independent answers; what would be
added to that if the answers of a window were all the same; whether the answers differ at all."""


@dataclass(slots=True)
class _Pairs:
    """What pairs of blocks have shown.

    Attributes:
        telling: In how many of them the answers differed at all; others tell nothing.
        excess: By how much they differed more than independent answers would, as a multiple of that; summed.
        size: By how much more they would differ if the answers of a window were all the same, likewise.
    """

    telling: int = 0
    excess: float = 0.0
    size: float = 0.0

    def add(self, pair: _Pair) -> None:
        """Take in a pair with at least one answer in each block."""
        moved, expected, beyond, telling = pair
        self.telling += telling
        self.excess += moved**2 / expected - 1
        self.size += beyond / expected


class _Level:
    """Blocks, or as many of them taken together, each compared with the one before.

    Attributes:
        last: The last of them.
        waits: One that waits to be taken together with the next.
        seen: Of the champion, of the challenger, and of their difference.
    """

    def __init__(self) -> None:
        self.last: Block | None = None
        self.waits: Block | None = None
        self.seen = _Pairs(), _Pairs(), _Pairs()

    def compare(self, block: Block, variances: tuple[float, float]) -> None:
        """Compare a block with the last one."""
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
        """A block together with the one that waits for it; None when it has to wait itself."""
        before, self.waits = self.waits, None
        if before is None:
            self.waits = block
            return None
        champion, challenger = _plus(before.champion, block.champion), _plus(before.challenger, block.challenger)
        return Block(champion, challenger, before.windows + block.windows)


def _pair(before: Sums, after: Sums, windows: tuple[int, int], variance: float) -> _Pair:
    """What one version did in a pair of blocks."""
    n0, n1, sum0, sum1 = before.count, after.count, before.total, after.total
    part0, part1 = 1 / n0, 1 / n1
    beyond0, beyond1 = 1 / windows[0] - part0, 1 / windows[1] - part1
    beyond = (beyond0 if beyond0 > 0 else 0.0) + (beyond1 if beyond1 > 0 else 0.0)
    telling = (before.squares + after.squares) * (n0 + n1) > (sum0 + sum1) ** 2 * (1 + 1e-9)
    return sum1 * part1 - sum0 * part0, variance * (part0 + part1), variance * beyond, telling
