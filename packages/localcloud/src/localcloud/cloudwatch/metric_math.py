"""What a metric math expression comes to.

    value = evaluate(parse("m1 / m2 * 100"), Scope(grid, {"m1": invocations, "m2": errors}))

As on AWS: in arithmetic and comparisons a value that only one side lacks counts as 0; where a division by zero would
come out, the data point is dropped; `SUM`, `AVG`, `MAX` and `MIN` of one series are a scalar and of several a series.

Source: Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
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
    as_several,
    as_single,
    kind_of,
    mapped,
    operate,
    value_at,
    with_values,
)


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
    entry = _FUNCTIONS.get(node.name)
    if entry is None:
        raise ExpressionError(f"the local CloudWatch has no function {node.name!r}; it has: {_listed(_FUNCTIONS)}")
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


def _epoch(node: Function, scope: Scope) -> Value:
    """When each period begins, also those without a data point, in epoch seconds."""
    series = as_single(evaluate(node.arguments[0], scope))
    return with_values(series, {moment: float(moment) for moment in scope.grid})


def _period(node: Function, scope: Scope) -> Value:
    series = as_single(evaluate(node.arguments[0], scope))
    if not series.is_metric:
        raise ExpressionError("the argument must be a metric, not the result of an expression")
    return float(series.period)


def _each(compute: Callable[[Series], Series]) -> Callable[[Function, Scope], Value]:
    def function(node: Function, scope: Scope) -> Value:
        value = evaluate(node.arguments[0], scope)
        if isinstance(value, Series):
            return compute(value)
        return tuple(compute(series) for series in as_several(value, "this function"))

    return function


_FUNCTIONS: dict[str, tuple[int, int, Callable[[Function, Scope], Value]]] = {
    "ABS": (1, 1, _mapping(abs)),
    "AVG": (1, 1, _reducing(_average, missing_is_zero=True)),
    "CEIL": (1, 1, _mapping(math.ceil)),
    "DIFF": (1, 1, _stepping(lambda _b, old, _m, new: new - old)),
    "EPOCH": (1, 1, _epoch),
    "FILL": (2, 2, _fill),
    "FLOOR": (1, 1, _mapping(math.floor)),
    "IF": (2, 3, _if),
    "LOG": (1, 1, _mapping(math.log)),
    "LOG10": (1, 1, _mapping(math.log10)),
    "MAX": (1, 1, _reducing(max)),
    "METRICS": (0, 1, _metrics),
    "MIN": (1, 1, _reducing(min)),
    "PERIOD": (1, 1, _period),
    "RATE": (1, 1, _stepping(lambda before, old, moment, new: (new - old) / (moment - before))),
    "SUM": (1, 1, _reducing(math.fsum)),
}
