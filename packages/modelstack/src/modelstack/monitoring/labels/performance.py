"""The performance of labelled answers: a statistic of constant size that merges exactly.

The pipeline seals the same statistic of its evaluation into the package, for comparison with later labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR, ACCURACY, ERROR, Form, Said, Scalar, Scored
from modelstack.monitoring.labels.scores import UNIT, Scores, units
from modelstack.monitoring.statistics.intervals import Interval, of_mean, of_rate
from modelstack.monitoring.statistics.profile import a_count, a_list, an_object

AUC, CALIBRATION_ERROR = "AUC", "CalibrationError"
SEGMENTS = 30  # values of a column that are counted: the alphabetically first ones
LONGEST = 40  # characters of such a value


@dataclass(frozen=True)
class LabelScore:
    """One prediction with its label.

    Attributes:
        losses: See `quality.Form.losses`.
        scored: None without a probability.
        hit: Whether the event occurred that the score is the probability of.
        segments: Column -> value.
    """

    losses: Mapping[str, float]
    scored: Scored | None = None
    hit: bool = False
    segments: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, form: Form, said: Said, label: Scalar, segments: Mapping[str, str] | None = None) -> LabelScore:
        """The outcome of a prediction and its label."""
        scored = form.scored(said)
        return cls(form.losses(said, label), scored, scored is not None and form.hit(said, label), segments or {})

    @property
    def error(self) -> float:
        """1 for a wrong decision, else 0; of a regression, the absolute error."""
        return 1 - self.losses[ACCURACY] if ACCURACY in self.losses else self.losses[ABSOLUTE_ERROR]

    def loss(self, name: str) -> float:
        """The loss of a name in `quality.Form.loss`."""
        return self.error if name == ERROR else self.losses[name]


@dataclass
class Sums:
    """Number, sum and sum of squares of values in whole units."""

    count: int = 0
    total: int = 0
    squares: int = 0

    def add(self, value: float) -> None:
        """Add a finite value."""
        whole = units(value)
        self.count, self.total, self.squares = self.count + 1, self.total + whole, self.squares + whole * whole

    def merge(self, other: Sums) -> None:
        """Add another's values."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def interval(self, *, rate: bool) -> Interval:
        """The mean; of a rate, whose values are 0 and 1, by Wilson."""
        total = self.total / UNIT
        return of_rate(total, self.count) if rate else of_mean(total, self.squares / UNIT / UNIT, self.count)

    @classmethod
    def from_list(cls, value: object, name: str) -> Sums:
        """Read the three numbers."""
        numbers = [a_count(item, name) for item in a_list(value, name)]
        if len(numbers) != 3:
            raise ValueError(f"{name}: got {len(numbers)} numbers, expected 3")
        return cls(*numbers)


class Performance:
    """Sums over pairs of answers and labels."""

    __slots__ = ("_segments", "losses", "scores")

    def __init__(self) -> None:
        self.scores = Scores()
        self.losses: dict[str, Sums] = {}
        self._segments: dict[str, dict[str, Sums]] = {}

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return max((sums.count for sums in self.losses.values()), default=0)

    def add(self, outcome: LabelScore) -> None:
        """Add one pair."""
        for name, loss in outcome.losses.items():
            self.losses.setdefault(name, Sums()).add(loss)
        if outcome.scored is not None:
            self.scores.add(outcome.scored.score, decided=outcome.scored.decided, hit=outcome.hit)
        for column, value in outcome.segments.items():
            one = Sums()
            one.add(outcome.error)
            self._segment(column, value[:LONGEST], one)

    def merge(self, other: Performance) -> None:
        """Add another's pairs."""
        self.scores.merge(other.scores)
        for name, sums in other.losses.items():
            self.losses.setdefault(name, Sums()).merge(sums)
        for column, values in other._segments.items():
            for value, sums in values.items():
                self._segment(column, value, sums)

    def _segment(self, column: str, value: str, more: Sums) -> None:
        """A value among the first of all is among the first of each part, so the order of merging does not matter."""
        values = self._segments.setdefault(column, {})
        if value not in values and len(values) >= SEGMENTS and value > max(values):
            return
        values.setdefault(value, Sums()).merge(more)
        if len(values) > SEGMENTS:
            del values[max(values)]

    def mean(self, loss: str) -> float | None:
        """The mean of a loss of `quality.Form.loss`; None without pairs."""
        sums = self.losses.get(ACCURACY if loss == ERROR else loss)
        if sums is None or not sums.count:
            return None
        mean = sums.total / UNIT / sums.count
        return 1 - mean if loss == ERROR else mean

    def measures(self, *, binary: bool) -> dict[str, Interval]:
        """The available measures: accuracy, log-loss, AUC (of a binary model), calibration error, absolute error."""
        found = {name: sums.interval(rate=name == ACCURACY) for name, sums in sorted(self.losses.items()) if sums.count}
        more = {AUC: self.scores.auc() if binary else None, CALIBRATION_ERROR: self.scores.calibration_error()}
        return found | {name: value for name, value in more.items() if value is not None}

    def segments(self) -> dict[str, Interval]:
        """By segment `column=value`, the share of wrong decisions or the mean absolute error."""
        rate = ABSOLUTE_ERROR not in self.losses
        return {
            f"{column}={value}": sums.interval(rate=rate)
            for column, values in sorted(self._segments.items())
            for value, sums in sorted(values.items())
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "scores": self.scores.as_dict(),
            "losses": {name: _numbers(sums) for name, sums in sorted(self.losses.items())},
            "segments": {
                column: {value: _numbers(sums) for value, sums in sorted(values.items())}
                for column, values in sorted(self._segments.items())
            },
        }

    @classmethod
    def from_dict(cls, value: object, name: str = "performance") -> Performance:
        """Read `as_dict`; ValueError for another format."""
        body, made = an_object(value, name), cls()
        made.scores = Scores.from_dict(body.get("scores"), f"{name}.scores")
        for loss, sums in an_object(body.get("losses"), f"{name}.losses").items():
            made.losses[loss] = Sums.from_list(sums, f"{name}.losses.{loss}")
        for column, values in an_object(body.get("segments"), f"{name}.segments").items():
            for one, sums in an_object(values, f"{name}.segments.{column}").items():
                made._segment(column, one, Sums.from_list(sums, f"{name}.segments.{column}.{one}"))
        return made


def segment_of(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str]:
    """The values of an instance's segment columns; `missing` for a missing field."""
    return {column: _text(row.get(column)) for column in columns}


def _text(value: object) -> str:
    if value is None or isinstance(value, (Mapping, list)):
        return "missing"
    return str(value)[:LONGEST]


def _numbers(sums: Sums) -> list[int]:
    return [sums.count, sums.total, sums.squares]
