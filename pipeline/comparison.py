"""Is a retrained model better than the champion, on the same rows?

    found = compare("log_loss", champion=losses, challenger=others, days=rows.event_time)
    found.gain, found.low, found.high       # how much lower the challenger's loss is, and how sure that is
    found.better(min_gain=0.0)              # whether it is surely more than that

Rows of one day share their weather, so that thousands of them tell no more than a few days do: the interval counts
days. Where rows have no time it counts rows. Of one day, or of one row, nothing is sure.
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
    """Two models' losses on the same rows.

    Attributes:
        loss: Which loss: `log_loss` (nats), `absolute_error` (the label's unit) or `error` (0 or 1).
        champion: The champion's mean loss.
        challenger: The challenger's.
        gain: Champion's less challenger's: above 0 the challenger is better.
        low: Where the interval of the gain begins; None where nothing is sure.
        high: Where it ends.
        rows: How many rows there are.
        days: On how many days, UTC; None for rows without a time.
        since: The first of these.
        until: The day after the last.
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
        """Whether the gain is surely more than that; what nothing is known of is not."""
        return self.low is not None and self.low > min_gain

    def in_words(self, min_gain: float) -> str:
        """What came of it, where a gain was asked for."""
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
        """Read what `as_dict` gave."""
        return cls(**{"since" if name == "from" else name: value for name, value in given.items()})

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        given = {"loss": self.loss, "champion": self.champion, "challenger": self.challenger, "gain": self.gain}
        spread = {"low": self.low, "high": self.high, "rows": self.rows, "days": self.days}
        return {**given, **spread, "from": self.since, "until": self.until}


def compare(
    loss: str,
    *,
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    times: NDArray[np.datetime64] | None = None,
    level: float = LEVEL,
) -> Comparison:
    """Compare two models row by row.

    Args:
        loss: What the losses are.
        champion: The champion's loss of each row, shape (rows,).
        challenger: The challenger's of the same rows.
        times: When each row happened, UTC, shape (rows,); None for rows without a time.
        level: How sure the interval is. Of many comparisons at once each needs more, so that all hold together.

    Raises:
        ValueError: There are no rows, the shapes differ, or a loss is not finite.
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
    """Half of the interval of a mean whose rows depend on each other within a cluster; None of one cluster.

    The variance is that of leaving out one cluster at a time, which is not too small where clusters differ in size; its
    quantile is Student's with one degree of freedom less than there would be clusters if all were of one size and
    weighed as much. Of clusters of one size it is the interval of a sample of their means. Days that follow each other
    are taken as independent: where weather lasts, the interval is somewhat too narrow.

    Source: MacKinnon, Nielsen and Webb, "Cluster-robust inference: a guide to empirical practice", Journal of
    Econometrics 232 (2023), the estimator CV3 (the cluster jackknife) of a mean; for how many clusters weigh as much,
    Kish, Survey Sampling (1965), the effective size of a weighted sample.
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
    """How far to each side of 0 this share of Student's distribution reaches.

    Args:
        level: The share, more than 0 and less than 1.
        freedom: Degrees of freedom, at least 1; more than 10,000 count as so many, which is a bit too wide.

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
