"""Change detection on a sequence of scores: bets on their ranks, with a stated rate of false alarms.

    detector = Detector(calibration)    # of the scores of training's blocks, sealed
    detector.take(score)                # one block's score
    detector.wealth                     # an alarm at `horizon / alpha`

**The null hypothesis**: the scores of training and since, after removing what follows from the previous one
(`follows`, a first-order autoregression), are exchangeable. Nothing is assumed of their distribution. The rank of a
new score among all so far is then uniform, and independent of earlier ranks (Vovk, Nouretdinov and Gammerman 2003): a
fair game, in which a bet is a density f on the rank u, 0 for the highest, and multiplies the stake by f(u). Scores are
first put into fixed cells. For a score that shares its cell with t - 1 others of n, a of them higher, the expectation
of f over the possible orders of the ties is

    e = n / t (F((a + t) / n) - F(a / n)),   F the integral of f,

which has expectation 1 exactly, whatever the ties: no random number is drawn, and a constant score is no evidence.
(Blocks that have drifted together share the highest cell, where such a tie loses nothing.)

**The bets** are likelihood ratios of a normal score shifted by d: F(u) = Phi(Phi^-1(u) + d), for d = 1, 2, 3 and, on
two-sided scores, -1, -2, -3. The Gaussian shape affects how fast a change is found, not how often falsely. Cells are in
deviations of training's scores from their median.

**Change at an unknown time**: each block stakes one more unit, W_n = (1 + W_{n-1}) e_n, the Shiryaev-Roberts
e-detector of Shin, Ramdas and Rinaldo. Without a change W_n - n is a martingale. So, for W_n averaged over bets,
scores and features with fixed weights, whatever the dependence between these:

    P(W reaches h / alpha within n blocks) <= alpha n / h     (Doob's inequality for submartingales),

and the mean number of blocks to a false alarm is at least h / alpha.

Sources: Vovk, Nouretdinov, Gammerman, "Testing exchangeability on-line", ICML 2003; Vovk et al., "Retrain or not
retrain: conformal test martingales for change-point detection", COPA 2021, arXiv:2102.10439; Shin, Ramdas, Rinaldo,
"E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2 (2023), arXiv:2203.03532; averaging:
Vovk and Wang, "E-values: calibration, combination and applications", Ann. Stat. 49 (2021), arXiv:1912.06116.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean, median
from typing import Any

from modelstack.monitoring.statistics.profile import UnreadableProfile, a_count, a_number, an_object

SHIFTS = (1.0, 2.0, 3.0)
FEWEST = 20  # training blocks below which scores are not judged: one block's payout is limited by their number
_QUARTERS = 16  # cells up to 4 deviations are a quarter wide, beyond they widen
_BEYOND = (4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0, 64.0)
_UPPER = tuple(place / 4 for place in range(_QUARTERS + 1)) + _BEYOND
BOUNDS = tuple(-bound for bound in reversed(_UPPER[1:])) + _UPPER
"""The cells' bounds, in deviations; cell i holds BOUNDS[i-1] <= z < BOUNDS[i]."""
CELLS = len(BOUNDS) + 1
_NORMAL = NormalDist()
_MARGIN = 1.5
_ROOT_HALF = math.sqrt(0.5)


@dataclass(frozen=True)
class Calibration:
    """The scores of training's blocks, with their mean `usual`.

    Attributes:
        follows: The share of a score's distance from `usual` that the next one retains, 0 to 0.95.
        centre: Median of the scores after removing what follows; `scale` is their deviation, from the quartiles; > 0.
        cells: How many of them are in each cell.
        two_sided: Whether a low score is as informative as a high one.
    """

    usual: float
    follows: float
    centre: float
    scale: float
    cells: tuple[int, ...]
    two_sided: bool

    @property
    def blocks(self) -> int:
        """How many scores there were."""
        return sum(self.cells)

    @property
    def shifts(self) -> tuple[float, ...]:
        """The bets, in deviations."""
        return (*SHIFTS, *(-shift for shift in SHIFTS)) if self.two_sided else SHIFTS

    def cell(self, score: float, before: float | None) -> int:
        """The cell of a score after another; None before is the usual one."""
        last = self.usual if before is None else before
        rest = score - self.follows * (last - self.usual)
        return bisect_right(BOUNDS, (rest - self.centre) / self.scale)

    @classmethod
    def of(cls, scores: Sequence[float], *, two_sided: bool, follows: float | None = None) -> Calibration:
        """Calibrate on the scores of at least two consecutive blocks; `follows` is estimated if it is None."""
        usual, follows = _short(fmean(scores)), _short(persistence(scores) if follows is None else follows)
        before = [usual, *scores[:-1]]
        rests = [score - follows * (last - usual) for score, last in zip(scores, before, strict=True)]
        centre = _short(median(rests))
        ordered = sorted(rests)
        quartiles = ordered[len(rests) // 4], ordered[(3 * len(rests)) // 4]
        deviation = math.sqrt(fmean((rest - centre) ** 2 for rest in rests))
        # A nearly constant score has equal quartiles; a fault at training would inflate the deviation.
        scale = _short(max((quartiles[1] - quartiles[0]) / 1.349, deviation / 3)) or 1e-9
        made = cls(usual, follows, centre, scale, (), two_sided)
        cells = [0] * CELLS
        for score, last in zip(scores, before, strict=True):
            cells[made.cell(score, last)] += 1
        return cls(usual, follows, centre, scale, tuple(cells), two_sided)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "cells": sparse(self.cells)}

    @classmethod
    def from_dict(cls, value: object, name: str) -> Calibration:
        """Read `as_dict`; raises UnreadableProfile if it has another form."""
        body = an_object(value, name)
        usual, follows, centre, scale = (
            a_number(body.get(key), f"{name}.{key}") for key in ("usual", "follows", "centre", "scale")
        )
        if scale <= 0:
            raise UnreadableProfile(f"{name}.scale: got {scale}, expected more than 0")
        cells = dense(body.get("cells"), f"{name}.cells")
        return cls(usual, follows, centre, scale, tuple(cells), body.get("two_sided") is True)


