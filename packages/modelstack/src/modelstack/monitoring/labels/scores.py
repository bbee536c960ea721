"""A histogram of scores and outcomes, for AUC, calibration and estimates before labels.

Of two classes the score is the probability of the last one, and a hit is its occurrence. Of more it is the probability
of the decided class, and a hit is a right decision.

All counts are integers (score sums in units of 2^-40), so merging is exact in any order, and memory is constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelstack.monitoring.statistics.intervals import LEVEL, Interval, of_rate, of_rate_surely
from modelstack.monitoring.statistics.profile import a_count, a_list, an_object

BINS, RELIABILITY_BINS = 100, 10
UNIT = 2.0**40
Cell = list[int]
"""Rows, rows decided for, hits, and the sum of scores in units."""


def units(value: float) -> int:
    """A finite value in whole units."""
    return round(value * UNIT)


class Scores:
    """Counts by bin of the score."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[int, Cell] = {}

    def add(self, score: float, *, decided: bool, hit: bool = False) -> None:
        """Add a prediction with a score from 0 to 1; `hit` is False without a label."""
        self._add(min(int(score * BINS), BINS - 1), [1, int(decided), int(hit), units(score)])

    def _add(self, place: int, more: Cell) -> None:
        cell = self._cells.setdefault(place, [0, 0, 0, 0])
        for position, count in enumerate(more):
            cell[position] += count

    def merge(self, other: Scores) -> None:
        """Add another's predictions."""
        for place, cell in other._cells.items():
            self._add(place, cell)

    def bins(self) -> Iterator[tuple[int, int, int, int, float]]:
        """Bin, rows, rows decided for, hits and mean score of each nonempty bin, by ascending score."""
        for place in sorted(self._cells):
            rows, decided, hits, total = self._cells[place]
            yield place, rows, decided, hits, total / UNIT / rows

    @property
    def rows(self) -> int:
        """Number of predictions."""
        return sum(cell[0] for cell in self._cells.values())

    def auc(self, level: float = LEVEL) -> Interval | None:
        """Area under the ROC curve, with an interval of coverage at least `level`; None without hits or without misses.

        The order of two scores in a bin is unknown: the value may be off by half of such pairs, and the interval
        includes that. The variance is bounded by a(1 - a) / min(hits, others).

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
        """Expected calibration error in ten equal bins, with an interval of coverage at least `level`.

        The interval is Hoeffding's per bin with a Bonferroni correction. Its low end is above 0 only if scores are not
        calibrated; the value is above 0 for calibrated scores too. None without rows.

        Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning" (2015).
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
        """JSON values of the nonempty bins."""
        return {str(place): self._cells[place] for place in sorted(self._cells)}

    @classmethod
    def from_dict(cls, value: object, name: str = "scores") -> Scores:
        """Read `as_dict`; ValueError for another format."""
        made = cls()
        for place, cell in an_object(value, name).items():
            counts = [a_count(item, f"{name}.{place}") for item in a_list(cell, f"{name}.{place}")]
            if not place.isdecimal() or int(place) >= BINS or len(counts) != 4 or not counts[0]:
                raise ValueError(f"{name}.{place}: got {cell!r}, expected four counts of a bin under {BINS}")
            made._add(int(place), counts)
        return made
