"""What do the signals say of a trial, and what follows from that?"""

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
    """Reads the signals of a trial and decides. It changes nothing.

    Attributes:
        signals: Observations per variant and window.
        clock: Time.
    """

    signals: Signals
    clock: Clock

    def look(self, state: RolloutState, withheld: Reason | None = None) -> tuple[Decision | None, RolloutState]:
        """The decision on a trial, and the state after it; no decision while it is fixed where latencies are cut.

        Args:
            state: Where the trial stands.
            withheld: Why the challenger may get no more traffic; then it goes no step forward.
        """
        pivots = self._new_pivots(state)
        if pivots:
            return None, transitions.pivoted(state, pivots, self.clock.time())
        decision = self.decide(state, withheld)
        return decision, transitions.apply(state, decision, self.clock.time()) if decision else state

    def decide(self, state: RolloutState, withheld: Reason | None = None) -> Decision | None:
        """The decision on a trial; None when nothing is on trial. `withheld` as for `look`."""
        if state.plan is None or state.champion is None or state.challenger is None or not state.on_trial:
            return None
        now = self.clock.time()
        decision = decide(state.plan, state, self._seen(state, now), now)
        # Weights that are withheld are not confirmed either, and why they are withheld says more.
        held = decision.action in {"advance", "promote"} or decision.reason.kind == Kind.UNCONFIRMED
        return replace(decision, action="hold", reason=withheld) if held and withheld is not None else decision

    def evidence(self, state: RolloutState, at: float) -> tuple[Reason, ...]:
        """What was known of each metric of a trial at a time; nothing when the metrics do not say it."""
        if state.plan is None or state.plan.at_once or not state.step_starts:
            return ()
        findings = judged(state.plan, state, self._seen(state, at))
        return tuple(finding.reason for finding in findings.each) if findings else ()

    def _seen(self, state: RolloutState, now: float) -> TrialObservations:
        """What the signals say of the trial until now."""
        if state.plan is None or state.champion is None or state.challenger is None or not state.step_starts:
            return TrialObservations(())
        return self.signals.read(asked(state, state.plan, state.champion.variant, state.challenger.variant, now))

    def _new_pivots(self, state: RolloutState) -> dict[str, Pivot]:
        """The champion's quantiles that are known well enough by now, of the metrics that have none yet."""
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
    """What the signals are asked of a trial that began its first step, or of the last one, until a time."""
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
