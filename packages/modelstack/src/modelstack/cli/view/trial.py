"""A trial as people see it: its step, its evidence against the bounds, its time, and what it waits for. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelstack.rollout.controller.notice import Lack, doing, lack
from modelstack.rollout.core.decision import REQUESTS, Decision
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.replay import judged_replay, outcome
from modelstack.rollout.core.state import ON_TRIAL, Phase, Pivot, Replayed, RolloutState
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

Answer = Literal["worse", "not worse", "unknown"]
_GOES_ON = {
    "advance": "nothing: it goes to its next step",
    "pause": "nothing: it stops for an approval",
    "promote": "nothing: it is promoted",
    "reduce": "nothing: it goes back to its last proven share",
    "resume": "nothing: its step begins again",
    "roll_back": "nothing: it is rolled back",
    "wait_for_person": "nothing: its time is over, and it is held",
}
_NO_PIVOTS: Mapping[str, Pivot] = {}
_OFTEN_MORE = 1.5  # times as many requests as are needed in the mean: chance often makes do with fewer
_VALUE = {"rate": "rate", "quantile": "slower", "mean": "mean"}


@dataclass(frozen=True)
class Proof:
    """Evidence for one hypothesis as an e-value (1 is neutral, less speaks against it), and the value it needs."""

    have: float
    need: float

    @property
    def share(self) -> float:
        """Progress from no evidence to enough, on a log scale, 0 to 1."""
        if self.have <= 1 or self.need <= 1:
            return 0.0
        return min(math.log(self.have) / math.log(self.need), 1.0)


@dataclass(frozen=True)
class MetricView:
    """The evidence on one metric.

    Attributes:
        kind: `rate`, `quantile` or `mean`.
        prove: Whether every step must show it not worse; otherwise only the promotion waits for it, and for less.
        margin: The tolerated worsening; `worse` and `not_worse` are relative to it.
        better: None when that is not tested.
        champion: The champion's rate, mean, or share of answers slower than the pivot.
        challenger: The challenger's; for a quantile, slower than the pivot by more than the margin.
        pivot: Of a quantile, the champion's when it was fixed, microseconds; None when unknown.
    """

    metric: str
    kind: str
    answer: Answer
    prove: bool
    margin: float
    worse: Proof
    not_worse: Proof
    better: Proof | None
    champion: float
    challenger: float
    champion_count: int
    challenger_count: int
    text: str
    pivot: float | None


@dataclass(frozen=True)
class TrialView:
    """The state of a trial. Champion and challenger are release ids.

    Attributes:
        step: From 1; 0 before the first.
        weight: The percent of requests that the challenger answers in this step, or gets copies of (`shadow`).
        baked: Seconds at this step; None until the endpoint has confirmed the weights.
        requests: Answered by the challenger in this step; None when unknown.
        seconds_left: Until the trial times out; None while its time does not count.
        short: Whether, at the pace of this step, the time left is probably too short for a verdict.
        action: The controller's next, `hold` to wait; empty when the metrics were not read, as is `reason`.
        lacks: Whether requests or labels would bring a decision nearer; None when neither would.
        approval: Whether it waits for a person's approval.
        replayed: The result of replaying captured requests; empty when none is planned.
    """

    rollout_id: str
    challenger: str
    champion: str
    step: int
    steps: int
    weight: int
    shadow: bool
    baked: float | None
    bake_seconds: float
    requests: int | None
    min_requests: int
    seconds_left: float | None
    short: bool
    max_seconds: float
    on_timeout: str
    action: str
    reason: dict[str, Any] | None
    lacks: Lack | None
    waits_for: str
    approval: bool
    replayed: str
    evidence: tuple[MetricView, ...]


def trial(state: RolloutState, decision: Decision | None, now: float) -> TrialView | None:
    """The trial under way at `now` (epoch seconds), or None; without a `decision` the metrics are unknown."""
    plan, champion, challenger = state.plan, state.champion, state.challenger
    if not state.on_trial or plan is None or champion is None or challenger is None:
        return None
    step = plan.steps[min(max(state.step, 0), len(plan.steps) - 1)]
    begun = state.step_started_at
    findings = decision.findings.each if decision and decision.findings else ()
    baked = None if begun is None else max(now - begun, 0.0)
    left = _left(state, plan, now, decision.more_seconds if decision else 0.0)
    return TrialView(
        rollout_id=state.rollout_id,
        challenger=challenger.id,
        champion=champion.id,
        step=state.step + 1,
        steps=len(plan.steps),
        weight=step.weight if state.step >= 0 else 0,
        shadow=plan.shadows(max(state.step, 0)),
        baked=baked,
        bake_seconds=step.bake_seconds,
        requests=decision.requests if decision else None,
        min_requests=plan.min_requests,
        seconds_left=left,
        short=_short(decision, baked, left),
        max_seconds=plan.max_seconds,
        on_timeout=plan.on_timeout,
        action=decision.action if decision else "",
        reason=decision.reason.as_dict() if decision else None,
        lacks=lack(decision),
        waits_for=_waits(state, decision, now),
        approval=state.phase is Phase.PAUSED,
        replayed=_replayed(state, plan),
        evidence=evidence_of((item.reason for item in findings), plan.metrics, state.pivots),
    )


def evidence_of(
    reasons: Iterable[Reason], metrics: Iterable[Metric] = (), pivots: Mapping[str, Pivot] = _NO_PIVOTS
) -> tuple[MetricView, ...]:
    """The reasons of the judge or of a verdict, one a metric, as evidence; those without evidence are left out."""
    known = {metric.name: metric for metric in metrics}
    return tuple(
        _evidence(item, known.get(item.name), pivots.get(item.name))
        for item in reasons
        if "evidence_worse" in item.numbers
    )


def _evidence(reason: Reason, metric: Metric | None, pivot: Pivot | None) -> MetricView:
    numbers = reason.numbers
    kind = str(reason.facts["metric_kind"])

    def proof(name: str) -> Proof:
        return Proof(numbers[f"evidence_{name}"], numbers[f"evidence_needed_{name}"])

    worse, not_worse = proof("worse"), proof("not_worse")
    answer: Answer = (
        "worse" if worse.have >= worse.need else "not worse" if not_worse.have >= not_worse.need else "unknown"
    )
    return MetricView(
        metric=reason.name,
        kind=kind,
        answer=answer,
        prove=metric.prove if metric else True,
        margin=numbers["margin"],
        worse=worse,
        not_worse=not_worse,
        better=proof("better") if "evidence_better" in numbers else None,
        champion=numbers[f"champion_{_VALUE[kind]}"],
        challenger=numbers[f"challenger_{_VALUE[kind]}"],
        champion_count=int(numbers["champion_count"]),
        challenger_count=int(numbers["challenger_count"]),
        text=reason.text,
        pivot=pivot.value if pivot else None,
    )


def _left(state: RolloutState, plan: Plan, now: float, more: float) -> float | None:
    """Seconds left; a wait for an approval does not count, and delayed metrics extend it."""
    if state.phase is Phase.HELD:
        return 0.0
    if state.phase not in ON_TRIAL:
        return None
    paused = state.paused_seconds + (now - state.paused_at if state.paused_at is not None else 0.0)
    return max(plan.max_seconds + more - (now - state.started_at - paused), 0.0)


def _short(decision: Decision | None, baked: float | None, left: float | None) -> bool:
    """Whether a good challenger will probably get too few requests in the time left."""
    if decision is None or not decision.requests or not baked or left is None:
        return False
    reason = decision.reason
    of_requests = reason.name == REQUESTS or reason.facts.get("metric_kind") == "quantile"
    more = reason.numbers.get("lacking", 0.0) if of_requests else 0.0
    return more * baked / decision.requests > _OFTEN_MORE * left


def _waits(state: RolloutState, decision: Decision | None, now: float) -> str:
    if state.phase is Phase.PAUSED:
        return f"step {state.step + 1} is passed; the next needs a person's approval"
    if state.phase is Phase.HELD:
        return (
            "out of time without a verdict: it stays at this weight until a person takes it back, or gives it more time"
        )
    if decision is None:
        return "the metrics were not looked at"
    if decision.reason.kind is Kind.BAKING and state.step_started_at is not None:  # by the clock of the row above it
        bake = decision.reason.numbers["bake_seconds"]
        return f"the step's bake: {min(now - state.step_started_at, bake):.0f} s of {bake:.0f} s"
    return _GOES_ON.get(decision.action, doing(decision.reason.text, decision))


def _replayed(state: RolloutState, plan: Plan) -> str:
    if plan.replay is None:
        return ""
    return (
        outcome(plan.replay, state.replayed).text
        if state.replayed
        else "captured requests come before any live traffic"
    )


@dataclass(frozen=True)
class Bound:
    """One number of a replay and its limit."""

    what: str
    seen: str
    allowed: str
    within: bool


def replay_bounds(plan: Plan | None, seen: Replayed) -> list[Bound]:
    """Each number of a replay with its limit; none where nothing was replayed."""
    gate = plan.replay if plan else None
    if gate is None or not seen.requests:
        return []
    failed = judged_replay(gate, seen)
    rows = [
        ("errors", f"{seen.errors / seen.requests:.1%}", f"{gate.max_errors:.1%}"),
        ("changed decisions", f"{seen.changed / seen.requests:.1%}", f"{gate.max_changed:.1%}"),
    ]
    if seen.latency_ratio is not None:
        rows.append(("latency", f"{seen.latency_ratio:.2f} times", f"{gate.max_latency_ratio:g} times"))
    return [Bound(*row, within=failed is None or failed.name != row[0]) for row in rows]
