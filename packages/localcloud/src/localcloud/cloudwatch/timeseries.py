"""Time series, and the arithmetic on them that metric math is built of."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from localcloud.cloudwatch.expressions import ExpressionError

HIDDEN = "."
"""In the id of a query that a search made, and in no other's."""


@dataclass(frozen=True)
class Series:
    """A time series.

    Attributes:
        values: Start of the period, in seconds since the epoch, to value; what is missing is not in it.
        period: Seconds.
        label: For people.
        id: Id of the query that it comes from.
        is_metric: Whether it was read and not computed.
    """

    values: Mapping[int, float]
    period: int
    label: str = ""
    id: str = ""
    is_metric: bool = False


Value = float | Series | tuple[Series, ...]


@dataclass(frozen=True)
class Scope:
    """What an expression sees: the moments of the request, and the results of the other queries by id."""

    grid: Sequence[int]
    results: Mapping[str, Value]


def as_several(value: Value, what: str) -> tuple[Series, ...]:
    """The time series of a value; `what` wants them."""
    if isinstance(value, Series):
        return (value,)
    if isinstance(value, tuple):
        return value
    raise ExpressionError(f"{what} needs time series, not the scalar {value}")


def as_single(value: Value) -> Series:
    """The one time series that a value is."""
    if isinstance(value, Series):
        return value
    raise ExpressionError(f"expected one time series, found {kind_of(value)}")


def kind_of(value: Value) -> str:
    """What a value is, in words."""
    if isinstance(value, int | float):
        return f"the scalar {value}"
    return "one time series" if isinstance(value, Series) else f"{len(value)} time series"


def _finite(compute: Callable[..., float], *values: float) -> float | None:
    try:
        result = compute(*values)
    except (ArithmeticError, ValueError):
        return None
    return float(result) if isinstance(result, int | float) and math.isfinite(result) else None


def mapped(value: Value, compute: Callable[[float], float]) -> Value:
    """Each data point, or the scalar, put through a function; what has no finite result is dropped."""
    if isinstance(value, int | float):
        result = _finite(compute, value)
        if result is None:
            raise ExpressionError(f"the result for the scalar {value} is not a number")
        return result
    if isinstance(value, tuple):
        return tuple(_mapped_series(series, compute) for series in value)
    return _mapped_series(value, compute)


def _mapped_series(series: Series, compute: Callable[[float], float]) -> Series:
    computed = {moment: _finite(compute, value) for moment, value in series.values.items()}
    return with_values(series, {moment: value for moment, value in computed.items() if value is not None})


def with_values(series: Series, values: Mapping[int, float]) -> Series:
    """A computed series that has the period and label of another."""
    return replace(series, values=values, is_metric=False)


_SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    "<=": lambda left, right: float(left <= right),
    ">": lambda left, right: float(left > right),
    ">=": lambda left, right: float(left >= right),
    "and": lambda left, right: float(bool(left) and bool(right)),
    "or": lambda left, right: float(bool(left) or bool(right)),
}


def operate(sign: str, left: Value, right: Value) -> Value:
    """Two values joined by an operator, moment by moment."""
    compute = _SIGNS[sign]
    if isinstance(left, float) and isinstance(right, float):
        result = _finite(compute, left, right)
        if result is None:
            raise ExpressionError(f"{left} {sign} {right} is not a number")
        return result
    if isinstance(left, tuple) and isinstance(right, tuple):
        raise ExpressionError(f"{sign} cannot take arrays of time series on both sides")
    if isinstance(left, tuple):
        return tuple(_combine(compute, one, right, one) for one in left)
    if isinstance(right, tuple):
        return tuple(_combine(compute, left, one, one) for one in right)
    shape = left if isinstance(left, Series) else right
    assert isinstance(shape, Series)  # noqa: S101 - two scalars have been dealt with
    return _combine(compute, left, right, shape)


def _combine(compute: Callable[[float, float], float], left: Value, right: Value, shape: Series) -> Series:
    sides = [side.values for side in (left, right) if isinstance(side, Series)]
    moments = sorted(set().union(*sides))
    combined = {moment: _finite(compute, value_at(left, moment), value_at(right, moment)) for moment in moments}
    return with_values(shape, {moment: value for moment, value in combined.items() if value is not None})


def value_at(value: Value, moment: int) -> float:
    """The value at a moment; a missing one is 0."""
    if isinstance(value, int | float):
        return value
    return as_single(value).values.get(moment, 0.0)
