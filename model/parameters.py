"""What can be set about the model, with the values each setting may have.

Standard library only: the recipe reads this file on every `pulumi preview`, without loading anything else of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal

Day = Annotated[date, (date(2013, 1, 1), date(2013, 12, 31))]
"""The data covers that year."""
FAULTY = {"fault": "errors"}
"""The version that `make demo` and `make bench` see rolled back."""

EVALUATED = timedelta(days=28)
"""Four whole weeks: of 20 days that are no short ones it can be told how days differ, and so whether a retrained
version's concept has moved."""
LABELLED_WITHIN = timedelta(days=1)
"""From the end of a flight's day, UTC, until its label is known at the latest; so it was for every flight of 2013."""
DATA_UNTIL = date(2013, 12, 31)
"""The last day that a period may end with: the next one is a day of 2014."""


@dataclass(frozen=True)
class Parameters:
    """Settings of one model version. Days are UTC; an `until` day is not included.

    Attributes:
        max_iter: Trees of the final model.
        learning_rate: Shrinkage per tree.
        folds: Forward-chained folds that choose the size of the trees; 0 skips the choice.
        train_from: First day of training data.
        train_until: End of training data. A flight that landed later is left out: its label was not known yet.
        evaluate_from: First day of evaluation data, at or after `train_until`.
        evaluate_until: End of evaluation data.
        refit: Whether, after it was chosen, the model is fitted once more on all that is known at `evaluate_until`,
            and that is what serves; what was fitted without the evaluation data is evaluated.
        fault: A switch to rehearse failure; leave it at `none`. `errors`: every second prediction fails, and is
            answered 500. `slow`: each one takes two seconds longer.
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
        """Up to which day what serves knows flights."""
        return self.evaluate_until if self.refit else self.train_until


def variant(parameters: Parameters, number: int) -> dict[str, Any]:
    """What to change for another version that is about as good, for `make demo` and `make bench`: a bit less shrinkage.

    Args:
        parameters: Those to start from.
        number: Which version, 1 to 1,000,000; each has another recipe.
    """
    return {"learning_rate": round(max(parameters.learning_rate, 0.0015) * (1 - number / 1e7), 12)}


def retrained(parameters: Parameters, through: date) -> dict[str, Any] | None:
    """What to change to learn from all that is known at the beginning of a day, UTC; None if that is nothing new.

    The newest 28 days whose labels are all known are for evaluation, all days from `train_from` to these for training;
    what serves then is fitted once more, on all of them. The day before `through` is left out: of its flights, those
    that landed late have no label yet, so that what is known of it is mostly punctual, and a window that ends there
    would take flights for more punctual than they are.

    A later `through` never gives an earlier window. What a window evaluates on may be known to what serves with the
    given parameters, where that is less than 28 days old: the pipeline does not compare on it then.
    """
    until = through - LABELLED_WITHIN
    if not parameters.known_until < until <= DATA_UNTIL:
        return None
    since = until - EVALUATED
    return {"train_until": since, "evaluate_from": since, "evaluate_until": until, "refit": True}
