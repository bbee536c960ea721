"""What a metric math expression comes to.

    value = evaluate(parse("m1 / m2 * 100"), Scope(grid, {"m1": invocations, "m2": errors}))

As on AWS: in arithmetic and comparisons a value that only one side lacks counts as 0; where a division by zero would come
out, the data point is dropped; `SUM`, `AVG`, `MAX`, `MIN` and `STDDEV` of one series are a scalar and of several are a series.

Source: Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from localcloud.cloudwatch.expressions import (
    Array,
    ExpressionError,
    Function,
    Negation,
    Node,
    Number,
    Operation,
    Reference,
    Text,
)


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


_REFUSED = ("ANOMALY_DETECTION_BAND", "DB_PERF_INSIGHTS", "INSIGHT_RULE_METRIC", "LAMBDA", "SEARCH", "SERVICE_QUOTA")


def evaluate(node: Node, scope: Scope) -> Value:
    """Compute an expression.

    Raises:
        ExpressionError: A function or id is unknown, or a function does not take what it is given.
    """
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Text):
        raise ExpressionError(f"the text {node.value!r} is only allowed inside METRICS()")
    if isinstance(node, Reference):
        if node.name not in scope.results:
            raise ExpressionError(f"there is no query with the id {node.name!r}; ids here: {_listed(scope.results)}")
        return scope.results[node.name]
    if isinstance(node, Array):
        return tuple(series for item in node.items for series in _several(evaluate(item, scope), "an array"))
    if isinstance(node, Negation):
        return _mapped(evaluate(node.operand, scope), operator.neg)
    if isinstance(node, Operation):
        return _operate(node.sign, evaluate(node.left, scope), evaluate(node.right, scope))
    return _call(node, scope)


def _call(node: Function, scope: Scope) -> Value:
    if node.name in _REFUSED:
        raise ExpressionError(f"{node.name} is not supported by the local CloudWatch")
    entry = _FUNCTIONS.get(node.name)
    if entry is None:
        raise ExpressionError(f"there is no function {node.name!r}; functions here: {_listed(_FUNCTIONS)}")
    least, most, function = entry
    if not least <= len(node.arguments) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise ExpressionError(f"{node.name} takes {wanted} arguments, not {len(node.arguments)}")
    try:
        return function(node, scope)
    except ExpressionError as error:
        raise ExpressionError(f"{node.name}: {error}") from None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"


def _several(value: Value, what: str) -> tuple[Series, ...]:
    if isinstance(value, Series):
        return (value,)
    if isinstance(value, tuple):
        return value
    raise ExpressionError(f"{what} needs time series, not the scalar {value}")


def _single(value: Value) -> Series:
    if isinstance(value, Series):
        return value
    raise ExpressionError(f"expected one time series, found {_kind(value)}")


def _scalar(value: Value) -> float:
    if isinstance(value, float):
        return value
    raise ExpressionError(f"expected a scalar, found {_kind(value)}")


def _kind(value: Value) -> str:
    if isinstance(value, float):
        return f"the scalar {value}"
    return "one time series" if isinstance(value, Series) else f"{len(value)} time series"


def _finite(compute: Callable[..., float], *values: float) -> float | None:
    try:
        result = compute(*values)
    except (ArithmeticError, ValueError):
        return None
    return float(result) if isinstance(result, int | float) and math.isfinite(result) else None


def _mapped(value: Value, compute: Callable[[float], float]) -> Value:
    if isinstance(value, float):
        result = _finite(compute, value)
        if result is None:
            raise ExpressionError(f"the result for the scalar {value} is not a number")
        return result
    if isinstance(value, tuple):
        return tuple(_mapped_series(series, compute) for series in value)
    return _mapped_series(value, compute)


def _mapped_series(series: Series, compute: Callable[[float], float]) -> Series:
    computed = {moment: _finite(compute, value) for moment, value in series.values.items()}
    return _computed(series, {moment: value for moment, value in computed.items() if value is not None})


def _computed(series: Series, values: Mapping[int, float]) -> Series:
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


def _operate(sign: str, left: Value, right: Value) -> Value:
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
    combined = {moment: _finite(compute, _at(left, moment), _at(right, moment)) for moment in moments}
    return _computed(shape, {moment: value for moment, value in combined.items() if value is not None})


def _at(value: Value, moment: int) -> float:
    """A missing value is 0."""
    if isinstance(value, float):
        return value
    return _single(value).values.get(moment, 0.0)


def _mapping(compute: Callable[[float], float]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        _several(value, "this function")
        return _mapped(value, compute)

    return function


def _reducing(
    reduce: Callable[[Sequence[float]], float], *, missing_is_zero: bool = False
) -> Callable[[Function, Scope], Value]:
    """A scalar of one series; a series, moment by moment, of several."""

    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if isinstance(value, Series):
            return float(reduce(list(value.values.values()))) if value.values else 0.0
        several = _several(value, "this function")
        moments = sorted({moment for series in several for moment in series.values})
        reduced = {}
        for moment in moments:
            present = [series.values[moment] for series in several if moment in series.values]
            zeros = [0.0] * (len(several) - len(present)) if missing_is_zero else []
            reduced[moment] = float(reduce(present + zeros))
        return Series(reduced, several[0].period if several else 60)

    return function


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    mean = _average(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _stepping(step: Callable[[int, float, int, float], float]) -> Callable[[Function, Scope], Value]:
    """A value of each data point and the one before it."""

    def one(series: Series) -> Series:
        points = sorted(series.values.items())
        return _computed(
            series,
            {
                moment: step(before, value_before, moment, value)
                for (before, value_before), (moment, value) in zip(points, points[1:], strict=False)
            },
        )

    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if isinstance(value, Series):
            return one(value)
        return tuple(one(series) for series in _several(value, "this function"))

    return function


def _metrics(node: Function, scope: Scope) -> Value:
    part = ""
    if node.arguments:
        argument = node.arguments[0]
        if not isinstance(argument, Text):
            raise ExpressionError("the argument must be text, the part of an id")
        part = argument.value
    return tuple(
        series
        for name, series in scope.results.items()
        if isinstance(series, Series) and series.is_metric and part in name
    )


def _fill(node: Function, scope: Scope) -> Value:
    value, filler = evaluate(node.arguments[0], scope), node.arguments[1]
    if isinstance(filler, Reference) and filler.name in ("REPEAT", "LINEAR"):
        fill = _repeated if filler.name == "REPEAT" else _interpolated
    else:
        other = evaluate(filler, scope)

        def fill(series: Series, grid: Sequence[int]) -> dict[int, float]:
            missing = [moment for moment in grid if moment not in series.values]
            if isinstance(other, Series):
                missing = [moment for moment in missing if moment in other.values]
            return {moment: _at(other, moment) for moment in missing}

    def one(series: Series) -> Series:
        return _computed(series, dict(sorted({**fill(series, scope.grid), **series.values}.items())))

    if isinstance(value, Series):
        return one(value)
    return tuple(one(series) for series in _several(value, "this function"))


def _repeated(series: Series, grid: Sequence[int]) -> dict[int, float]:
    filled: dict[int, float] = {}
    last: float | None = None
    for moment in grid:
        last = series.values.get(moment, last)
        if last is not None:
            filled[moment] = last
    return filled


def _interpolated(series: Series, grid: Sequence[int]) -> dict[int, float]:
    points = sorted(series.values.items())
    return {
        moment: low + (high - low) * (moment - start) / (end - start)
        for (start, low), (end, high) in zip(points, points[1:], strict=False)
        for moment in grid
        if start < moment < end
    }


def _if(node: Function, scope: Scope) -> Value:
    condition, yes = (evaluate(argument, scope) for argument in node.arguments[:2])
    no = evaluate(node.arguments[2], scope) if len(node.arguments) == 3 else None
    if isinstance(condition, float):
        chosen = yes if condition else no
        return Series({}, 60) if chosen is None else chosen
    test = _single(condition)
    for branch in (yes, no):
        if isinstance(branch, tuple):
            raise ExpressionError(f"a branch must be a scalar or one time series, not {_kind(branch)}")
    values: dict[int, float] = {}
    for moment, outcome in test.values.items():
        if outcome:
            values[moment] = _at(yes, moment)
        elif isinstance(no, float) or (isinstance(no, Series) and moment in no.values):
            values[moment] = _at(no, moment)
    return _computed(test, values)


def _period(node: Function, scope: Scope) -> Value:
    series = _single(evaluate(node.arguments[0], scope))
    if not series.is_metric:
        raise ExpressionError("the argument must be a metric, not the result of an expression")
    return float(series.period)


def _moments(part: Callable[[datetime], float]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        series = _single(evaluate(node.arguments[0], scope))
        return _computed(series, {moment: float(part(datetime.fromtimestamp(moment, UTC))) for moment in scope.grid})

    return function


def _time_series(node: Function, scope: Scope) -> Value:
    scalar = _scalar(evaluate(node.arguments[0], scope))
    period = scope.grid[1] - scope.grid[0] if len(scope.grid) > 1 else 60
    return Series(dict.fromkeys(scope.grid, scalar), period)


def _running_sum(series: Series) -> Series:
    total, sums = 0.0, {}
    for moment, value in sorted(series.values.items()):
        total += value
        sums[moment] = total
    return _computed(series, sums)


def _each(compute: Callable[[Series], Series]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if isinstance(value, Series):
            return compute(value)
        return tuple(compute(series) for series in _several(value, "this function"))

    return function


def _array(compute: Callable[[tuple[Series, ...]], Value]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if not isinstance(value, tuple):
            raise ExpressionError(f"expected an array of time series, found {_kind(value)}")
        return compute(value)

    return function


def _at_end(position: int) -> Callable[[tuple[Series, ...]], Value]:
    def pick(several: tuple[Series, ...]) -> Value:
        if not several:
            raise ExpressionError("the array is empty")
        return several[position]

    return pick


def _count(node: Function, scope: Scope) -> Value:
    value = evaluate(node.arguments[0], scope)
    if isinstance(value, Series):
        return float(len(value.values))
    several = _several(value, "this function")
    moments = sorted({moment for series in several for moment in series.values})
    counts = {moment: float(sum(moment in series.values for series in several)) for moment in moments}
    return Series(counts, several[0].period if several else 60)


def _slice(node: Function, scope: Scope) -> Value:
    several = _several(evaluate(node.arguments[0], scope), "this function")
    bounds = [int(_scalar(evaluate(argument, scope))) for argument in node.arguments[1:]]
    return several[bounds[0] : bounds[1] if len(bounds) == 2 else None]


_SORTERS: dict[str, Callable[[Sequence[float]], float]] = {"AVG": _average, "MIN": min, "MAX": max, "SUM": math.fsum}


def _sort(node: Function, scope: Scope) -> Value:
    several = _several(evaluate(node.arguments[0], scope), "this function")
    by, order = node.arguments[1:3]
    if not isinstance(by, Reference) or by.name not in _SORTERS:
        raise ExpressionError(f"the second argument must be one of {_listed(_SORTERS)}")
    if not isinstance(order, Reference) or order.name not in ("ASC", "DESC"):
        raise ExpressionError("the third argument must be ASC or DESC")
    key = _SORTERS[by.name]
    full = [series for series in several if series.values]
    full.sort(key=lambda series: key(list(series.values.values())), reverse=order.name == "DESC")
    ordered = (*full, *(series for series in several if not series.values))
    return ordered[: int(_scalar(evaluate(node.arguments[3], scope)))] if len(node.arguments) == 4 else ordered


_FUNCTIONS: dict[str, tuple[int, int, Callable[[Function, Scope], Value]]] = {
    "ABS": (1, 1, _mapping(abs)),
    "AVG": (1, 1, _reducing(_average, missing_is_zero=True)),
    "CEIL": (1, 1, _mapping(math.ceil)),
    "DATAPOINT_COUNT": (1, 1, _count),
    "DATE": (1, 1, _moments(lambda moment: moment.day)),
    "DAY": (1, 1, _moments(lambda moment: moment.isoweekday())),
    "DIFF": (1, 1, _stepping(lambda _b, old, _m, new: new - old)),
    "DIFF_TIME": (1, 1, _stepping(lambda before, _o, moment, _n: float(moment - before))),
    "EPOCH": (1, 1, _moments(lambda moment: moment.timestamp())),
    "FILL": (2, 2, _fill),
    "FIRST": (1, 1, _array(_at_end(0))),
    "FLOOR": (1, 1, _mapping(math.floor)),
    "HOUR": (1, 1, _moments(lambda moment: moment.hour)),
    "IF": (2, 3, _if),
    "LAST": (1, 1, _array(_at_end(-1))),
    "LOG": (1, 1, _mapping(math.log)),
    "LOG10": (1, 1, _mapping(math.log10)),
    "MAX": (1, 1, _reducing(max)),
    "METRICS": (0, 1, _metrics),
    "METRIC_COUNT": (1, 1, _array(lambda several: float(len(several)))),
    "MIN": (1, 1, _reducing(min)),
    "MINUTE": (1, 1, _moments(lambda moment: moment.minute)),
    "MONTH": (1, 1, _moments(lambda moment: moment.month)),
    "PERIOD": (1, 1, _period),
    "RATE": (1, 1, _stepping(lambda before, old, moment, new: (new - old) / (moment - before))),
    "REMOVE_EMPTY": (1, 1, _array(lambda several: tuple(series for series in several if series.values))),
    "RUNNING_SUM": (1, 1, _each(_running_sum)),
    "SLICE": (2, 3, _slice),
    "SORT": (3, 4, _sort),
    "STDDEV": (1, 1, _reducing(_deviation)),
    "SUM": (1, 1, _reducing(math.fsum)),
    "TIME_SERIES": (1, 1, _time_series),
    "YEAR": (1, 1, _moments(lambda moment: moment.year)),
}