def _short(value: float) -> float:
    """Round to 12 digits: the value is sealed, and the last digits differ between machines."""
    return float(f"{value:.12g}")


def persistence(scores: Sequence[float]) -> float:
    """Upper estimate of the share of a score's distance from the mean that the next one retains, 0 to 0.95.

    It is the rank autocorrelation, corrected for bias, plus 1.5 standard errors: removing too much costs some delay,
    removing too little would break the guarantee.

    Source: the bias of a first autocorrelation r is about -(1 + 3 r) / n, Kendall, Biometrika 41 (1954); its standard
    error is sqrt((1 - r^2) / n), Bartlett, J. R. Stat. Soc. Suppl. 8 (1946).
    """
    number = len(scores)
    if number < 3:
        return 0.0
    ordered = sorted(scores)
    ranks = [0.5 * (bisect_right(ordered, score) + bisect_left(ordered, score)) for score in scores]
    mean = fmean(ranks)
    spread = sum((rank - mean) ** 2 for rank in ranks)
    if not spread:
        return 0.0
    found = sum((a - mean) * (b - mean) for a, b in pairwise(ranks)) / spread
    found = min(max(found + (1 + 3 * found) / number, -1.0), 1.0)
    return min(max(found + _MARGIN * math.sqrt((1 - found**2) / number), 0.0), 0.95)


class Detector:
    """Bets against one sequence of scores; `wealth` has an entry per bet, see `Calibration.shifts`."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self.restart()

    def restart(self) -> None:
        """Forget all scores but training's, and reset the wealth."""
        self.forget()
        self._last: float | None = None
        self.wealth = [0.0] * len(self._calibration.shifts)

    def forget(self) -> None:
        """Rank later scores among training's only."""
        self._counts = list(self._calibration.cells)

    @property
    def mean_wealth(self) -> float:
        """The wealth averaged over the bets."""
        return fmean(self.wealth)

    def take(self, score: float, *, most: float = math.inf, learn: bool = True) -> None:
        """Bet on one block's score, with wealth capped at `most`. Without `learn` the game is not fair."""
        cell = self._calibration.cell(score, self._last)
        paid = payments(self._counts, cell, self._calibration.shifts)
        self.wealth = [min((1.0 + before) * each, most) for before, each in zip(self.wealth, paid, strict=True)]
        self._last = score
        if learn:
            self._counts[cell] += 1

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        since = [now - before for now, before in zip(self._counts, self._calibration.cells, strict=True)]
        return {"since": sparse(since), "last": self._last, "wealth": self.wealth}

    def read(self, value: object, name: str) -> None:
        """Restore `as_dict`; raises ValueError if it has another form."""
        body = an_object(value, name)
        wealth = [a_number(item, f"{name}.wealth") for item in body.get("wealth") or ()]
        if len(wealth) != len(self.wealth):
            raise UnreadableProfile(f"{name}.wealth: got {len(wealth)}, expected {len(self.wealth)} as calibrated")
        since = dense(body.get("since"), f"{name}.since")
        self._counts = [before + new for before, new in zip(self._calibration.cells, since, strict=True)]
        self._last = None if body.get("last") is None else a_number(body["last"], f"{name}.last")
        self.wealth = wealth


def payments(counts: Sequence[int], cell: int, shifts: Sequence[float]) -> list[float]:
    """The payout of each bet (a shift in deviations) for a score in a cell, given the others in each cell."""
    tied, above = counts[cell] + 1, sum(counts[cell + 1 :])
    total = above + tied + sum(counts[:cell])
    low, high = _quantile(above / total), _quantile((above + tied) / total)
    return [(_up_to(high + shift) - _up_to(low + shift)) * total / tied for shift in shifts]


def _quantile(share: float) -> float:
    """Phi^-1."""
    if share <= 0.0:
        return -math.inf
    return math.inf if share >= 1.0 else _NORMAL.inv_cdf(share)


def _up_to(value: float) -> float:
    """Phi."""
    return 0.5 * math.erfc(-value * _ROOT_HALF)


def sparse(counts: Sequence[int]) -> Mapping[str, int]:
    """Counts by cell as a JSON object without zeros."""
    return {str(place): count for place, count in enumerate(counts) if count}


def dense(value: object, name: str) -> list[int]:
    """Read `sparse`; raises UnreadableProfile if it has another form."""
    counts = [0] * CELLS
    for place, count in an_object(value, name).items():
        if not place.isdecimal() or int(place) >= CELLS:
            raise UnreadableProfile(f"{name}: got a cell {place!r}, expected 0 to {CELLS - 1}")
        counts[int(place)] = a_count(count, name)
    return counts
