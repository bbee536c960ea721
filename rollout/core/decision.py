"""What a trial does next: a total, pure function of plan, state, observations and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rollout.core.behind import Behind, behind
from rollout.core.catalogue import OWN
from rollout.core.failing import BothFail, both_fail
from rollout.core.plan import LONGEST, Plan
from rollout.core.replay import unchecked
from rollout.core.state import Phase, RolloutState
from rollout.judge.metrics import Window
from rollout.judge.verdict import Findings, judge
from rollout.kinds import Kind
from rollout.reason import Reason

Action = Literal["hold", "advance", "pause", "promote", "roll_back", "wait_for_person"]
REQUESTS = "errors"  # the metric whose observations are requests; signals give it whether or not it is judged


@dataclass(frozen=True)
class TrialObservations:
    """What the signals say of a trial.

    Attributes:
        windows: The closed windows since the trial began; None when the metrics are unreachable.
        problem: Why there are none.
        counted: How many of the challenger's answers since the trial began were counted, for metrics that are made of
            captured answers; None when there are no such metrics, or it is not known.
    """

    windows: tuple[Window, ...] | None
    problem: str = ""
    counted: float | None = None

    @classmethod
    def unknown(cls, problem: str) -> TrialObservations:
        """Nothing can be said, and why."""
        return cls(None, problem)


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        action: `hold` keeps collecting; `pause` waits for an approval of the step; `wait_for_person` stops advancing,
            at the present weight, for good.
        reason: Why.
        findings: What the judge found, metric by metric; None when the metrics are unreachable or nothing is judged.
        requests: How many requests the challenger answered in this step, without those of windows in which both
            versions failed; None when it has not begun, or is not known.
        more_seconds: How much longer the trial may take, since answers are counted late.
    """

    action: Action
    reason: Reason
    findings: Findings | None = None
    requests: int | None = None
    more_seconds: float = 0.0


def decide(plan: Plan, state: RolloutState, seen: TrialObservations, now: float) -> Decision:
    """Say what the rollout does next. Total: every input has an answer; unknown is `hold`.

    Args:
        plan: The plan of the trial.
        state: Where it stands.
        seen: What the signals say.
        now: Epoch seconds.

    Returns:
        The decision. A challenger is promoted only after every step's bake, with enough requests in each, on the
        judge's verdict; never because time went by, because something is unknown, or because it failed no more often
        than a champion that failed as well. All-at-once is the exception that a person chose: it has no champion to
        compare with, and is promoted after its bake unless an alarm rang.
    """
    known = _Known.of(plan, state, seen, now)
    action, reason = _answer(plan, state, known, now)
    return Decision(action, reason, known.findings, known.answered, known.more_seconds(plan))


def judged(plan: Plan, state: RolloutState, seen: TrialObservations) -> Findings | None:
    """The judge's findings on a trial so far; None when the metrics are unreachable.

    Windows in which the champion failed say nothing for the challenger: what is known without them counts, and nothing
    moves on while that lasts. It may yet be shown worse by all windows. As both are looked at, each needs twice the
    evidence: the mean of two e-values is an e-value, and that is what the promise of alpha is about.
    """
    return (
        None if seen.windows is None else _judged(plan, state, seen.windows, both_fail(seen.windows, plan.max_failed))
    )


