"""Reads the signals of a trial and decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.controller.ports import Clock, SignalQuery, Signals
from rollout.core import transitions
from rollout.core.decision import Decision, TrialObservations, decide, judged
from rollout.core.plan import Plan
from rollout.core.state import Pivot, RolloutState
from rollout.kinds import Kind
from rollout.reason import Reason


@dataclass(frozen=True)
class Looker:
    """Reads the signals of a trial and decides; it changes nothing."""

    signals: Signals
    clock: Clock

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
        # Withheld weights are not confirmed either, and the reason for withholding is more specific.
        held = decision.action in {"advance", "promote"} or decision.reason.kind == Kind.UNCONFIRMED
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
        return self.signals.read(asked(state, state.plan, state.champion.variant, state.challenger.variant, now))

    def _new_pivots(self, state: RolloutState) -> dict[str, Pivot]:
        """The champion's quantiles that have enough requests by now, of metrics without a pivot."""
        plan, champion, now = state.plan, state.champion, self.clock.time()
        found: dict[str, Pivot] = {}
        if plan is None or champion is None or not state.step_starts:
            return found
        for metric in plan.metrics:
            if metric.quantile is None or metric.name in state.pivots:
                continue
            seen = self.signals.quantile(champion.variant, metric.quantile, now - plan.settle)
            if seen is not None and seen.requests >= metric.requests_to_cut:
                found[metric.name] = Pivot(seen.value, now)
        return found


def asked(state: RolloutState, plan: Plan, champion: str, challenger: str, until: float) -> SignalQuery:
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
