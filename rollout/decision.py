"""What a trial does next: a total, pure function of plan, state, observations and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rollout.judge import Finding, Window, compare
from rollout.plan import Plan
from rollout.state import Phase, Reason, RolloutState

Action = Literal["hold", "advance", "promote", "roll_back", "wait_for_person"]


@dataclass(frozen=True)
class Seen:
    """What the signals say of a trial.

    Attributes:
        windows: The closed windows since the trial began; None when the metrics are unreachable.
        problem: Why there are none.
    """

    windows: tuple[Window, ...] | None
    problem: str = ""

    @classmethod
    def unknown(cls, problem: str) -> Seen:
        """Nothing can be said, and why."""
        return cls(None, problem)


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        action: `hold` keeps collecting; `wait_for_person` stops advancing, at the present weight, for good.
        reason: Why, in words and numbers.
        step: The step to be at after this decision.
        champion_weight: The champion's percent after this decision.
        challenger_weight: The challenger's percent; both together are 100.
    """

    action: Action
    reason: Reason
    step: int
    champion_weight: int
    challenger_weight: int


def decide(plan: Plan, state: RolloutState, seen: Seen, now: float) -> Decision:
    """Say what the rollout does next. Total: every input has an answer; unknown is `hold`.

    Args:
        plan: The plan of the trial.
        state: Where it stands.
        seen: What the signals say.
        now: Epoch seconds.

    Returns:
        The decision. A challenger is promoted only after every step's bake, with enough requests in each, on the
        judge's "not worse"; never because time went by or because something is unknown.
    """
    finding = judged(plan, state, seen)
    settled = _settled(plan, state, seen, now, finding)
    if settled is not None:
        return settled
    blocked = _not_ready(plan, state, seen, now)
    if blocked is None and finding is not None and finding.answer == "not worse":
        return _forward(plan, state, finding.reason)
    return _stay(plan, state, blocked or (finding.reason if finding else _unreachable(seen)))


def judged(plan: Plan, state: RolloutState, seen: Seen) -> Finding | None:
    """The judge's answer on a trial so far; None when the metrics are unreachable."""
    if seen.windows is None:
        return None
    return compare(
        seen.windows,
        alpha=plan.alpha,
        margin=plan.error_margin,
        starts=state.step_starts,
        segments=len(plan.steps),
    )


def _settled(plan: Plan, state: RolloutState, seen: Seen, now: float, finding: Finding | None) -> Decision | None:
    """What is decided whether or not the present step is done; None when the step decides."""
    if not state.on_trial:
        return _stay(plan, state, Reason("release", "phase", f"nothing is on trial ({state.phase.value})"))
    if finding is not None and finding.answer == "worse":
        return Decision("roll_back", finding.reason, -1, 100, 0)
    if state.phase is Phase.HELD:
        return _stay(plan, state, Reason("timeout", "max_seconds", "held until a person decides"))
    taken = now - state.started_at
    return _time_out(plan, state, taken, finding, seen) if taken > plan.max_seconds else None


def _forward(plan: Plan, state: RolloutState, reason: Reason) -> Decision:
    if state.step >= len(plan.steps) - 1:
        return Decision("promote", reason, state.step, 0, 100)
    weight = plan.weight(state.step + 1)
    return Decision("advance", reason, state.step + 1, 100 - weight, weight)


def _stay(plan: Plan, state: RolloutState, reason: Reason) -> Decision:
    weight = plan.weight(state.step)
    return Decision("hold", reason, state.step, 100 - weight, weight)


def _unreachable(seen: Seen) -> Reason:
    return Reason("judge", "metrics", f"the metrics are unreachable: {seen.problem or 'no answer'}")


def _not_ready(plan: Plan, state: RolloutState, seen: Seen, now: float) -> Reason | None:
    """What stands in the way of going on, whatever the judge says; None when nothing does."""
    began = state.step_started_at
    if state.phase is not Phase.BAKING or began is None:
        return Reason("endpoint", "weights", "the endpoint has not confirmed the weights yet")
    step = plan.steps[min(state.step, len(plan.steps) - 1)]
    baked = now - began
    if baked < step.bake_seconds:
        numbers = {"baked_seconds": baked, "bake_seconds": step.bake_seconds}
        return Reason("judge", "bake", f"baked {baked:.0f} s of {step.bake_seconds:.0f} s", numbers)
    if seen.windows is None:
        return _unreachable(seen)
    answered = sum(item.challenger.requests for item in seen.windows if item.start >= began)
    if answered < plan.min_requests:
        numbers = {"requests": float(answered), "min_requests": float(plan.min_requests)}
        text = f"too little traffic: the challenger answered {answered} of at least {plan.min_requests} requests"
        return Reason("judge", "requests", f"{text} in this step", numbers)
    return None


def _time_out(plan: Plan, state: RolloutState, taken: float, finding: Finding | None, seen: Seen) -> Decision:
    last = finding.reason.text if finding else _unreachable(seen).text
    text = f"no verdict within {plan.max_seconds:.0f} s: {last}"
    numbers = {"seconds": taken, "max_seconds": plan.max_seconds, **(finding.reason.numbers if finding else {})}
    reason = Reason("timeout", "max_seconds", text, numbers)
    if plan.on_timeout == "hold" and state.phase is Phase.BAKING:
        weight = plan.weight(state.step)
        return Decision("wait_for_person", reason, state.step, 100 - weight, weight)
    return Decision("roll_back", reason, -1, 100, 0)
