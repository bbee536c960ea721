"""What a trial does next: a total, pure function of plan, state, observations and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from modelstack.rollout.core.behind import Behind, behind
from modelstack.rollout.core.catalogue import OWN
from modelstack.rollout.core.failing import BothFail, both_fail, unanswered
from modelstack.rollout.core.missing_metrics import (
    RESUMES,
    comparable,
    is_reduction_due,
    is_resumption_due,
    lacking,
    missing_since,
    proven_percent,
    segments,
)
from modelstack.rollout.core.plan import ERRORS, LONGEST, Plan
from modelstack.rollout.core.replay import unchecked
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.warm_up import without_cold
from modelstack.rollout.judge.metrics import Window
from modelstack.rollout.judge.verdict import Findings, judge
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

Action = Literal["hold", "advance", "pause", "promote", "reduce", "resume", "roll_back", "wait_for_person"]
REQUESTS = "errors"  # its observations are the requests; signals always have it


@dataclass(frozen=True)
class TrialObservations:
    """The signals of a trial; `windows` is None when they are unknown, `counted` when it is.

    `unanswered` is whether they are unknown because requests got no answer.
    """

    windows: tuple[Window, ...] | None
    problem: str = ""
    counted: float | None = None
    unanswered: bool = False

    @classmethod
    def unknown(cls, problem: str, *, unanswered: bool = False) -> TrialObservations:
        """Observations of unreachable metrics."""
        return cls(None, problem, unanswered=unanswered)


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        action: `pause` waits for a person's approval of the step; `wait_for_person` stays at the present weight for
            good. `reduce` goes back to the last proven share, as counts are missing; `resume` begins that step again.
        findings: None when the metrics are unreachable or nothing is judged.
        requests: The challenger's requests in this step, without windows in which both versions failed; None if
            unknown.
        missing_since: Since when the step lacks counts; None while they come.
        more_seconds: How much longer the trial may take, because answers are counted late.
    """

    action: Action
    reason: Reason
    findings: Findings | None = None
    requests: int | None = None
    missing_since: float | None = None
    more_seconds: float = 0.0


def decide(plan: Plan, state: RolloutState, seen: TrialObservations, now: float) -> Decision:
    """The next step of a trial. Total: every input has an answer, and unknown is `hold`.

    A challenger is promoted only after every step's bake, with enough requests in each, on the judge's verdict: never
    because time passed, something is unknown, or the champion failed as well. The exception is all-at-once, which has
    no champion to compare with, and is promoted after its bake unless an alarm fired.
    """
    known = _Known.of(plan, state, seen, now)
    action, reason = _answer(plan, state, known, now)
    return Decision(action, reason, known.findings, known.answered, known.missing_since, known.more_seconds(plan))


def judged(plan: Plan, state: RolloutState, seen: TrialObservations) -> Findings | None:
    """The judge's findings on a trial so far; None when the metrics are unreachable.

    Windows in which the champion failed do not count in favour of the challenger, but all windows may show it worse.
    Both sets are judged, so each needs twice the evidence: the mean of two e-values is an e-value, which keeps alpha.
    """
    return (
        None if seen.windows is None else _judged(plan, state, seen.windows, both_fail(seen.windows, plan.max_failed))
    )


