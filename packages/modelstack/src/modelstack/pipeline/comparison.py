"""Comparison of a retrained model with the champion on the same rows.

Rows of one day share their weather, so thousands of them tell no more than a few days do: the interval is over days,
or over rows if rows have no times. A single day or row gives no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """Two models' mean losses on the same rows.

    Attributes:
        loss: `log_loss` (nats), `absolute_error` (the label's unit) or `error` (0 or 1).
        gain: Champion's less challenger's, with the interval `low` to `high`, each None if there is none.
        days: The number of days, UTC; None for rows without a time.
        since: The first day; `until` is the day after the last.
    """

    loss: str
    champion: float
    challenger: float
    gain: float
    low: float | None
    high: float | None
    rows: int
    days: int | None = None
    since: str | None = None
    until: str | None = None

    def better(self, min_gain: float = 0.0) -> bool:
        """Whether the gain exceeds `min_gain` with confidence; an unknown gain does not."""
        return self.low is not None and self.low > min_gain

    def in_words(self, min_gain: float) -> str:
        """The result for a reader, given the required gain."""
        over = f"{self.rows:,} rows" + ("" if self.days is None else f" of {self.days} days")
        losses = f"{self.loss} {self.challenger:.4f}, the champion's {self.champion:.4f}"
        said = f"{losses}, on {over}: gain {self.gain:.4f}"
        if self.low is None or self.high is None:
            return f"{said}, of which nothing is sure: it takes more than one {'row' if self.days is None else 'day'}"
        return (
            f"{said}, 95% interval {self.low:.4f} to {self.high:.4f}; more than {min_gain:g} is asked for, beyond doubt"
        )

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Comparison:
        """Read `as_dict`."""
        return cls(**{"since" if name == "from" else name: value for name, value in given.items()})

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {"from" if name == "since" else name: value for name, value in vars(self).items()}


def compare(
    loss: str,
    *,
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    times: NDArray[np.datetime64] | None = None,
    level: float = LEVEL,
) -> Comparison:
    """Compare two models' losses of the same rows, shape (rows,), at `times` (UTC) or None for rows without a time.

    `level` is the coverage of the interval; simultaneous comparisons each need a higher one.
    """
    if not len(champion) or champion.shape != challenger.shape or (times is not None and len(times) != len(champion)):
        raise ValueError(f"cannot compare {champion.shape} losses with {challenger.shape}: expected the same rows")
    if not (np.isfinite(champion).all() and np.isfinite(challenger).all()):
        raise ValueError("cannot compare losses that are not finite")
    gains = champion - challenger
    days = None if times is None else times.astype("datetime64[D]")
    gain = float(gains.mean())
    half = _half_width(gains, np.arange(len(gains)) if days is None else days, level)
    return Comparison(
        loss,
        champion=float(champion.mean()),
        challenger=float(challenger.mean()),
        gain=gain,
        low=None if half is None else gain - half,
        high=None if half is None else gain + half,
        rows=len(gains),
        days=None if days is None else len(np.unique(days)),
        since=None if days is None else str(days.min()),
        until=None if days is None else str(days.max() + np.timedelta64(1, "D")),
    )


def _half_width(gains: NDArray[np.float64], cluster: NDArray[Any], level: float) -> float | None:
    """Half width of the confidence interval of a mean whose rows are dependent within clusters; None of one cluster.

    The variance leaves out one cluster at a time, which is not too small for clusters of different sizes. The quantile
    is Student's, with one degree of freedom less than the effective number of clusters. For clusters of one size this
    is the interval of a sample of their means. Consecutive days count as independent: where weather lasts, the interval
    is somewhat too narrow.

    Source: MacKinnon, Nielsen and Webb, "Cluster-robust inference: a guide to empirical practice", Journal of
    Econometrics 232 (2023), the estimator CV3 (the cluster jackknife) of a mean; for the effective number, Kish, Survey
    Sampling (1965), the effective size of a weighted sample.
    """
    _, place = np.unique(cluster, return_inverse=True)
    rows, totals = np.bincount(place), np.bincount(place, weights=gains)
    clusters, whole = len(rows), len(gains)
    if clusters < 2:
        return None
    without = (totals.sum() - totals) / (whole - rows)
    variance = (clusters - 1) / clusters * float(((without - gains.mean()) ** 2).sum())
    as_many = whole * whole // int((rows * rows).sum())
    return student(level, max(1, as_many - 1)) * math.sqrt(variance)


def student(level: float, freedom: int) -> float:
    """The two-sided quantile of Student's distribution that holds this share, for at most 10,000 degrees of freedom.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
    """
    freedom = min(freedom, 10_000)
    near, far = 0.0, math.pi / 2
    for _ in range(60):
        angle = (near + far) / 2
        near, far = (angle, far) if _share_within(angle, freedom) < level else (near, angle)
    return math.sqrt(freedom) * math.tan(near)


def _share_within(angle: float, freedom: int) -> float:
    """The share of Student's distribution within sqrt(freedom) * tan(angle) of 0."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for power in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (power - 1) / power
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))
