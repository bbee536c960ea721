"""A histogram of scores, with what then happened: what AUC, calibration and estimates before labels are made of.

    seen = Scores()
    seen.add(0.83, decided=True, hit=False)
    seen.merge(other)                  # of another call, another hour: as if its scores had been added here
    seen.auc()                         # Interval(0.69, 0.64, 0.73)
    seen.calibration_error()           # Interval(0.04, 0.0, 0.09)

Of two classes the score is the probability of the last one, and a hit is that it happened. Of more it is the
probability of the class that was decided for, and a hit that this was right.

Scores fall into 100 equal bins. All is counted in whole numbers (a sum of scores in units of 2^-40), so that the order
of adding and merging makes no difference, to the last bit, and memory is constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monitoring.statistics.intervals import LEVEL, Interval, of_rate, of_rate_surely
from monitoring.statistics.profile import a_count, a_list, an_object

BINS, RELIABILITY_BINS = 100, 10
UNIT = 2.0**40
Cell = list[int]
"""Rows, rows that were decided for, hits, and the sum of the scores in units."""


def units(value: float) -> int:
    """A finite value in whole units."""
    return round(value * UNIT)


class Scores:
    """Counts by bin of the score."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[int, Cell] = {}

    def add(self, score: float, *, decided: bool, hit: bool = False) -> None:
        """Count one prediction.

        Args:
            score: 0 to 1.
            decided: Whether the model decided for what the score is the probability of.
            hit: Whether that happened; False where no label is known.
        """
        self._add(min(int(score * BINS), BINS - 1), [1, int(decided), int(hit), units(score)])

    def _add(self, place: int, more: Cell) -> None:
        cell = self._cells.setdefault(place, [0, 0, 0, 0])
        for position, count in enumerate(more):
            cell[position] += count

    def merge(self, other: Scores) -> None:
        """Count another's predictions too."""
        for place, cell in other._cells.items():
            self._add(place, cell)

    def bins(self) -> Iterator[tuple[int, int, int, int, float]]:
        """Bin, rows, rows decided for, hits and mean score, of each bin that has rows, by ascending score."""
        for place in sorted(self._cells):
            rows, decided, hits, total = self._cells[place]
            yield place, rows, decided, hits, total / UNIT / rows

    @property
    def rows(self) -> int:
        """How many predictions there are."""
        return sum(cell[0] for cell in self._cells.values())

    def auc(self, level: float = LEVEL) -> Interval | None:
        """Area under the ROC curve: how likely a hit has a higher score than what was none; None without both.

        The order of two scores in one bin is not known. So the value is wrong by at most half of the share of pairs
        (hit, none) that share a bin, whatever their order was, and the interval reaches this much farther.

        Returns:
            An interval whose coverage is at least `level`: its variance is taken as a(1 - a) / min(hits, others), the
            most that it can be.

        Source: Birnbaum and Klose, "Bounds for the variance of the Mann-Whitney statistic", Ann. Math. Stat. 28 (1957);
        Cortes and Mohri, "Confidence intervals for the area under the ROC curve", NIPS 17 (2004).
        """
        below = sure = tied = happened = 0
        for _, rows, _, hits, _ in self.bins():
            sure, tied = sure + hits * below, tied + hits * (rows - hits)
            below, happened = below + rows - hits, happened + hits
        if not below or not happened:
            return None
        pairs, fewest = happened * below, min(happened, below)
        least, most = (of_rate(share / pairs * fewest, fewest, level) for share in (sure, sure + tied))
        return Interval((sure + tied / 2) / pairs, least.low, most.high)

    def calibration_error(self, level: float = LEVEL) -> Interval | None:
        """Expected calibration error in ten equal bins: how far shares are from scores, by rows; None without rows.

        Returns:
            An interval of coverage at least `level`: Hoeffding's of each bin's share, of such levels that all hold at
            once (Bonferroni). Its low end is above 0 only if the scores are not calibrated, chance apart; the value is
            above 0 for calibrated ones too.

        Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI
        2015.
        """
        found = [(rows, hits, total / UNIT / rows) for rows, _, hits, total in self._reliability()]
        if not found:
            return None
        whole, each = self.rows, 1 - (1 - level) / len(found)
        value = low = high = 0.0
        for rows, hits, score in found:
            share = of_rate_surely(hits, rows, each)
            value += rows / whole * abs(share.value - score)
            low += rows / whole * max(0.0, share.low - score, score - share.high)
            high += rows / whole * max(score - share.low, share.high - score)
        return Interval(value, low, high)

    def _reliability(self) -> list[Cell]:
        wide: dict[int, Cell] = {}
        for place, cell in self._cells.items():
            into = wide.setdefault(place * RELIABILITY_BINS // BINS, [0, 0, 0, 0])
            for position, count in enumerate(cell):
                into[position] += count
        return [wide[place] for place in sorted(wide)]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values: the bins that have rows."""
        return {str(place): self._cells[place] for place in sorted(self._cells)}

    @classmethod
    def from_dict(cls, value: object, name: str = "scores") -> Scores:
        """Read `as_dict`.

        Raises:
            ValueError: It is of another form.
        """
        made = cls()
        for place, cell in an_object(value, name).items():
            counts = [a_count(item, f"{name}.{place}") for item in a_list(cell, f"{name}.{place}")]
            if not place.isdecimal() or int(place) >= BINS or len(counts) != 4 or not counts[0]:
                raise ValueError(f"{name}.{place}: got {cell!r}, expected four counts of a bin under {BINS}")
            made._add(int(place), counts)
        return made
