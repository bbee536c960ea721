"""The plan of a trial: the steps of traffic, and what the challenger must show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal, TypeVar, cast, get_args

from modelstack.rollout.judge.metrics import Metric, PromoteWhen
from modelstack.rollout.stored import read

OnTimeout = Literal["roll_back", "hold"]
OnTooFew = Literal["wait", "pass"]
GuardKind = Literal["all_at_once", "canary", "linear", "rolling"]

_T = TypeVar("_T")

ERRORS = Metric("errors", "rate", 0.02)
EVERYTHING = 100  # percent
LONGEST = 14 * 86_400  # seconds: metric stores keep minutes for 15 days, and the judge reads all of a trial


class PlanError(ValueError):
    """A plan has a value that is not allowed; `field` is below `rollout`, `rule` says what is allowed and why."""

    def __init__(self, field: str, value: object, allowed: str, *, why: str = "") -> None:
        self.field, self.value = field, value
        self.rule = f"{why}, {allowed}" if why else allowed
        super().__init__(f"rollout.{field}: got {value!r}{'; ' if why else ', '}{self.rule}")


def _refuse(field: str, value: object, allowed: str) -> PlanError:
    return PlanError(field, value, f"allowed is {allowed}")


def _number(field: str, value: object, low: float, high: float, *, whole: bool = False, unit: str = "") -> None:
    kind = "a whole number" if whole else "a number"
    allowed = f"{kind} from {low:g} to {high:g}{unit}"
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(cast(float, value)) or not low <= cast(float, value) <= high:
        raise _refuse(field, value, allowed)


@dataclass(frozen=True)
class Step:
    """One share of traffic, held for at least `bake_seconds` from when the endpoint confirmed it.

    Attributes:
        weight: The challenger's percent of traffic, 1 to 99; 100 only in a plan of this one step. In a shadow step, the
            percent of requests that are copied, 1 to 100.
        approve: Whether a person must approve after this step.
    """

    weight: int
    bake_seconds: float
    shadow: bool = False
    approve: bool = False

    def __post_init__(self) -> None:
        _number("steps.weight", self.weight, 1, 100, whole=True, unit=" percent")
        _number("steps.bake_seconds", self.bake_seconds, 0, LONGEST)


@dataclass(frozen=True)
class ReplayGate:
    """What replayed requests must show of a challenger before it gets live traffic.

    Attributes:
        requests: How many are replayed, the latest first; fewer if fewer are captured.
        max_errors: The largest share of answers that may be errors or of another schema than the champion's.
        max_changed: The largest share of answers whose decision may differ from the champion's.
        max_latency_ratio: The largest ratio of the median latencies, challenger / champion.
        min_requests: With fewer captured, `on_too_few` applies: `wait` for more, or `pass` on those there are.
    """

    requests: int = 100
    max_errors: float = 0.0
    max_changed: float = 0.2
    max_latency_ratio: float = 3.0
    min_requests: int = 20
    on_too_few: OnTooFew = "wait"

    def __post_init__(self) -> None:
        _number("replay.requests", self.requests, 1, 10_000, whole=True)
        _number("replay.max_errors", self.max_errors, 0, 1)
        _number("replay.max_changed", self.max_changed, 0, 1)
        _number("replay.max_latency_ratio", self.max_latency_ratio, 0.1, 1000)
        _number("replay.min_requests", self.min_requests, 1, 10_000, whole=True)
        if self.on_too_few not in get_args(OnTooFew):
            raise _refuse("replay.on_too_few", self.on_too_few, " or ".join(get_args(OnTooFew)))

    @property
    def least(self) -> int:
        """The fewest requests with which the gate is checked."""
        return min(self.min_requests, self.requests)

    def waits(self, requests: int) -> bool:
        """Whether that many replayed requests are too few to continue."""
        return requests < self.least and self.on_too_few == "wait"


@dataclass(frozen=True)
class Guard:
    """How the platform itself moves traffic when only the instances change.

    Attributes:
        percent: The canary's, each step's or each batch's percent of the capacity.
        bake_seconds: The wait after each step, in which the alarms are watched.
        alarms: Names of the alarms that make the platform roll back.
    """

    kind: GuardKind = "all_at_once"
    percent: int = 100
    bake_seconds: int = 60
    alarms: tuple[str, ...] = ()
    max_seconds: int = 1800


@dataclass(frozen=True)
class Plan:
    """How a challenger earns its traffic.

    Attributes:
        steps: At most one shadow step first, then live steps, ascending. A step ends only on the judge's "not worse"
            (or better, by `promote_when`). A single step of 100% has no champion to compare with: only alarms judge it.
        min_requests: The challenger's minimum requests in each step.
        alpha: The probability, over the whole rollout and all metrics, of rolling back a challenger that is not worse.
        promote_when: `not_worse` on every metric with `prove`, or in addition `better` on one of them.
        max_seconds: The time limit of a trial; then `on_timeout` applies. Never a promotion.
        on_timeout: `roll_back`, or `hold` at the present weight until a person decides.
        settle_seconds: How long after its end a window's counts may still grow; younger windows are ignored. None is
            half a window.
        watch_seconds: How long after a promotion an alarm on the new champion brings the previous one back.
        metrics_timeout_seconds: How long the challenger keeps a share that it has not proven while counts are missing.
        warm_up_requests: How many of the challenger's first requests do not count for latencies.
        replay: The gate before any live traffic; None replays nothing.
        guard: None leaves a change of the instances to the platform's default.
        max_failed: The share of requests that may fail (5XX), 0 to 1. Windows in which the champion fails more do not
            count for the challenger, and it takes no step while that lasts. 1 disables the check.
    """

    steps: tuple[Step, ...]
    metrics: tuple[Metric, ...] = (ERRORS,)
    min_requests: int = 50
    alpha: float = 0.05
    promote_when: PromoteWhen = "not_worse"
    max_seconds: float = 1800
    on_timeout: OnTimeout = "roll_back"
    window_seconds: int = 60
    settle_seconds: float | None = None
    watch_seconds: float = 3600
    metrics_timeout_seconds: float = 120
    warm_up_requests: int = 0
    replay: ReplayGate | None = None
    guard: Guard | None = None
    max_failed: float = 1.0

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        _check_metrics(self.metrics)
        _number("min_requests", self.min_requests, 1, 1_000_000_000, whole=True)
        _number("alpha", self.alpha, 1e-9, 0.5)
        if self.promote_when not in get_args(PromoteWhen):
            raise _refuse("promote_when", self.promote_when, " or ".join(get_args(PromoteWhen)))
        _number("max_seconds", self.max_seconds, 1, LONGEST)
        if self.on_timeout not in get_args(OnTimeout):
            raise _refuse("on_timeout", self.on_timeout, " or ".join(get_args(OnTimeout)))
        _number("window_seconds", self.window_seconds, 1, 3600, whole=True)
        if self.settle_seconds is not None:
            _number("settle_seconds", self.settle_seconds, 0, 3600)
        _number("watch_seconds", self.watch_seconds, 0, 30 * 86_400)
        _number("metrics_timeout_seconds", self.metrics_timeout_seconds, 1, LONGEST)
        _number("warm_up_requests", self.warm_up_requests, 0, 1_000_000_000, whole=True)
        _number("max_failed", self.max_failed, 0, 1)
        baking = sum(step.bake_seconds for step in self.steps)
        if baking >= self.max_seconds:
            sums = " + ".join(f"{step.bake_seconds:g}" for step in self.steps)
            raise _refuse("max_seconds", self.max_seconds, f"more than the steps' baking, {sums} = {baking:g} s")

    @property
    def at_once(self) -> bool:
        """Whether the challenger takes everything in one step, with no champion to compare with."""
        return self.steps[-1].weight == EVERYTHING and not self.steps[-1].shadow

    def weight(self, step: int) -> int:
        """The challenger's percent of live answers at a step; 0 in a shadow step, and before the first step (-1)."""
        if step < 0:
            return 0
        at = self.steps[min(step, len(self.steps) - 1)]
        return 0 if at.shadow else at.weight

    def shadows(self, step: int) -> bool:
        """Whether a step only copies traffic to the challenger."""
        return 0 <= step < len(self.steps) and self.steps[step].shadow

    @property
    def settle(self) -> float:
        """How old a window's end must be before it is used, seconds."""
        return self.window_seconds / 2 if self.settle_seconds is None else self.settle_seconds

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Plan:
        """Build a plan from JSON values and defaults. PlanError if a field is unknown or its value not allowed."""
        known = {field.name for field in fields(cls)}
        for name in value:
            if name not in known:
                raise _refuse(name, value[name], f"one of the fields {', '.join(sorted(known))}")
        parts: dict[str, Any] = {name: item for name, item in value.items() if item is not None}
        parts["steps"] = tuple(_parts("steps", value.get("steps", ()), Step))
        if "metrics" in parts:
            parts["metrics"] = tuple(_parts("metrics", parts["metrics"], Metric))
        if "replay" in parts:
            parts["replay"] = _part("replay", parts["replay"], ReplayGate)
        if "guard" in parts:
            parts["guard"] = _part("guard", parts["guard"], Guard)
        return cls(**parts)