@dataclass(frozen=True)
class _Known:
    """What is known of a trial.

    Attributes:
        findings: The judge's; None when the metrics are unreachable or nothing is judged.
        failing: The windows in which the champion failed; None when there are none.
        answered: The requests that the challenger answered in the present step and that count, as far as it is known.
        problem: Why the metrics are unreachable.
        late: How far the counting of answers is behind; None when it is not, or when nothing waits for it.
        lost: How many seconds that has cost the trial: as many in each step so far, as each waits for its own answers.
    """

    findings: Findings | None
    failing: BothFail | None
    answered: int | None
    problem: str
    late: Behind | None = None
    lost: float = 0.0

    @classmethod
    def of(cls, plan: Plan, state: RolloutState, seen: TrialObservations, now: float) -> _Known:
        """Take it from what the signals say."""
        if seen.windows is None:
            return cls(None, None, None, seen.problem)
        failing, began = both_fail(seen.windows, plan.max_failed), state.step_started_at
        findings = None if plan.at_once else _judged(plan, state, seen.windows, failing)
        counted = failing.others if failing else seen.windows
        answered = None if began is None else sum(_requests(item) for item in counted if item.start >= began)
        late = None
        if findings is not None and seen.counted is not None and _of_captured_answers(plan, findings):
            late = behind(seen.windows, seen.counted, now)
        lost = late.seconds * len(state.step_starts) if late else 0.0
        return cls(findings, failing, answered, seen.problem, late, lost)

    def reason(self, plan: Plan) -> Reason:
        """What is known, or why nothing is; and that the counting is behind, where that is why."""
        if self.findings is None:
            return Reason("judge", "metrics", self.problem, kind=Kind.METRICS_UNREACHABLE)
        known = self.findings.reason
        if self.late is None or not self.late.matters(known, plan.window_seconds):
            return known
        return self.late.reason(known)

    def more_seconds(self, plan: Plan) -> float:
        """How much longer the trial may take: what late counting has cost it, and at most as long again."""
        return min(self.lost, plan.max_seconds)

    def when_over(self, plan: Plan) -> Reason:
        """What is known when the time is over; and that the counting never was as far as the plan allows for."""
        if self.findings is None or self.late is None or self.lost < plan.max_seconds:
            return self.findings.reason if self.findings else self.reason(plan)
        return self.late.reason(self.findings.reason)


def _of_captured_answers(plan: Plan, findings: Findings) -> bool:
    """Whether a trial has waited for metrics that are made of captured answers, and now waits for nothing else."""
    counted = {metric.name for metric in plan.metrics if metric.namespace == OWN}
    return bool(counted) and (findings.answer != "unknown" or findings.reason.name in counted)


def _judged(plan: Plan, state: RolloutState, windows: tuple[Window, ...], failing: BothFail | None) -> Findings:
    if failing is None:
        return _judge(plan, state, windows, plan.alpha)
    whole, counted = (_judge(plan, state, some, plan.alpha / 2) for some in (windows, failing.others))
    if whole.answer == "worse":
        return whole
    reason = replace(counted.reason, numbers={**counted.reason.numbers, **failing.numbers})
    if counted.answer == "not worse" and failing.lasts:
        return replace(counted, answer="unknown", reason=replace(reason, kind=Kind.BOTH_FAIL))
    return replace(counted, reason=reason)


def _judge(plan: Plan, state: RolloutState, windows: tuple[Window, ...], alpha: float) -> Findings:
    found = judge(
        windows,
        metrics=plan.metrics,
        alpha=alpha,
        starts=state.step_starts,
        segments=len(plan.steps),
        last=state.step >= len(plan.steps) - 1,
        promote_when=plan.promote_when,
    )
    each = tuple(replace(item, reason=_with_pivot(state, item.reason)) for item in found.each)
    return replace(found, reason=_with_pivot(state, found.reason), each=each)


def _with_pivot(state: RolloutState, reason: Reason) -> Reason:
    """The reason of a latency without data, with its pivot once that is known: only a window is waited for then."""
    pivot = state.pivots.get(reason.name)
    if pivot is None or reason.kind is not Kind.NO_DATA:
        return reason
    return replace(reason, numbers={**reason.numbers, "pivot": pivot.value})


def _answer(plan: Plan, state: RolloutState, known: _Known, now: float) -> tuple[Action, Reason]:
    findings = known.findings
    if not state.on_trial:
        return "hold", Reason("release", "phase", kind=Kind.NOT_ON_TRIAL, facts={"phase": state.phase.value})
    if findings is not None and findings.answer == "worse":
        return "roll_back", findings.reason
    if state.phase in {Phase.HELD, Phase.PAUSED}:
        return _awaiting(plan, state, known, now)
    taken = now - state.started_at - state.paused_seconds
    if taken > plan.max_seconds + known.more_seconds(plan):
        return _time_out(plan, state, taken, known)
    return _of_the_step(plan, state, known, now)


def _of_the_step(plan: Plan, state: RolloutState, known: _Known, now: float) -> tuple[Action, Reason]:
    findings, blocked = known.findings, _not_ready(plan, state, known, now)
    if blocked is not None:
        return "hold", blocked
    if plan.at_once:
        numbers = {"bake_seconds": plan.steps[-1].bake_seconds}
        return "promote", Reason("release", "baked", numbers=numbers, kind=Kind.BAKED)
    if findings is None or findings.answer != "not worse":
        return "hold", known.reason(plan)
    return _forward(plan, state, findings.reason)


