"""What a metric math expression comes to.

    value = evaluate(parse("m1 / m2 * 100"), Scope(grid, {"m1": invocations, "m2": errors}))

As on AWS: in arithmetic and comparisons a value that only one side lacks counts as 0; where a division by zero would
come out, the data point is dropped; `SUM`, `AVG`, `MAX`, `MIN` and `STDDEV` of one series are a scalar and of several
a series.

Source: Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

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
from localcloud.cloudwatch.timeseries import (
    HIDDEN,
    Scope,
    Series,
    Value,
    as_scalar,
    as_several,
    as_single,
    kind_of,
    mapped,
    operate,
    value_at,
    with_values,
)

_REFUSED = ("ANOMALY_DETECTION_BAND", "DB_PERF_INSIGHTS", "INSIGHT_RULE_METRIC", "LAMBDA", "SERVICE_QUOTA")


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
        return tuple(series for item in node.items for series in as_several(evaluate(item, scope), "an array"))
    if isinstance(node, Negation):
        return mapped(evaluate(node.operand, scope), operator.neg)
    if isinstance(node, Operation):
        return operate(node.sign, evaluate(node.left, scope), evaluate(node.right, scope))
    return _call(node, scope)


def _call(node: Function, scope: Scope) -> Value:
    if node.name == "SEARCH":  # in GetMetricData the metrics that it finds stand in its place
        raise ExpressionError("SEARCH is for reading metrics; an alarm cannot use it")
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


def _mapping(compute: Callable[[float], float]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        as_several(value, "this function")
        return mapped(value, compute)

    return function


def _reducing(
    reduce: Callable[[Sequence[float]], float], *, missing_is_zero: bool = False
) -> Callable[[Function, Scope], Value]:
    """A scalar of one series; a series, moment by moment, of several."""

    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if isinstance(value, Series):
            return float(reduce(list(value.values.values()))) if value.values else 0.0
        several = as_several(value, "this function")
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
        return with_values(
            series,
            {
                moment: step(before, value_before, moment, value)
                for (before, value_before), (moment, value) in pairwise(points)
            },
        )

    return _each(one)


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
        if isinstance(series, Series) and series.is_metric and part in name and HIDDEN not in name
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
            return {moment: value_at(other, moment) for moment in missing}

    def one(series: Series) -> Series:
        return with_values(series, dict(sorted({**fill(series, scope.grid), **series.values}.items())))

    if isinstance(value, Series):
        return one(value)
    return tuple(one(series) for series in as_several(value, "this function"))


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
        for (start, low), (end, high) in pairwise(points)
        for moment in grid
        if start < moment < end
    }


def _if(node: Function, scope: Scope) -> Value:
    condition, yes = (evaluate(argument, scope) for argument in node.arguments[:2])
    no = evaluate(node.arguments[2], scope) if len(node.arguments) == 3 else None
    if isinstance(condition, int | float):
        chosen = yes if condition else no
        return Series({}, 60) if chosen is None else chosen
    test = as_single(condition)
    for branch in (yes, no):
        if isinstance(branch, tuple):
            raise ExpressionError(f"a branch must be a scalar or one time series, not {kind_of(branch)}")
    values: dict[int, float] = {}
    for moment, outcome in test.values.items():
        if outcome:
            values[moment] = value_at(yes, moment)
        elif isinstance(no, int | float) or (isinstance(no, Series) and moment in no.values):
            values[moment] = value_at(no, moment)
    return with_values(test, values)


def _period(node: Function, scope: Scope) -> Value:
    series = as_single(evaluate(node.arguments[0], scope))
    if not series.is_metric:
        raise ExpressionError("the argument must be a metric, not the result of an expression")
    return float(series.period)


def _moments(part: Callable[[datetime], float]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        series = as_single(evaluate(node.arguments[0], scope))
        return with_values(series, {moment: float(part(datetime.fromtimestamp(moment, UTC))) for moment in scope.grid})

    return function


def _time_series(node: Function, scope: Scope) -> Value:
    scalar = as_scalar(evaluate(node.arguments[0], scope))
    period = scope.grid[1] - scope.grid[0] if len(scope.grid) > 1 else 60
    return Series(dict.fromkeys(scope.grid, scalar), period)


def _running_sum(series: Series) -> Series:
    total, sums = 0.0, {}
    for moment, value in sorted(series.values.items()):
        total += value
        sums[moment] = total
    return with_values(series, sums)


def _each(compute: Callable[[Series], Series]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if isinstance(value, Series):
            return compute(value)
        return tuple(compute(series) for series in as_several(value, "this function"))

    return function


def _array(compute: Callable[[tuple[Series, ...]], Value]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if not isinstance(value, tuple):
            raise ExpressionError(f"expected an array of time series, found {kind_of(value)}")
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
    several = as_several(value, "this function")
    moments = sorted({moment for series in several for moment in series.values})
    counts = {moment: float(sum(moment in series.values for series in several)) for moment in moments}
    return Series(counts, several[0].period if several else 60)


def _slice(node: Function, scope: Scope) -> Value:
    several = as_several(evaluate(node.arguments[0], scope), "this function")
    bounds = [int(as_scalar(evaluate(argument, scope))) for argument in node.arguments[1:]]
    return several[bounds[0] : bounds[1] if len(bounds) == 2 else None]


_SORTERS: dict[str, Callable[[Sequence[float]], float]] = {"AVG": _average, "MIN": min, "MAX": max, "SUM": math.fsum}


def _sort(node: Function, scope: Scope) -> Value:
    several = as_several(evaluate(node.arguments[0], scope), "this function")
    by, order = node.arguments[1:3]
    if not isinstance(by, Reference) or by.name not in _SORTERS:
        raise ExpressionError(f"the second argument must be one of {_listed(_SORTERS)}")
    if not isinstance(order, Reference) or order.name not in ("ASC", "DESC"):
        raise ExpressionError("the third argument must be ASC or DESC")
    key = _SORTERS[by.name]
    full = [series for series in several if series.values]
    full.sort(key=lambda series: key(list(series.values.values())), reverse=order.name == "DESC")
    ordered = (*full, *(series for series in several if not series.values))
    return ordered[: int(as_scalar(evaluate(node.arguments[3], scope)))] if len(node.arguments) == 4 else ordered


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
