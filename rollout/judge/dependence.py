"""How far do the answers of one version depend on each other, and how many independent ones are they worth?

A stall, a noisy neighbour or a burst of retries makes many answers of a window slow or wrong together. So a window of n
answers tells less than n independent ones would. With v the variance of one answer and rho the correlation of two
answers of the same window, their mean has the variance

    v / n * (1 + (n - 1) rho),

and the answers are worth n / (1 + (n - 1) rho) independent ones (Kish, "Survey Sampling", 1965, section 5.4: the design
effect). Counts and sums are divided by it before anything is bet on them, as Rao and Scott do with clustered binary
data (Biometrics 48, 1992, p. 577).

rho is learned from earlier blocks: from how much neighbouring blocks of the same version differ beyond v / n (von
Neumann, Ann. Math. Stat. 12, 1941). A drift hardly counts so, as neighbours share most of it. The same is done with
blocks taken together by two, by four and by eight (batch means), since a trouble may last longer than a window. The
greatest counts, and the greater of both versions, as the challenger may have fewer instances. Until the blocks tell,
troubles are taken to last `_TROUBLE_S` seconds.

What is assumed: the windows to come vary as those before them did. A trouble that neither version has shown before is
taken for the version's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rollout.judge.metrics import Kind, Tally

_GUESS: Mapping[Kind, float] = {"rate": 0.01, "quantile": 0.03, "mean": 0.01}
_WEIGHT = 2.0  # so many telling pairs that guess is worth, and each level's estimate at the next one
_TELLING = 4  # pairs of blocks taken together, before which nothing is said of how these differ
_LEVELS = 4  # blocks by one, two, four and eight
_FIRST = Tally(1, 0.02, 0.02)  # the value of an answer before any was seen


class Block(NamedTuple):
    """Windows that follow each other.

    Attributes:
        champion: What the champion did in them.
        challenger: What the challenger did.
        windows: How many they are.
    """

    champion: Tally
    challenger: Tally
    windows: int


class Worth(NamedTuple):
    """As many independent answers as some are worth: how many, their sum and their sum of squares."""

    count: float
    total: float
    squares: float


class Dependence:
    """What is known so far of one metric.

    Args:
        kind: What kind of metric it is.
    """

    def __init__(self, kind: Kind) -> None:
        guess = _GUESS[kind]
        self._champion, self._challenger = _Correlation(guess), _Correlation(guess)

    def worth(self, block: Block) -> tuple[Worth, Worth]:
        """What the answers of a block are worth, the champion's and the challenger's."""
        rho = max(self._champion.value, self._challenger.value)
        return _worth(block.champion, block.windows, rho), _worth(block.challenger, block.windows, rho)

    def learn(self, block: Block) -> None:
        """Take a closed block into account for later ones."""
        self._champion.learn(block.champion, block.windows)
        self._challenger.learn(block.challenger, block.windows)

    def restart(self) -> None:
        """Begin a step: its blocks are not compared with those before, as a share of traffic may change a version."""
        self._champion.restart()
        self._challenger.restart()


def _worth(tally: Tally, windows: int, rho: float) -> Worth:
    effect = 1 + max(tally.count / windows - 1, 0.0) * rho
    return Worth(tally.count / effect, tally.total / effect, tally.squares / effect)


class _Group(NamedTuple):
    """Blocks taken together: answers, their sum, and how many windows they are of."""

    count: float
    total: float
    squares: float
    windows: int


class _Level:
    """Groups of one size, each compared with the one before.

    Attributes:
        last: The last of them.
        waits: One that waits to be taken together with the next.
        telling: In how many pairs the answers differed at all; others tell nothing.
        excess: By how much they differed more than independent answers would, as a multiple of that; summed.
        size: The answers of a window beyond the first, of each pair; summed.
    """

    def __init__(self) -> None:
        self.last: _Group | None = None
        self.waits: _Group | None = None
        self.telling = 0
        self.excess = self.size = 0.0

    def compare(self, group: _Group, variance: float) -> None:
        """Compare a group with the last one."""
        if self.last is not None:
            (n0, sum0, squares0, windows0), (n1, sum1, squares1, windows1) = self.last, group
            expected = 1 / n0 + 1 / n1
            self.telling += (squares0 + squares1) * (n0 + n1) > (sum0 + sum1) ** 2 * (1 + 1e-9)
            self.excess += (sum0 / n0 - sum1 / n1) ** 2 / (variance * expected) - 1
            self.size += (max(1 / windows0 - 1 / n0, 0.0) + max(1 / windows1 - 1 / n1, 0.0)) / expected
        self.last = group

    def joined(self, group: _Group) -> _Group | None:
        """A group together with the one that waits for it; None when it has to wait itself."""
        before = self.waits
        if before is None:
            self.waits = group
            return None
        self.waits = None
        (n0, sum0, squares0, windows0), (n1, sum1, squares1, windows1) = before, group
        return _Group(n0 + n1, sum0 + sum1, squares0 + squares1, windows0 + windows1)


class _Correlation:
    """The correlation of two answers of the same window, of one version.

    Attributes:
        value: What it is taken for.
    """

    def __init__(self, guess: float) -> None:
        self.value = self._guess = guess
        self._levels = [_Level() for _ in range(_LEVELS)]
        self._count, self._total, self._squares = float(_FIRST.count), _FIRST.total, _FIRST.squares

    def learn(self, block: Tally, windows: int) -> None:
        """Compare a block with those before."""
        self._count += block.count
        self._total += block.total
        self._squares += block.squares
        variance = max(self._squares / self._count - (self._total / self._count) ** 2, 1e-9)
        group = _Group(block.count, block.total, block.squares, windows)
        for level in self._levels:
            level.compare(group, variance)
            joined = level.joined(group)
            if joined is None:
                break
            group = joined
        self.value = self._greatest()

    def restart(self) -> None:
        """Compare no block to come with one before."""
        for level in self._levels:
            level.last = level.waits = None

    def _greatest(self) -> float:
        """The greatest of the levels; each level's guess is what the one below found."""
        value, greatest = self._guess, 0.0
        for level in self._levels:
            if level.size > 0 and (level is self._levels[0] or level.telling >= _TELLING):
                found = level.excess / level.size
                value = max((_WEIGHT * value + level.telling * found) / (_WEIGHT + level.telling), 0.0)
            greatest = max(greatest, value)
        return greatest
