"""What can be set about the model, with the values each setting may have.

    parse({"max_iter": 80}).max_iter            # 80
    parse({"max_iter": 0})                      # ParameterError: max_iter: 0 is not allowed: expected an integer ...

Standard library only: the recipe reads this file on every `pulumi preview`, without loading anything else of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

FAULTS = ("none", "errors", "slow", "nan")
FAULTY = {"fault": "errors"}
"""The version that `make demo` and `make bench` see rolled back."""

EVALUATED = timedelta(days=28)
"""Four whole weeks: of 20 days that are no short ones it can be told how days differ, and so whether a retrained
version's concept has moved."""
LABELLED_WITHIN = timedelta(days=1)
"""From the end of a flight's day, UTC, until its label is known at the latest; so it was for every flight of 2013."""
DATA_UNTIL = date(2013, 12, 31)
"""The last day that a period may end with: the next one is a day of 2014."""


class ParameterError(ValueError):
    """One or more parameters cannot be used; the message has a line for each."""


@dataclass(frozen=True)
class Parameters:
    """Settings of one model version. Dates are UTC days, YYYY-MM-DD; an `until` day is not included.

    Attributes:
        max_iter: Trees of the final model, 1 to 1000.
        learning_rate: Shrinkage per tree, 0.001 to 1.
        folds: Forward-chained folds that choose the size of the trees, 2 to 10; 0 skips the choice.
        train_from: First day of training data.
        train_until: End of training data. A flight that landed later is left out: its label was not known yet.
        evaluate_from: First day of evaluation data, at or after `train_until`.
        evaluate_until: End of evaluation data.
        refit: Whether, after it was chosen, the model is fitted once more on all that is known at `evaluate_until`,
            and that is what serves; what was fitted without the evaluation data is evaluated.
        fault: A switch to rehearse failure; leave it at `none`. `errors`: every second request answers 500. `slow`:
            each answer takes two seconds longer. `nan`: the model computes NaN, so answers are 200 with null for the
            probability, which no count of errors sees.
    """

    max_iter: int = 60
    learning_rate: float = 0.1
    folds: int = 4
    train_from: str = "2013-01-01"
    train_until: str = "2013-03-01"
    evaluate_from: str = "2013-03-01"
    evaluate_until: str = "2013-04-01"
    refit: bool = False
    fault: str = "none"

    def as_dict(self) -> dict[str, Any]:
        """Return every parameter, defaults included, as JSON values."""
        return asdict(self)

    @property
    def known_until(self) -> str:
        """Up to which day what serves knows flights."""
        return self.evaluate_until if self.refit else self.train_until


def parse(given: Mapping[str, Any]) -> Parameters:
    """Check parameters as they come from a stack's config, and fill in the defaults.

    Raises:
        ParameterError: Unknown names, values of a wrong type or range, periods in a wrong order; all of them at once.
    """
    problems = [
        f"{name}: unknown parameter; the model has {', '.join(sorted(_ALLOWED))}"
        for name in sorted(given.keys() - _ALLOWED.keys())
    ]
    values: dict[str, Any] = {}
    for name in sorted(given.keys() & _ALLOWED.keys()):
        convert, expected = _ALLOWED[name]
        try:
            values[name] = convert(given[name])
        except (TypeError, ValueError):
            problems.append(f"{name}: {given[name]!r} is not allowed: expected {expected}")
    if problems:
        raise ParameterError("\n".join(problems))
    parameters = Parameters(**values)
    days = ("train_from", "train_until", "evaluate_from", "evaluate_until")
    for (earlier, later), may_touch in zip(pairwise(days), (False, True, False), strict=True):
        first, second = getattr(parameters, earlier), getattr(parameters, later)
        if first > second or (first == second and not may_touch):
            order = "at or after" if may_touch else "after"
            problems.append(f"{later}: {second!r} is not allowed: expected a day {order} {earlier} ({first})")
    if problems:
        raise ParameterError("\n".join(problems))
    return parameters


def variant(parameters: Parameters, number: int) -> dict[str, Any]:
    """What to change for another version that is about as good, for `make demo` and `make bench`: a bit less shrinkage.

    Args:
        parameters: Those to start from.
        number: Which version, 1 to 1,000,000; each has another recipe.
    """
    return {"learning_rate": round(max(parameters.learning_rate, 0.0015) * (1 - number / 1e7), 12)}


def retrained(parameters: Parameters, through: str) -> dict[str, Any]:
    """What to change to learn from all that is known at the beginning of a day.

    The newest 28 days whose labels are all known are for evaluation, all days from `train_from` to these for training;
    what serves then is fitted once more, on all of them. The day before `through` is left out: of its flights, those
    that landed late have no label yet, so that what is known of it is mostly punctual, and a window that ends there
    would take flights for more punctual than they are.

    A later `through` never gives an earlier window. What a window evaluates on may be known to what serves with the
    given parameters, where that is less than 28 days old: the pipeline does not compare on it then.

    Args:
        parameters: Those to start from.
        through: The day, UTC, YYYY-MM-DD; nothing that came to be known on it or later is used.

    Raises:
        ParameterError: It is no such day, it is beyond the data, or what serves knows all that is known then.
    """
    known = date.fromisoformat(parameters.known_until)
    try:
        until = _date(through) - LABELLED_WITHIN
        if not known < until <= DATA_UNTIL:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        expected = f"a day as YYYY-MM-DD, after {known + LABELLED_WITHIN} (what the model knows already), "
        expected += f"up to {DATA_UNTIL + LABELLED_WITHIN} (where the data ends)"
        raise ParameterError(f"through: {through!r} is not allowed: expected {expected}") from None
    since = str(until - EVALUATED)
    return {"train_until": since, "evaluate_from": since, "evaluate_until": str(until), "refit": True}


def _integer(low: int, high: int, also: tuple[int, ...] = ()) -> tuple[Callable[[Any], int], str]:
    def convert(value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not (low <= value <= high or value in also):
            raise ValueError
        return int(value)

    extra = "".join(f", or {value}" for value in also)
    return convert, f"an integer from {low} to {high}{extra}"


def _number(low: float, high: float) -> tuple[Callable[[Any], float], str]:
    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if not low <= value <= high:
            raise ValueError
        return float(value)

    return convert, f"a number from {low} to {high}"


def _switch() -> tuple[Callable[[Any], bool], str]:
    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    return convert, "true or false"


def _one_of(*choices: str) -> tuple[Callable[[Any], str], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return value

    return convert, "one of " + ", ".join(choices)


def _day() -> tuple[Callable[[Any], str], str]:
    def convert(value: Any) -> str:
        if _date(value).year != 2013:
            raise ValueError
        return value

    return convert, "a day of 2013 as YYYY-MM-DD (the data covers that year)"


def _date(text: Any) -> date:
    day = date.fromisoformat(text)
    if str(day) != text:  # it reads a week's day too, `2013-W01-1`
        raise ValueError
    return day


_ALLOWED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "max_iter": _integer(1, 1000),
    "learning_rate": _number(0.001, 1.0),
    "folds": _integer(2, 10, also=(0,)),
    "train_from": _day(),
    "train_until": _day(),
    "evaluate_from": _day(),
    "evaluate_until": _day(),
    "refit": _switch(),
    "fault": _one_of(*FAULTS),
}

if _ALLOWED.keys() != {field.name for field in fields(Parameters)}:
    raise RuntimeError("every field of Parameters needs an entry in _ALLOWED")