def _check_steps(steps: tuple[Step, ...]) -> None:
    if not steps:
        raise _refuse("steps", [], "at least one step, such as {weight: 10, bake_seconds: 300}")
    if any(step.shadow for step in steps[1:]):
        raise _refuse("steps", [asdict(step) for step in steps], "at most one shadow step, and that one first")
    weights = [step.weight for step in steps if not step.shadow]
    if any(later <= earlier for earlier, later in pairwise(weights)):
        raise _refuse("steps", weights, "weights that ascend")
    if EVERYTHING in weights and len(weights) > 1:
        raise _refuse("steps.weight", EVERYTHING, "1 to 99 percent beside other steps; the promotion goes to 100")


def _check_metrics(metrics: tuple[Metric, ...]) -> None:
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        raise _refuse("metrics", names, "each name once")
    if not any(metric.prove for metric in metrics):
        raise _refuse("metrics", names, "at least one with prove: true, or nothing could ever be promoted")


def _parts(field: str, value: object, kind: type[_T]) -> list[_T]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _refuse(field, value, f"a list of {_shape(kind)}")
    return [_part(field, item, kind) for item in cast(Sequence[object], value)]


def _part(field: str, value: object, kind: type[_T]) -> _T:
    if not isinstance(value, Mapping):
        raise _refuse(field, value, _shape(kind))
    try:
        return read(kind, value)
    except TypeError as error:
        raise _refuse(field, cast(object, value), _shape(kind)) from error
    except PlanError:
        raise
    except ValueError as error:
        raise _refuse(field, cast(object, value), f"{_shape(kind)}; {error}") from error


def _shape(kind: type[Any]) -> str:
    return "{" + ", ".join(field.name for field in fields(kind)) + "}"
