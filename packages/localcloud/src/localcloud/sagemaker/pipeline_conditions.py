"""Is a condition of a pipeline one, and does it hold? Pure.

Source: AWS's JSON schema of pipeline definitions, and the conditions of the SageMaker SDK.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.sagemaker.pipeline_functions import FunctionFailed

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_MEMBERS = {
    **{name: {"LeftValue", "RightValue"} for name in _COMPARISONS},
    "In": {"QueryValue", "Values"},
    "Not": {"Condition"},
    "Or": {"Conditions"},
}


def problems(condition: Any) -> Iterator[str]:
    """What makes a condition none, by its form; its values may be functions."""
    kind = condition.get("Type") if isinstance(condition, Mapping) else None
    if kind not in list(_MEMBERS):
        yield f"unknown condition type {kind!r}; there are {', '.join(_MEMBERS)}"
        return
    members = condition.keys() - {"Type"}
    if members != _MEMBERS[kind]:
        yield f"a condition of type {kind} has {', '.join(sorted(_MEMBERS[kind]))}, not {', '.join(sorted(members))}"
    elif kind == "Not":
        yield from problems(condition["Condition"])
    elif kind in {"In", "Or"}:
        items = condition["Values" if kind == "In" else "Conditions"]
        if not isinstance(items, list) or not items:
            yield f"a condition of type {kind} has a list with at least one item, not {items!r}"
        elif kind == "Or":
            for item in items:
                yield from problems(item)


def holds(condition: Mapping[str, Any]) -> bool:
    """Whether a condition holds, whose values are all known.

    Raises:
        FunctionFailed: Two values cannot be compared.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"])
    if kind == "Or":
        return any(holds(one) for one in condition["Conditions"])
    if kind == "In":
        return any(_compared("Equals", condition["QueryValue"], value) for value in condition["Values"])
    return _compared(kind, condition["LeftValue"], condition["RightValue"])


def _compared(kind: str, left: Any, right: Any) -> bool:
    if _sort(left) != _sort(right) or _sort(left) is None or (_sort(left) is bool and kind != "Equals"):
        raise FunctionFailed(f"Condition {kind} cannot compare {left!r} with {right!r}")
    return _COMPARISONS[kind](left, right)


def _sort(value: Any) -> type | None:
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return str if isinstance(value, str) else None
