"""SageMaker's deployment guardrails, for a change of the instances alone, on every platform.

Source: Amazon SageMaker Developer Guide, "Deployment guardrails", and the limits of `BlueGreenUpdatePolicy` and
`RollingUpdatePolicy` in its API reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from modelstack.rollout.core.plan import EVERYTHING, Guard, GuardKind, PlanError

# SageMaker's limits of a deployment: percent of capacity, seconds.
CANARY_MOST = 50
LINEAR_LEAST, LINEAR_MOST = 10, 50
ROLLING_LEAST, ROLLING_MOST = 5, 50
WAIT_MOST = 3600
TOTAL_MOST = 28_800
START_UP = 1800  # that the waits leave for the instances to start, which takes SageMaker up to half an hour
ALARMS_MOST = 10
FEWEST_TO_ROLL = 2  # instances: one is the least batch, and a batch is at most half of them


def guardrail(
    kind: str, percent: int, bake_seconds: int, alarms: Sequence[str] = (), instances: int = FEWEST_TO_ROLL
) -> Guard:
    """A deployment that SageMaker accepts, for a change of the instances alone.

    Args:
        kind: `all_at_once`, `canary`, `linear` or `rolling`.
        percent: The size of the canary, of each linear step or of each batch, percent of the capacity.
        bake_seconds: The wait after each step.
        alarms: The alarms that make SageMaker roll back.
        instances: The variant's instances, which set the number of batches of a rolling deployment.

    Raises:
        PlanError: SageMaker would refuse it; the message holds the arithmetic.
    """
    known = get_args(GuardKind)
    if kind not in known:
        raise _refused("kind", kind, f"allowed is one of {', '.join(known)}")
    chosen: GuardKind = next(item for item in known if item == kind)
    low, high = {
        "all_at_once": (1, EVERYTHING),
        "canary": (1, CANARY_MOST),
        "linear": (LINEAR_LEAST, LINEAR_MOST),
        "rolling": (ROLLING_LEAST, ROLLING_MOST),
    }[kind]
    if not low <= percent <= high:
        raise _refused("percent", percent, f"allowed for {kind} is {low} to {high} percent")
    if not 0 <= bake_seconds <= WAIT_MOST:
        raise _refused("bake_seconds", bake_seconds, f"allowed is 0 to {WAIT_MOST} s for each step")
    if len(alarms) > ALARMS_MOST:
        raise _refused("alarms", len(alarms), f"allowed is at most {ALARMS_MOST}")
    if kind == "rolling" and instances < FEWEST_TO_ROLL:
        why = f"a batch is one instance at least, which is {EVERYTHING / instances:.0f}% of {instances}"
        allowed = f"allowed is at most {ROLLING_MOST}%: {FEWEST_TO_ROLL} instances, or another kind"
        raise _refused("kind", kind, allowed, why)
    waits = len(steps_of(Guard(chosen, percent), instances))
    total = waits * bake_seconds
    if total + START_UP > TOTAL_MOST:
        of = f" of {instances} instances, {_batch(percent, instances)} at a time," if kind == "rolling" else ""
        why = f"{kind} by {percent}%{of} has {waits} waits, and {waits} x {bake_seconds} s = {total} s"
        less = f"({TOTAL_MOST} s less {START_UP} s for the instances to come up)"
        allowed = f"allowed is at most {TOTAL_MOST - START_UP} s in all {less}"
        raise _refused("bake_seconds", bake_seconds, allowed, why)
    # The same time again for the instances to start, up to SageMaker's limit.
    return Guard(chosen, percent, bake_seconds, tuple(alarms), min(total + max(total, START_UP), TOTAL_MOST))


def steps_of(guard: Guard, instances: int) -> tuple[int, ...]:
    """The percent of the traffic on the new instances, step by step; the last is 100. A wait follows each step."""
    if guard.kind == "all_at_once":
        return (EVERYTHING,)
    if guard.kind == "canary":
        return (guard.percent, EVERYTHING)
    if guard.kind == "linear":
        return (*range(guard.percent, EVERYTHING, guard.percent), EVERYTHING)
    batch = _batch(guard.percent, instances)
    return (*(round(EVERYTHING * done / instances) for done in range(batch, instances, batch)), EVERYTHING)


def _batch(percent: int, instances: int) -> int:
    return max(1, instances * percent // EVERYTHING)


def _refused(field: str, value: object, allowed: str, why: str = "") -> PlanError:
    return PlanError(f"infrastructure.{field}", value, allowed, why=why)