def _forward(plan: Plan, state: RolloutState, reason: Reason) -> tuple[Action, Reason]:
    if plan.steps[min(state.step, len(plan.steps) - 1)].approve:
        if state.approved < state.step:
            return "pause", reason
        reason = Reason("person", "approve", numbers={"step": state.step + 1.0}, kind=Kind.STEP_APPROVED)
    return ("promote" if state.step >= len(plan.steps) - 1 else "advance"), reason


def _awaiting(plan: Plan, state: RolloutState, known: _Known, now: float) -> tuple[Action, Reason]:
    """A person is waited for, until the trial is older than its metrics are kept: then it can be judged no more."""
    lasted = now - state.started_at
    if lasted > LONGEST:
        numbers = {"seconds": lasted, "max_seconds": float(LONGEST)}
        last = _standing(plan, state, known)
        return "roll_back", Reason("timeout", "max_seconds", numbers=numbers, kind=Kind.NO_VERDICT, beside=last)
    if state.phase is Phase.HELD:
        return "hold", Reason("timeout", "max_seconds", kind=Kind.AWAITS_PERSON)
    return "hold", Reason("person", "approve", numbers={"step": state.step + 1.0}, kind=Kind.AWAITS_APPROVAL)


def _requests(window: Window) -> int:
    tally = window.challenger.get(REQUESTS)
    return tally.count if tally else 0


def _not_ready(plan: Plan, state: RolloutState, known: _Known, now: float) -> Reason | None:
    """What stands in the way of going on, whatever the judge says; None when nothing does."""
    began = state.step_started_at
    if state.phase is not Phase.BAKING or began is None:
        return _gate_waits(plan, state) or _endpoint_waits(state)
    step = plan.steps[min(state.step, len(plan.steps) - 1)]
    baked = now - began
    if baked < step.bake_seconds:
        numbers = {"baked_seconds": baked, "bake_seconds": step.bake_seconds}
        return Reason("judge", "bake", numbers=numbers, kind=Kind.BAKING)
    if plan.at_once:
        return None
    answered = known.answered
    if answered is None:
        return known.reason(plan)
    if answered < plan.min_requests:
        numbers = {"requests": float(answered), "min_requests": float(plan.min_requests)}
        apart = known.failing.numbers if known.failing else {}
        return Reason("judge", "requests", numbers={**numbers, **apart}, kind=Kind.FEW_REQUESTS)
    return None


def _endpoint_waits(state: RolloutState) -> Reason:
    """What a trial waits for before its step begins: instances, the replay gate, or the weights."""
    gate = state.gate_ahead and state.plan is not None and not state.plan.shadows(max(state.step, 0))
    if state.phase is Phase.PREPARING:
        return Reason("endpoint", "preparing", kind=Kind.STARTING, facts={"replay_ahead": gate})
    if gate:
        return Reason("replay", "preparing", kind=Kind.AWAITS_REPLAY)
    return Reason("endpoint", "weights", kind=Kind.UNCONFIRMED)


def _gate_waits(plan: Plan, state: RolloutState) -> Reason | None:
    """That the replay gate waits for captured requests; None when it does not."""
    return unchecked(plan.replay, state.replayed) if state.gate_ahead else None


def _time_out(plan: Plan, state: RolloutState, taken: float, known: _Known) -> tuple[Action, Reason]:
    last = _standing(plan, state, known)
    numbers = {"seconds": taken, "max_seconds": plan.max_seconds}
    reason = Reason("timeout", "max_seconds", numbers=numbers, kind=Kind.NO_VERDICT, beside=last)
    before_the_gate = state.gate_ahead and not plan.shadows(state.step)  # no live traffic, so no share to hold
    hold = plan.on_timeout == "hold" and state.phase is Phase.BAKING and not before_the_gate
    return ("wait_for_person" if hold else "roll_back"), reason


def _standing(plan: Plan, state: RolloutState, known: _Known) -> Reason:
    """What is known when the time is over."""
    few = _gate_waits(plan, state)
    if few is not None:
        return replace(few, kind=Kind.NO_LIVE_TRAFFIC, beside=few)
    if state.phase is Phase.PREPARING:
        replay = plan.replay is not None and state.replayed is None
        return Reason("endpoint", "preparing", kind=Kind.NEVER_REPLAYED if replay else Kind.NEVER_READY)
    if plan.at_once:
        return Reason("release", "baked", kind=Kind.NEVER_CONFIRMED)
    return known.when_over(plan)