@dataclass(frozen=True)
class _Known:
    """What is known of a trial.

    Attributes:
        answered: The challenger's requests in the present step that count; None if unknown.
        missing_since: As in `Decision`.
        complete: Whether counts came without a gap for so long that a reduced step begins again.
        late: None when the counting does not lag, or nothing waits for it.
        lost: Seconds lost to late counting: the lag once for each step so far, as each waits for its own answers.
        lacking: Why the step may not end, if too many windows lack the counts of a version.
    """

    findings: Findings | None
    failing: BothFail | None
    answered: int | None
    problem: str
    missing_since: float | None = None
    complete: bool = False
    late: Behind | None = None
    lost: float = 0.0
    unanswered: Reason | None = None
    lacking: Reason | None = None

    @classmethod
    def of(cls, plan: Plan, state: RolloutState, seen: TrialObservations, now: float) -> _Known:
        missing = missing_since(plan, state, seen.windows, now)
        if seen.windows is None:
            silent = Reason("endpoint", "instances", seen.problem, kind=Kind.UNANSWERED) if seen.unanswered else None
            return cls(None, None, None, seen.problem, missing, unanswered=silent)
        failing, began = both_fail(seen.windows, plan.max_failed), state.step_started_at
        findings = None if plan.at_once else _judged(plan, state, seen.windows, failing)
        counted = failing.others if failing else seen.windows
        answered = None if began is None else sum(_requests(item) for item in counted if item.start >= began)
        tolerated = next((one.margin for one in plan.metrics if one.name == REQUESTS), ERRORS.margin)
        silent = unanswered([item for item in seen.windows if item.start >= (began or 0.0)], tolerated)
        late = None
        if findings is not None and seen.counted is not None and _of_captured_answers(plan, findings):
            late = behind(seen.windows, seen.counted, now)
        lost = late.seconds * len(state.step_starts) if late else 0.0
        complete = state.reduced and missing is None and is_resumption_due(plan, state, seen.windows)
        lacks = lacking(plan, state, seen.windows)
        return cls(findings, failing, answered, seen.problem, missing, complete, late, lost, silent, lacks)

    def reason(self, plan: Plan) -> Reason:
        if self.unanswered is not None:
            return self.unanswered
        if self.findings is None:
            return Reason("judge", "metrics", self.problem, kind=Kind.METRICS_UNREACHABLE)
        known = self.findings.reason
        if self.late is None or not self.late.matters(known, plan.window_seconds):
            return known
        return self.late.reason(known)

    def more_seconds(self, plan: Plan) -> float:
        """The time lost to late counting, at most `max_seconds` again."""
        return min(self.lost, plan.max_seconds)

    def when_over(self, plan: Plan) -> Reason:
        """The reason at a timeout: late counting, if it cost more than the extra time allows."""
        if self.unanswered is not None or self.findings is None:
            return self.reason(plan)
        if self.lacking is not None and self.findings.answer == "not worse":
            return self.lacking
        if self.late is None or self.lost < plan.max_seconds:
            return self.findings.reason
        return self.late.reason(self.findings.reason)


def _of_captured_answers(plan: Plan, findings: Findings) -> bool:
    """Whether a metric uses captured answers, and the trial waits for no other metric."""
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
    served = segments(plan, state)
    found = judge(
        comparable(plan, state, without_cold(plan, windows)),
        metrics=plan.metrics,
        alpha=alpha,
        starts=[start for start, _ in served],
        steps=[step for _, step in served],
        segments=len(plan.steps),
        last=state.step >= len(plan.steps) - 1,
        promote_when=plan.promote_when,
    )
    each = tuple(replace(item, reason=_with_pivot(state, item.reason)) for item in found.each)
    return replace(found, reason=_with_pivot(state, found.reason), each=each)


def _with_pivot(state: RolloutState, reason: Reason) -> Reason:
    """Adds the known pivot to the reason of a latency without data: it then waits only for a window."""
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
    taken, waits = now - state.started_at - state.paused_seconds, state.phase in {Phase.HELD, Phase.PAUSED}
    if not waits and taken > plan.max_seconds + known.more_seconds(plan):
        return _time_out(plan, state, taken, known)
    if is_reduction_due(plan, state, known.missing_since, now):
        return "reduce", _missing(plan, known, now)
    return (_awaiting if waits else _of_the_step)(plan, state, known, now)


def _of_the_step(plan: Plan, state: RolloutState, known: _Known, now: float) -> tuple[Action, Reason]:
    if state.reduced:
        numbers = {"seconds": plan.metrics_timeout_seconds}
        back = Reason("judge", "metrics", numbers=numbers, kind=Kind.METRICS_BACK)
        return ("resume", back) if known.complete else ("hold", _awaits_metrics(plan, state, known))
    findings, blocked = known.findings, _not_ready(plan, state, known, now)
    if blocked is not None:
        return "hold", blocked
    if plan.at_once:
        numbers = {"bake_seconds": plan.steps[-1].bake_seconds}
        return "promote", Reason("release", "baked", numbers=numbers, kind=Kind.BAKED)
    if findings is None or findings.answer != "not worse":
        return "hold", known.reason(plan)
    return _forward(plan, state, findings.reason)


