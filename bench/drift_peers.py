"""What else looks for drift, put beside our detector: a two-sample test, and ADWIN where river is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


class TwoSample:
    """A two-sample test of each feature in each window: Kolmogorov-Smirnov's for numbers, chi-squared's for codes.

    Bonferroni's correction over features and windows gives it the same promise as ours.

    Args:
        training: What windows are compared with.
        rows: Rows of a window.
        horizon: Rows over which it may ring falsely with a probability of alpha.
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


class Adwin:
    """River's ADWIN on each feature, over values scaled by training's range; codes count as their rank by frequency.

    Args:
        training: It starts on the last 5,000 of these rows.
        delta: ADWIN's confidence.
        rows: Rows after which it is asked.
    """

    def __init__(self, training: Columns, delta: float, rows: int) -> None:
        self.rows = rows
        drift: Any = import_module("river.drift")  # in the peers' own environment
        self._scales: dict[str, tuple[float, float]] = {}
        self._ranks: dict[str, dict[str, float]] = {}
        self._detectors = {name: drift.ADWIN(delta=delta) for name in training}
        for name, values in training.items():
            if values.dtype.kind == "f":
                low, high = float(np.nanmin(values)), float(np.nanmax(values))
                self._scales[name] = low, high - low
            else:
                ranked = Counter(values.tolist()).most_common()
                self._ranks[name] = {code: rank / len(ranked) for rank, (code, _) in enumerate(ranked)}
        self.update({name: values[-5000:] for name, values in training.items()})

    def update(self, window: Columns) -> bool:
        told = False
        for name, values in window.items():
            detector = self._detectors[name]
            for value in self._scaled(name, values):
                detector.update(value)
                told = told or detector.drift_detected
        return told

    def _scaled(self, name: str, values: NDArray[Any]) -> list[float]:
        if name in self._ranks:
            return [self._ranks[name].get(code, 1.0) for code in values.tolist()]
        low, width = self._scales[name]
        return ((values[np.isfinite(values)] - low) / width).tolist()
