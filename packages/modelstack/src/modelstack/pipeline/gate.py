"""The release gate: metrics are within bounds and, if required, the model is better than the champion with confidence.

Unknown is never good enough: a metric that is missing or not a number is refused, as is an impossible comparison.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any, Literal

from modelstack.pipeline.forms import not_allowed, one_of, table

BOUNDS = "min, max, or both, each a number"
"""The allowed form of a metric's gate."""
Gates = Mapping[str, Mapping[str, float]]
USUAL = {
    "accuracy": "share of right answers, 0 to 1",
    "log_loss": "mean negative log-likelihood, nats, of each answer at most 5; lower is better",
    "absolute_error": "mean absolute error, in the label's unit",
    "rows": "number of rows",
}
"""The metrics of a model without its own evaluation, as far as its kind of answer has them."""


@dataclass(frozen=True)
class Miss:
    """A violated bound; `value` is NaN for a metric that evaluation did not give."""

    metric: str
    value: float
    side: Literal["min", "max"]
    bound: float


class GateRefused(Exception):
    """A model violates the gates; `misses` has every violated bound."""

    def __init__(self, misses: list[Miss], known: list[str]) -> None:
        rows = [("metric", "value", "gate")]
        rows += [
            (m.metric, "missing" if m.value != m.value else f"{m.value:.4f}", f"{m.side} {m.bound:g}") for m in misses
        ]
        lines = "\n".join(table(rows))
        unknown = any(m.value != m.value and m.metric not in known for m in misses)
        hint = f"\nevaluation gives {', '.join(known)}" if unknown else ""
        super().__init__(f"the model is below its gates and is not released:\n{lines}{hint}")
        self.misses = misses


class GateError(ValueError):
    """A gate is not `{metric: {min: number, max: number}}`, or the model does not declare its metrics."""


def reported(root: Path) -> list[str]:
    """The metrics that the model in a checkout reports, found without running it.

    They are `METRICS` of `model/evaluation.py` or, without it, those of its answers, of which only a fitted estimator
    or `model/answer.json` tells the actual ones. Raises GateError if the file cannot be read, or has no such literal.
    """
    path = root / "model" / "evaluation.py"
    try:
        statements = ast.parse(path.read_bytes()).body
    except FileNotFoundError:
        return sorted(USUAL)
    except OSError as error:
        raise GateError(f"cannot read {path}: {error.strerror}") from None
    except (SyntaxError, ValueError):
        raise GateError(f"{path} is no Python") from None
    named = [
        statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        and [target.id for target in statement.targets if isinstance(target, ast.Name)] == ["METRICS"]
    ]
    try:
        return sorted(str(name) for name in ast.literal_eval(named[-1])) if named else sorted(USUAL)
    except (TypeError, ValueError):
        raise GateError(
            f"{path} does not say what it reports: expected METRICS = {{name: meaning}}, written out"
        ) from None


def check_gates(gates: Mapping[str, Any]) -> None:
    """Raise GateError for gates that are malformed or that no value can pass, with a line for each."""
    problems: list[str] = []
    for metric, bounds in gates.items():
        name = f"gates.{metric}"
        if not isinstance(bounds, Mapping) or not bounds or bounds.keys() - {"min", "max"}:
            problems.append(not_allowed(name, bounds, BOUNDS))
            continue
        bad = [side for side, bound in bounds.items() if not _is_number(bound)]
        problems += [not_allowed(f"{name}.{side}", bounds[side], "a number") for side in bad]
        if not bad and (why := no_value_passes(bounds.get("min"), bounds.get("max"))):
            problems.append(not_allowed(f"{name}.max", bounds["max"], why))
    if problems:
        raise GateError("\n".join(problems))


def no_value_passes(least: float | None, most: float | None) -> str:
    """What is allowed instead of bounds that no value can satisfy; empty for others."""
    if least is None or most is None or least <= most:
        return ""
    return f"a number from min on, which is {least:g}; or no value passes"


def unknown_metrics(gates: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Gate -> message, for gates on metrics that the model does not report."""
    known = list(known)
    return {
        name: f"the model reports no metric {name!r}; allowed are {one_of(name, known)}"
        for name in gates
        if name not in known
    }


def gate(metrics: Mapping[str, float], gates: Gates) -> None:
    """Compare metrics with inclusive gates; raises GateRefused for violated bounds, GateError for a malformed gate."""
    check_gates(gates)
    misses: list[Miss] = []
    for metric, bounds in sorted(gates.items()):
        value = metrics.get(metric, nan)
        if "max" in bounds and not value <= bounds["max"]:
            misses.append(Miss(metric, value, "max", bounds["max"]))
        if "min" in bounds and not value >= bounds["min"]:
            misses.append(Miss(metric, value, "min", bounds["min"]))
    if misses:
        raise GateRefused(misses, sorted(metrics))


def judged(
    metrics: Mapping[str, float], gates: Gates, compared: Mapping[str, Any], min_gain: float | None
) -> dict[str, Any]:
    """The decision of the step `gate`: `passed`, and if not `outcome`, `why` and `misses`.

    Without `min_gain` the champion is not considered.
    """
    try:
        gate(metrics, gates)
    except GateRefused as error:
        misses = [{**vars(one), "value": None if isnan(one.value) else one.value} for one in error.misses]
        return {"passed": False, "outcome": "refused", "why": str(error), "misses": misses}
    if min_gain is None:
        return _PASSED
    if compared["comparison"] is None:
        return {"passed": False, "outcome": "refused", "why": compared["why"], "misses": []}
    from modelstack.pipeline.comparison import Comparison  # noqa: PLC0415  loads NumPy, which most gates do not need

    found = Comparison.from_dict(compared["comparison"])
    why = found.in_words(min_gain)
    return {**_PASSED, "why": why} if found.better(min_gain) else {**_NOT_BETTER, "why": why}


_PASSED = {"passed": True, "outcome": "passed", "why": "", "misses": []}
_NOT_BETTER = {"passed": False, "outcome": "not_better", "misses": []}


def refusal(verdict: Mapping[str, Any], metrics: Mapping[str, float]) -> GateRefused | None:
    """The refusal in a verdict; None if no bound is violated."""
    misses = [
        Miss(one["metric"], nan if one["value"] is None else one["value"], one["side"], one["bound"])
        for one in verdict["misses"]
    ]
    return GateRefused(misses, sorted(metrics)) if misses else None


def _is_number(bound: object) -> bool:
    return isinstance(bound, int | float) and not isinstance(bound, bool) and isfinite(bound)