def _missing(plan: Plan, known: _Known, now: float) -> Reason:
    since = known.missing_since
    numbers = {"seconds": now - since if since is not None else 0.0, "allowed": plan.metrics_timeout_seconds}
    cause = known.reason(plan) if known.findings is None else None
    return Reason("judge", "metrics", numbers=numbers, kind=Kind.METRICS_MISSING, beside=cause)


def _awaits_metrics(plan: Plan, state: RolloutState, known: _Known) -> Reason:
    numbers = {
        "percent": float(proven_percent(plan, state)),
        "seconds": plan.metrics_timeout_seconds,
        "times": float(len(state.reductions)),
    }
    facts = {"resumes": len(state.reductions) <= RESUMES}
    return Reason("judge", "metrics", numbers=numbers, kind=Kind.REDUCED, facts=facts, beside=known.reason(plan))


def _forward(plan: Plan, state: RolloutState, reason: Reason) -> tuple[Action, Reason]:
    if plan.steps[min(state.step, len(plan.steps) - 1)].approve:
        if state.approved < state.step:
            return "pause", reason
        reason = Reason("person", "approve", numbers={"step": state.step + 1.0}, kind=Kind.STEP_APPROVED)
    return ("promote" if state.step >= len(plan.steps) - 1 else "advance"), reason


def _awaiting(plan: Plan, state: RolloutState, known: _Known, now: float) -> tuple[Action, Reason]:
    """Waits for a person until the trial is older than its metrics are stored: then it can no longer be judged."""
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
    """Why the step may not end yet, whatever the judge says; None when it may."""
    began = state.step_started_at
    if state.phase is not Phase.BAKING or began is None:
        return _gate_waits(plan, state) or _endpoint_waits(state)
    step = plan.steps[min(state.step, len(plan.steps) - 1)]
    baked = now - began
    if baked < step.bake_seconds:
        numbers = {"baked_seconds": baked, "bake_seconds": step.bake_seconds}
        return Reason("judge", "bake", numbers=numbers, kind=Kind.BAKING)
    if known.unanswered is not None or plan.at_once:
        return known.unanswered
    answered = known.answered
    if answered is None:
        return known.reason(plan)
    if answered < plan.min_requests:
        numbers = {"requests": float(answered), "min_requests": float(plan.min_requests)}
        apart = known.failing.numbers if known.failing else {}
        return Reason("judge", "requests", numbers={**numbers, **apart}, kind=Kind.FEW_REQUESTS)
    return known.lacking


def _endpoint_waits(state: RolloutState) -> Reason:
    gate = state.gate_ahead and state.plan is not None and not state.plan.shadows(max(state.step, 0))
    if state.phase is Phase.PREPARING:
        return Reason("endpoint", "preparing", kind=Kind.STARTING, facts={"replay_ahead": gate})
    if gate:
        return Reason("replay", "preparing", kind=Kind.AWAITS_REPLAY)
    return Reason("endpoint", "weights", kind=Kind.UNCONFIRMED)


def _gate_waits(plan: Plan, state: RolloutState) -> Reason | None:
    return unchecked(plan.replay, state.replayed) if state.gate_ahead else None


def _time_out(plan: Plan, state: RolloutState, taken: float, known: _Known) -> tuple[Action, Reason]:
    last = _standing(plan, state, known)
    numbers = {"seconds": taken, "max_seconds": plan.max_seconds}
    reason = Reason("timeout", "max_seconds", numbers=numbers, kind=Kind.NO_VERDICT, beside=last)
    before_the_gate = state.gate_ahead and not plan.shadows(state.step)  # no live traffic, so no share to hold
    hold = plan.on_timeout == "hold" and state.phase is Phase.BAKING and not before_the_gate
    return ("wait_for_person" if hold else "roll_back"), reason


def _standing(plan: Plan, state: RolloutState, known: _Known) -> Reason:
    few = _gate_waits(plan, state)
    if few is not None:
        return replace(few, kind=Kind.NO_LIVE_TRAFFIC, beside=few)
    if state.phase is Phase.PREPARING:
        replay = plan.replay is not None and state.replayed is None
        return Reason("endpoint", "preparing", kind=Kind.NEVER_REPLAYED if replay else Kind.NEVER_READY)
    if plan.at_once and known.unanswered is None:
        return Reason("release", "baked", kind=Kind.NEVER_CONFIRMED)
    return _awaits_metrics(plan, state, known) if state.reduced else known.when_over(plan)
