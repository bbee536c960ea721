"""Reads the signals of a trial and decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from modelstack.rollout.controller.ports import Clock, SignalQuery, Signals
from modelstack.rollout.core import transitions
from modelstack.rollout.core.decision import Decision, TrialObservations, decide, judged
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Pivot, RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_HISTORY = 3 * 3600.0  # seconds of requests from which the first pivot of a trial is taken
_RENEWED = 300.0  # no pivot is renewed before a step has lasted twice as many seconds


@dataclass(frozen=True)
class Looker:
    """Reads the signals of a trial and decides; it changes nothing.

    `instances` describes what happened to a release's instances since a time; None where that is unknown.
    """

    signals: Signals
    clock: Clock
    instances: Callable[[Release, float], str] | None = None

    def look(self, state: RolloutState, withheld: Reason | None = None) -> tuple[Decision | None, RolloutState]:
        """The decision on a trial, None when pivots are fixed first, and the state after it.

        With `withheld` the challenger gets no more traffic, for this reason.
        """
        pivots = self._new_pivots(state)
        if pivots:
            return None, transitions.pivoted(state, pivots, self.clock.time())
        decision = self.decide(state, withheld)
        return decision, transitions.apply(state, decision, self.clock.time()) if decision else state

    def decide(self, state: RolloutState, withheld: Reason | None = None) -> Decision | None:
        """The decision on a trial; None when nothing is on trial."""
        if state.plan is None or state.champion is None or state.challenger is None or not state.on_trial:
            return None
        now = self.clock.time()
        decision = decide(state.plan, state, self._seen(state, now), now)
        if self.instances is not None and decision.action in {"roll_back", "reduce", "wait_for_person"}:
            since = min(state.step_starts, default=state.started_at)
            reason = _with_instances(decision.reason, partial(self.instances, state.challenger, since))
            return replace(decision, reason=reason)
        # Withheld weights are not confirmed either, and the reason for withholding is more specific.
        held = decision.action in {"advance", "promote", "resume"} or decision.reason.kind == Kind.UNCONFIRMED
        return replace(decision, action="hold", reason=withheld) if held and withheld is not None else decision

    def evidence(self, state: RolloutState, at: float) -> tuple[Reason, ...]:
        """The finding on each metric of a trial at a time; empty if the metrics are unreachable."""
        if state.plan is None or state.plan.at_once or not state.step_starts:
            return ()
        findings = judged(state.plan, state, self._seen(state, at))
        return tuple(finding.reason for finding in findings.each) if findings else ()

    def _seen(self, state: RolloutState, now: float) -> TrialObservations:
        if state.plan is None or state.champion is None or state.challenger is None or not state.step_starts:
            return TrialObservations(())
        return self.signals.read(trial_query(state, state.plan, state.champion.variant, state.challenger.variant, now))

    def _new_pivots(self, state: RolloutState) -> dict[str, Pivot]:
        """The champion's quantiles that are due and have enough requests by now."""
        plan, champion, now = state.plan, state.champion, self.clock.time()
        found: dict[str, Pivot] = {}
        if plan is None or champion is None or not state.step_starts:
            return found
        began = state.step_started_at or state.step_starts[-1]
        for metric in plan.metrics:
            start = None if metric.quantile is None else _due(state.pivots.get(metric.name), began, now)
            if metric.quantile is None or start is None:
                continue
            seen = self.signals.quantile(champion.variant, metric.quantile, start, now - plan.settle)
            if seen is not None and seen.requests >= metric.requests_to_cut:
                found[metric.name] = Pivot(seen.value, now)
        return found


def _with_instances(reason: Reason, happened: Callable[[], str]) -> Reason:
    """The reason; if requests got no answer, with what happened to the instances meanwhile."""
    if reason.kind == Kind.UNANSWERED:
        return replace(reason, facts={**reason.facts, "instances": happened()})
    return reason if reason.beside is None else replace(reason, beside=_with_instances(reason.beside, happened))


def _due(pivot: Pivot | None, step_start: float, now: float) -> float | None:
    """The begin of the time from which a new pivot is taken; None while the last one applies.

    Each step has its own, because latency depends on the load. Within a step it is taken again when the step lasts
    twice as long. The latencies decide neither, and all windows stay compared at the pivot of their time.
    """
    if pivot is None:
        return now - _HISTORY
    if pivot.since < step_start:
        return step_start
    return pivot.since if now - step_start >= 2 * max(pivot.since - step_start, _RENEWED) else None


def trial_query(state: RolloutState, plan: Plan, champion: str, challenger: str, until: float) -> SignalQuery:
    """The query for the signals of a trial from its first step until a time."""
    return SignalQuery(
        champion=champion,
        challenger=challenger,
        rollout_id=state.rollout_id,
        start=state.step_starts[0],
        end=until - plan.settle,
        window_seconds=plan.window_seconds,
        metrics=plan.metrics,
        pivots=state.pivots,
    )
