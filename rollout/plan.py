"""A plan: how a challenger earns its traffic, and what it must show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal, cast, get_args

OnTimeout = Literal["roll_back", "hold"]


class PlanError(ValueError):
    """A plan holds a value that is not allowed; the message names field, value and what is allowed."""


def _refuse(field: str, value: object, allowed: str) -> PlanError:
    return PlanError(f"rollout.{field}: got {value!r}, allowed is {allowed}")


def _number(field: str, value: object, low: float, high: float, *, whole: bool = False, unit: str = "") -> None:
    kind = "a whole number" if whole else "a number"
    allowed = f"{kind} from {low:g} to {high:g}{unit}"
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(cast(float, value)) or not low <= cast(float, value) <= high:
        raise _refuse(field, value, allowed)


@dataclass(frozen=True)
class Step:
    """One share of traffic, held for a while.

    Attributes:
        weight: The challenger's share of traffic, in percent, 1 to 99; the promotion goes to 100.
        bake_seconds: The least time at this weight, from when the endpoint confirmed it.
    """

    weight: int
    bake_seconds: float

    def __post_init__(self) -> None:
        _number("steps.weight", self.weight, 1, 99, whole=True, unit=" (percent; the promotion goes to 100)")
        _number("steps.bake_seconds", self.bake_seconds, 0, 86_400)


@dataclass(frozen=True)
class Plan:
    """How a challenger earns its traffic.

    Attributes:
        steps: The shares of traffic, ascending. Every step is left only on the judge's "not worse".
        min_requests: The least number of requests the challenger answers in each step before it may go on.
        alpha: The probability, over the whole rollout, of rolling back a challenger that is not worse.
        error_margin: The difference in error rate, challenger - champion, that is tolerated.
        max_seconds: The longest a trial may take; then `on_timeout` happens. Never a promotion.
        on_timeout: `roll_back`, or `hold` at the present weight until a person decides.
        window_seconds: The width of one observation window; the platform's metric period.
        settle_seconds: How long after its end a window's counts may still grow; younger windows are not looked at.
            None is half a window.
        watch_seconds: How long after a promotion an alarm on the new champion brings the previous one back.
    """

    steps: tuple[Step, ...]
    min_requests: int = 50
    alpha: float = 0.05
    error_margin: float = 0.02
    max_seconds: float = 1800
    on_timeout: OnTimeout = "roll_back"
    window_seconds: int = 60
    settle_seconds: float | None = None
    watch_seconds: float = 3600

    def __post_init__(self) -> None:
        if not self.steps:
            raise _refuse("steps", [], "at least one step, such as {weight: 10, bake_seconds: 300}")
        weights = [step.weight for step in self.steps]
        if any(later <= earlier for earlier, later in pairwise(weights)):
            raise _refuse("steps", weights, "weights that ascend")
        _number("min_requests", self.min_requests, 1, 1_000_000_000, whole=True)
        _number("alpha", self.alpha, 1e-9, 0.5)
        _number("error_margin", self.error_margin, 1e-4, 0.5)
        _number("max_seconds", self.max_seconds, 1, 30 * 86_400)
        if self.on_timeout not in get_args(OnTimeout):
            raise _refuse("on_timeout", self.on_timeout, " or ".join(get_args(OnTimeout)))
        _number("window_seconds", self.window_seconds, 1, 3600, whole=True)
        if self.settle_seconds is not None:
            _number("settle_seconds", self.settle_seconds, 0, 3600)
        _number("watch_seconds", self.watch_seconds, 0, 30 * 86_400)
        baking = sum(step.bake_seconds for step in self.steps)
        if baking >= self.max_seconds:
            sums = " + ".join(f"{step.bake_seconds:g}" for step in self.steps)
            raise _refuse("max_seconds", self.max_seconds, f"more than the steps' baking, {sums} = {baking:g} s")

    def weight(self, step: int) -> int:
        """The challenger's percent at a step; step -1, before the first, is 0."""
        return 0 if step < 0 else self.steps[min(step, len(self.steps) - 1)].weight

    @property
    def settle(self) -> float:
        """How old a window's end must be before it is looked at, seconds."""
        return self.window_seconds / 2 if self.settle_seconds is None else self.settle_seconds

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Plan:
        """Build a plan from JSON values; fields that are left out take their defaults.

        Raises:
            PlanError: A field is unknown or its value is not allowed.
        """
        known = {field.name for field in fields(cls)}
        for name in value:
            if name not in known:
                raise _refuse(name, value[name], f"one of the fields {', '.join(sorted(known))}")
        steps = value.get("steps", ())
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise _refuse("steps", steps, "a list of {weight, bake_seconds}")
        rest = {name: item for name, item in value.items() if name != "steps"}
        return cls(steps=tuple(_step(item) for item in cast(Sequence[object], steps)), **rest)


def _step(value: object) -> Step:
    fields_of_step = dict(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else {}
    if set(fields_of_step) != {"weight", "bake_seconds"}:
        raise _refuse("steps", cast(object, value), "a list of {weight, bake_seconds}")
    return Step(**fields_of_step)
