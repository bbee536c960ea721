"""Compares champion and challenger on the same rows. Pure.

Rows match by name, time and label: each version answered them with its own code, so that their features may differ.
Rows that one of the two saw in training are in neither list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstack.pipeline.comparison import LEVEL, Comparison, compare

BINS = 10
_FEWEST = 100  # rows of a segment that is compared


class NotComparable(ValueError):
    """The two cannot be compared; the message says why."""


@dataclass(frozen=True)
class Answered:
    """A version's answers, as `modelstack.pipeline.answered` wrote them."""

    loss: str
    keys: Sequence[str]
    days: Sequence[str] | None
    losses: NDArray[np.float64]
    labels: Sequence[Any]
    decisions: Sequence[Any]
    scores: Sequence[float | None] | None
    hits: Sequence[bool] | None
    segments: Mapping[str, Sequence[str]]

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Answered:
        """Read the step's output."""
        given = {**given, "losses": np.array(given["losses"], np.float64)}
        return cls(**dict[str, Any](given))

    def take(self, rows: Sequence[int]) -> Answered:
        """Only these rows."""

        def of(values: Sequence[Any] | None) -> Any:
            return None if values is None else [values[row] for row in rows]

        return Answered(
            self.loss,
            of(self.keys),
            of(self.days),
            self.losses[list(rows)],
            of(self.labels),
            of(self.decisions),
            of(self.scores),
            of(self.hits),
            {name: of(values) for name, values in self.segments.items()},
        )


@dataclass(frozen=True)
class Segment:
    """Rows with the same value of a challenger's feature; the level of `loss` holds for all segments jointly."""

    feature: str
    value: str
    loss: Comparison

    @property
    def surely(self) -> str:
        """`better` or `worse` if significant over all segments; else empty."""
        low, high = self.loss.low, self.loss.high
        if low is None or high is None:
            return ""
        return "better" if low > 0 else "worse" if high < 0 else ""


@dataclass(frozen=True)
class Decisions:
    """Changed answers: other decisions or, for a regression, values.

    Attributes:
        mended: Wrong before, right now; `broken` the reverse. Both None for a regression.
        moved: Mean change of a regression's value; None for a classification.
    """

    rows: int
    changed: int
    mended: int | None = None
    broken: int | None = None
    moved: float | None = None


@dataclass(frozen=True)
class Bin:
    """Scores of one range; of each version rows, mean score and share of hits, None without such scores."""

    low: float
    high: float
    champion: tuple[int, float, float] | None
    challenger: tuple[int, float, float] | None


@dataclass(frozen=True)
class Calibration:
    """Calibration by bins, and the expected calibration errors, 0 to 1.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """

    bins: tuple[Bin, ...]
    champion: float
    challenger: float


@dataclass(frozen=True)
class Compared:
    """Both versions on the same rows.

    Attributes:
        only: Numbers of rows unseen by the champion only, and by the challenger only.
        segments: Significant ones first, then by difference.
        calibration: None unless answers are probabilities of one of two classes.
    """

    loss: Comparison
    only: tuple[int, int]
    segments: tuple[Segment, ...]
    tested: int
    decisions: Decisions
    calibration: Calibration | None


def compared(champion: Answered, challenger: Answered) -> Compared:
    """Compare both; NotComparable if their losses differ, or they have no row in common."""
    if champion.loss != challenger.loss:
        raise NotComparable(
            f"the champion's answers are held against labels by {champion.loss}, the challenger's by {challenger.loss}"
        )
    places = {key: row for row, key in enumerate(champion.keys)}
    both = [
        (places[key], row)
        for row, key in enumerate(challenger.keys)
        if key in places and champion.labels[places[key]] == challenger.labels[row]
    ]
    if not both:
        raise NotComparable("no row to evaluate on is new to both of them")
    before, after = champion.take([one for one, _ in both]), challenger.take([other for _, other in both])
    tested = list(_segments(before, after))
    order = sorted(tested, key=lambda one: (not one.surely, -abs(one.loss.gain)))
    return Compared(
        _compare(before, after, np.ones(len(both), bool)),
        (len(champion.keys) - len(both), len(challenger.keys) - len(both)),
        tuple(order),
        len(tested),
        _decisions(before, after),
        _calibration(before, after),
    )


def _compare(before: Answered, after: Answered, chosen: NDArray[np.bool_], level: float = LEVEL) -> Comparison:
    days = None if after.days is None else np.array(after.days, "datetime64[D]")[chosen]
    return compare(after.loss, champion=before.losses[chosen], challenger=after.losses[chosen], times=days, level=level)


def _segments(before: Answered, after: Answered) -> Iterator[Segment]:
    masks = {
        (feature, value): chosen
        for feature, each in after.segments.items()
        for value in sorted(set(each))
        if _FEWEST <= (chosen := np.array([one == value for one in each])).sum() < len(after.keys)
    }
    level = 1 - (1 - LEVEL) / max(len(masks), 1)
    for (feature, value), chosen in masks.items():
        yield Segment(feature, value, _compare(before, after, chosen, level))


def _decisions(before: Answered, after: Answered) -> Decisions:
    pairs = list(zip(before.decisions, after.decisions, after.labels, strict=True))
    changed = [(one, other, label) for one, other, label in pairs if one != other]
    if after.loss == "absolute_error":
        moved = sum(abs(other - one) for one, other, _ in changed) / len(pairs)
        return Decisions(len(pairs), len(changed), moved=moved)
    mended = sum(other == label for _, other, label in changed)
    broken = sum(one == label for one, _, label in changed)
    return Decisions(len(pairs), len(changed), mended, broken)


def _calibration(before: Answered, after: Answered) -> Calibration | None:
    sides = [_by_bin(side) for side in (before, after)]
    if sides[0] is None or sides[1] is None:
        return None
    bins = tuple(
        Bin(place / BINS, (place + 1) / BINS, sides[0].get(place), sides[1].get(place)) for place in range(BINS)
    )
    return Calibration(bins, *(_error(side) for side in (sides[0], sides[1])))


def _by_bin(side: Answered) -> dict[int, tuple[int, float, float]] | None:
    if side.scores is None or side.hits is None or any(score is None for score in side.scores):
        return None
    scores, hits = np.array(side.scores, float), np.array(side.hits, float)
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    return {
        int(one): (int((place == one).sum()), float(scores[place == one].mean()), float(hits[place == one].mean()))
        for one in np.unique(place)
    }


def _error(bins: Mapping[int, tuple[int, float, float]]) -> float:
    rows = sum(count for count, _, _ in bins.values())
    return sum(count * abs(said - seen) for count, said, seen in bins.values()) / rows
