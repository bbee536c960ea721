"""Drift of arrays, texts and bytes is measured on their summaries, each a number: feature -> names of its summaries.

A capture of the serving runtime has an object with them in place of the value. SageMaker captures the value itself,
which is summarised here. `modelstack.serving.summaries` does the same for columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

Summaries = Mapping[str, Sequence[str]]
_WRONG = object()
"""Stands for a summary of a value of another type, and counts as such."""


def expanded(row: Mapping[str, Any], summaries: Summaries) -> dict[str, Any]:
    """The row with `feature.summary` in place of each feature that has summaries."""
    found = dict(row)
    for name, names in summaries.items():
        if name in found:
            each = _each(found.pop(name), names)
            found.update((f"{name}.{one}", value) for one, value in each.items())
    return found


def _each(value: object, names: Sequence[str]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        given = cast(Mapping[str, Any], value)
        return {one: given[one] for one in names if one in given}
    if value is None:
        return dict.fromkeys(names)
    if isinstance(value, str):
        return {one: _LENGTHS[one](value) if one in _LENGTHS else _WRONG for one in names}
    try:
        numbers = [float(one) for one in _flat(value)]
        return {one: _NUMBERS[one](numbers) for one in names}
    except (ArithmeticError, KeyError, TypeError, ValueError, RecursionError):
        return dict.fromkeys(names, _WRONG)


def _flat(value: object) -> Iterator[Any]:
    if not isinstance(value, list):
        raise TypeError
    for one in cast(list[Any], value):
        if isinstance(one, list):
            yield from _flat(cast(object, one))
        elif isinstance(one, int | float):
            yield one
        else:
            raise TypeError


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _std(numbers: Sequence[float]) -> float:
    middle = _mean(numbers)
    return math.sqrt(math.fsum((one - middle) ** 2 for one in numbers) / len(numbers))


_NUMBERS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": _mean,
    "std": _std,
    "min": min,
    "max": max,
    "norm": lambda numbers: math.hypot(*numbers),
    "zeros": lambda numbers: numbers.count(0.0) / len(numbers),
}
_LENGTHS: Mapping[str, Callable[[str], int]] = {
    "characters": len,
    "bytes": lambda base64: len(base64) * 3 // 4 - base64[-2:].count("="),
}
