"""What looks for drift window by window: our detector, and a two-sample test with the same promise."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from bench.columns import statistic
from bench.flights import Columns
from modelstack.monitoring.drift.shift import BlockResult, DriftDetector, Null, Promise
from modelstack.monitoring.statistics.profile import Profile
from modelstack.monitoring.statistics.statistic import Statistic

ROWS = 25  # a window of independent rows


class Watcher(Protocol):
    """What looks for drift, window by window: ours or a peer's."""

    rows: int
    """Rows of a window."""

    def update(self, window: Columns) -> bool:
        """Take a window, shape (rows,) each; whether drift is told now."""
        ...


class Ours:
    """Our detector, sealed on training rows in order of arrival, one block a window."""

    rows = ROWS

    def __init__(self, profile: Profile, null: Null, promise: Promise) -> None:
        self._profile, self._detector = profile, DriftDetector(profile, null, promise)

    def update(self, window: Columns) -> bool:
        return self.judge(statistic(self._profile, window)).alarm

    def judge(self, block: Statistic) -> BlockResult:
        return self._detector.take(block)


class TwoSample:
    """A two-sample test of each feature in each window: Kolmogorov-Smirnov's for numbers, chi-squared's for codes.

    Bonferroni's correction over features and windows gives it the same promise as ours.

    Args:
        training: What windows are compared with.
        rows: Rows of a window.
        horizon: Rows over which it may fire falsely with a probability of alpha.
        alpha: That probability.
    """

    def __init__(self, training: Columns, rows: int, horizon: int, alpha: float) -> None:
        self.rows = rows
        self._bound = alpha / (len(training) * horizon / rows)
        self._numbers = {name: np.sort(values) for name, values in training.items() if values.dtype.kind == "f"}
        self._codes: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        for name, values in training.items():
            if name not in self._numbers:
                codes, counts = np.unique(values.astype(str), return_counts=True)
                self._codes[name] = codes, counts

    def update(self, window: Columns) -> bool:
        return any(self._p(name, values) < self._bound for name, values in window.items())

    def _p(self, name: str, values: NDArray[Any]) -> float:
        if name in self._codes:
            return self._chi_squared(name, values)
        known, seen = self._numbers[name], values[np.isfinite(values)]
        known = known[np.isfinite(known)]
        if not len(seen):
            return 1.0
        result: Any = scipy.stats.ks_2samp(seen, known, method="asymp")
        return float(result.pvalue)

    def _chi_squared(self, name: str, values: NDArray[Any]) -> float:
        codes, expected = self._codes[name]
        place = np.searchsorted(codes, values.astype(str))
        new = (place >= len(codes)) | (codes[np.minimum(place, len(codes) - 1)] != values.astype(str))
        seen = np.bincount(place[~new], minlength=len(codes))
        often = expected * len(values) >= 5 * expected.sum()  # the usual rule; all rarer ones are one class
        table = [[*seen[often], seen[~often].sum() + new.sum()], [*expected[often], expected[~often].sum()]]
        kept = np.asarray(table)[:, np.sum(table, axis=0) > 0]
        if kept.shape[1] < 2:
            return 1.0
        result: Any = scipy.stats.chi2_contingency(kept, correction=False)
        return float(result.pvalue)
