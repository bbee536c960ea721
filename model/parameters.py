"""The model's parameters and their allowed values.

Standard library only: each `pulumi preview` reads this file, without loading anything else of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal

Day = Annotated[date, (date(2013, 1, 1), date(2013, 12, 31))]  # the data covers that year
FAULTY = {"fault": "errors"}  # the version that `make demo` and `make bench` roll back

EVALUATED = timedelta(days=28)
"""Four whole weeks, so that the variation between days can be estimated, and a concept shift detected."""
LABELLED_WITHIN = timedelta(days=1)
"""From the end of a flight's day, UTC, to the latest time of its label; true for every flight of 2013."""
DATA_UNTIL = date(2013, 12, 31)  # the last allowed end of a period


@dataclass(frozen=True)
class Parameters:
    """Parameters of one model version. Days are UTC; an `until` day is not included.

    Attributes:
        max_iter: Trees of the final model.
        folds: Forward-chained folds that choose the tree size; 0 skips the choice.
        train_until: Flights that landed later are left out, because their label was not known yet.
        refit: Refit on all labels known at `evaluate_until` and serve that; the evaluated model did not see them.
        fault: Rehearses a failure. `errors`: every second prediction gets a 500. `slow`: each takes two seconds longer.
    """

    max_iter: Annotated[int, (1, 1000)] = 60
    learning_rate: Annotated[float, (0.001, 1.0)] = 0.1
    folds: Annotated[int, (2, 10)] | Literal[0] = 4
    train_from: Day = date(2013, 1, 1)
    train_until: Day = date(2013, 3, 1)
    evaluate_from: Day = date(2013, 3, 1)
    evaluate_until: Day = date(2013, 4, 1)
    refit: bool = False
    fault: Literal["none", "errors", "slow"] = "none"

    def __post_init__(self) -> None:
        problems = [
            f"{later}: {str(getattr(self, later))!r} is not allowed: expected a day {order} {earlier} "
            f"({getattr(self, earlier)})"
            for earlier, order, later, fits in (
                ("train_from", "after", "train_until", self.train_from < self.train_until),
                ("train_until", "at or after", "evaluate_from", self.train_until <= self.evaluate_from),
                ("evaluate_from", "after", "evaluate_until", self.evaluate_from < self.evaluate_until),
            )
            if not fits
        ]
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def known_until(self) -> date:
        """The end of the data that the serving model was fitted on."""
        return self.evaluate_until if self.refit else self.train_until


def variant(parameters: Parameters, number: int) -> dict[str, Any]:
    """A parameter change for another, about equally good version, by `number` 1 to 1,000,000, for demos and benches."""
    return {"learning_rate": round(max(parameters.learning_rate, 0.0015) * (1 - number / 1e7), 12)}


def retrained(parameters: Parameters, through: date) -> dict[str, Any] | None:
    """Parameters that learn from everything known at the start of day `through`, UTC; None if that is nothing new.

    The newest 28 fully labelled days are for evaluation, all before them for training. The serving model is refitted on
    both. The day before `through` is left out: its late flights have no label yet, so its labels are biased.

    A later `through` never gives an earlier window. The current model may have seen a window's evaluation days if it is
    less than 28 days old; the pipeline does not compare on them then.
    """
    until = through - LABELLED_WITHIN
    if not parameters.known_until < until <= DATA_UNTIL:
        return None
    since = until - EVALUATED
    return {"train_until": since, "evaluate_from": since, "evaluate_until": until, "refit": True}
