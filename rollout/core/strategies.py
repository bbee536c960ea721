"""The named strategies, as the steps of a plan.

    linear(25, 300)     # 25%, 50%, 75%, each for at least 300 s; then the promotion
    shadow(50, 600, then=canary(10, 300))

Every strategy is a list of steps, so that one state machine drives them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.core.plan import EVERYTHING, PlanError, Step


def all_at_once(bake_seconds: float) -> tuple[Step, ...]:
    """The challenger takes everything, and is promoted after the bake unless an alarm rings."""
    return (Step(EVERYTHING, bake_seconds),)


def canary(weight: int, bake_seconds: float) -> tuple[Step, ...]:
    """One small share, then everything."""
    return steps([Step(weight, bake_seconds)])


def linear(step_percent: int, bake_seconds: float) -> tuple[Step, ...]:
    """Equal steps up.

    Args:
        step_percent: The size of each step, percent, 1 to 50.
        bake_seconds: The least time at each.
    """
    most = EVERYTHING // 2
    if not 1 <= step_percent <= most:
        raise PlanError("strategy.step_percent", step_percent, f"allowed is 1 to {most} percent")
    return tuple(Step(weight, bake_seconds) for weight in range(step_percent, EVERYTHING, step_percent))


def steps(shares: Sequence[Step]) -> tuple[Step, ...]:
    """Custom steps; none of them takes everything, for that is what the promotion does."""
    for share in shares:
        if share.weight >= EVERYTHING:
            raise PlanError("strategy.weight", share.weight, "allowed is 1 to 99 percent")
    return tuple(shares)


def ab(weight: int, seconds: float | None) -> tuple[Step, ...]:
    """A fixed split.

    Args:
        weight: The challenger's share, percent.
        seconds: The least time of the test, however clear its outcome; None ends it as soon as the judge knows.
    """
    return steps([Step(weight, seconds or 0)])


def shadow(percent: int, bake_seconds: float, *, then: tuple[Step, ...] = ()) -> tuple[Step, ...]:
    """Copies of the champion's requests first; `then` live steps, or the promotion at once when there are none."""
    return (Step(percent, bake_seconds, shadow=True), *then)
