"""The named strategies as the steps of a plan, so that one state machine drives all of them."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.core.plan import EVERYTHING, PlanError, Step


def all_at_once(bake_seconds: float) -> tuple[Step, ...]:
    """The challenger takes everything, and is promoted after the bake unless an alarm fires."""
    return (Step(EVERYTHING, bake_seconds),)


def canary(weight: int, bake_seconds: float) -> tuple[Step, ...]:
    """One small share, then everything."""
    return steps([Step(weight, bake_seconds)])


def linear(step_percent: int, bake_seconds: float) -> tuple[Step, ...]:
    """Equal steps up, each of `step_percent` percent, 1 to 50."""
    most = EVERYTHING // 2
    if not 1 <= step_percent <= most:
        raise PlanError("strategy.step_percent", step_percent, f"allowed is 1 to {most} percent")
    return tuple(Step(weight, bake_seconds) for weight in range(step_percent, EVERYTHING, step_percent))


def steps(shares: Sequence[Step]) -> tuple[Step, ...]:
    """Custom steps; none takes everything, because the promotion does that."""
    for share in shares:
        if share.weight >= EVERYTHING:
            raise PlanError("strategy.weight", share.weight, "allowed is 1 to 99 percent")
    return tuple(shares)


def ab(weight: int, seconds: float | None) -> tuple[Step, ...]:
    """A fixed split for at least `seconds`; None ends the test as soon as the judge decides."""
    return steps([Step(weight, seconds or 0)])


def shadow(percent: int, bake_seconds: float, *, then: tuple[Step, ...] = ()) -> tuple[Step, ...]:
    """Copies of the champion's requests first; then the live steps `then`, or the promotion."""
    return (Step(percent, bake_seconds, shadow=True), *then)
