"""A rollout's way forward: pure functions from a state and an event to the next state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelstack.rollout.core.decision import Decision
from modelstack.rollout.core.endings import REJECTED_MOST, remembered, roll_back_trial, verdict_on
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.missing_metrics import proven_percent
from modelstack.rollout.core.plan import LONGEST, Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.replay import judged_replay, outcome, unchecked
from modelstack.rollout.core.state import Phase, Pivot, Reduction, Replayed, Retiring, RolloutState, SkipTrial
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_NOT_OF_THE_RELEASE = frozenset({Kind.COUNTED_LATE, Kind.UNANSWERED})
"""Why a trial ran out of time that is not the release's own fault, as far as is known: it is not rejected."""


class Rejected(RolloutError):
    """The release was rolled back before: not tried again until its recipe or image changes, or a person clears it."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(
            f"release {verdict.release} was rolled back before: {verdict.reason.text}. "
            "Change its recipe or image, or clear the rejection, to try it again"
        )


def begin(
    state: RolloutState,
    target: Release,
    pair_config: str | None,
    plan: Plan,
    now: float,
    *,
    shadow_config: str | None = None,
    beside: str | None = None,
) -> RolloutState:
    """Put a release on trial, or make it champion at once if there is none or a person let it skip the trial.

    Returns `state` itself when the target is already champion or on trial.

    Args:
        state: The present state, not in `promoting`, `rolling_back` or `restoring`.
        target: The desired release.
        pair_config: The endpoint config that serves champion and target together; required when there is a champion.
        plan: The plan of the trial.
        now: Epoch seconds.
        shadow_config: The endpoint config that copies requests to the target; required for a shadow step.
        beside: The champion's own config that `pair_config` was made for. If an alarm or a person has brought another
            champion back since, the release is refused. None skips this check.

    Raises:
        Rejected: The target was rolled back before.
        RolloutError: A config is missing or made for another champion, another release is restored, or the journal
            has no room.
    """
    if target.id in state.rejected:
        raise Rejected(state.rejected[target.id])
    champion, challenger = state.champion, state.challenger
    if champion is not None and champion.config_name == target.config_name:
        if challenger is None:
            return state
        reason = Reason("release", "withdrawn", kind=Kind.WANTED_AGAIN, facts={"champion": target.id})
        return roll_back_trial(state, reason, "withdrawn", now)
    tried_so = state.on_trial and state.pair_config == pair_config
    if challenger == target and (tried_so or state.phase is Phase.MOVING):
        return state
    refuse_unrecorded(state, f"release {target.id}")
    restored = state.restored
    if restored is not None and target.id not in {restored.release, champion.id if champion else ""}:
        raise RolloutError(
            f"release {target.id} does not begin on {state.endpoint}: a person has restored release {restored.release} "
            "in its place. Run `pulumi up` again for that one, or `modelstack restore --clear` first"
        )
    if champion is None or champion.id == target.id:
        return _start(state, target, phase=Phase.MOVING, pair_config=None, plan=plan, now=now)
    _refuse_unprepared(state, champion, target, pair_config, beside)
    if plan.steps[0].shadow and not shadow_config:
        raise RolloutError(
            f"shadow_config: got {shadow_config!r}, expected the endpoint config that serves the champion "
            f"{champion.id} and copies requests to {target.id}"
        )
    if state.skip_trial is not None and state.skip_trial.release == target.id:
        moving = _start(state, target, phase=Phase.MOVING, pair_config=None, plan=plan, now=now)
        return replace(moving, decided=verdict_on(moving, target, "promoted", state.skip_trial.reason, now))
    begun = _start(state, target, phase=Phase.PREPARING, pair_config=pair_config, plan=plan, now=now)
    return replace(begun, shadow_config=shadow_config if plan.steps[0].shadow else None)


def refuse_unrecorded(state: RolloutState, what: str) -> None:
    """Refuse to begin anything new while the audit record is far behind; what ends a trial is never refused."""
    if state.audit.crowded:
        raise RolloutError(
            f"{what} cannot be recorded: {len(state.audit.waiting)} audit records of {state.endpoint} wait to be put "
            "away, and there is no room for more. Nothing was changed. The advance function puts them away; its log "
            "says why it could not. Put that right, and try again"
        )


def _refuse_unprepared(
    state: RolloutState, champion: Release, target: Release, pair_config: str | None, beside: str | None
) -> None:
    if len(state.rejected) >= REJECTED_MOST:
        oldest = min(state.rejected.values(), key=lambda item: item.at).release
        raise RolloutError(
            f"{len(state.rejected)} releases are rejected, allowed are {REJECTED_MOST}, as none of them is forgotten: "
            f"clear those that will not come again (the oldest is {oldest}), and release again"
        )
    if not pair_config:
        raise RolloutError(
            f"pair_config: got {pair_config!r}, expected the endpoint config that serves the champion "
            f"{champion.id} and {target.id} together"
        )
    if beside is not None and beside != champion.config_name:
        raise RolloutError(
            f"the champion is now {champion.id} (config {champion.config_name}), which came to be it after this update "
            f"had begun, and {target.id} was planned beside another (config {beside}). Nothing was moved; the same "
            "update once more puts it on trial"
        )


def _start(
    state: RolloutState, target: Release, *, phase: Phase, pair_config: str | None, plan: Plan, now: float
) -> RolloutState:
    champion, old = state.champion, state.challenger
    retiring = state.retiring
    if old is not None:
        if state.moves or state.phase is not Phase.PREPARING:  # else the endpoint never received the request
            retiring = (*retiring, Retiring(old, state.pair_config, state.shadow_config, state.copied))
        kind, facts = Kind.REPLACED, {"release": target.id}
        if phase is Phase.MOVING and champion is not None and champion.id == target.id:
            kind, facts = Kind.MOVES_ALONE, {"champion": champion.id}
        if old.id == target.id:
            kind = Kind.OTHER_INSTANCES if old.config_name != target.config_name else Kind.OTHER_SETTINGS
        reason = Reason("release", "superseded", kind=kind, facts=facts)
        state = remembered(state, verdict_on(state, old, "superseded", reason, now))
        state = state.noting(now, "superseded", old.id, reason)  # an event of the old rollout
    rollout_id = f"{state.revision + 1:06d}-{target.id}"
    begun = replace(
        state,
        rollout_id=rollout_id,
        phase=phase,
        challenger=target,
        pair_config=pair_config,
        shadow_config=None,
        plan=plan,
        step=-1,
        step_reason=None,
        started_at=now,
        step_starts=(),
        approved=-1,
        paused_at=None,
        paused_seconds=0.0,
        missing_since=None,
        reductions=(),
        pivots={},
        replayed=None,
        rehearsed_at=0.0,
        weights={champion.variant: 100, target.variant: 0} if champion and phase is Phase.PREPARING else {},
        moves=0,
        decided=None,
        retiring=retiring,
        skip_trial=None,
    )
    same_model = champion is not None and champion.id != target.id and champion.recipe == target.recipe
    return begun.noting(
        now,
        phase.value,
        target.id,
        champion=champion.id if champion else "",
        numbers={"same_model": 1.0} if same_model else None,
    )


def apply(state: RolloutState, decision: Decision, now: float) -> RolloutState:
    """The state after a decision on the trial; `state` itself on `hold`, unless counts begin or cease to be missing."""
    champion, challenger = state.champion, state.challenger
    if state.missing_since != decision.missing_since:
        state = replace(state, missing_since=decision.missing_since)
    if champion is None or challenger is None or decision.action == "hold":
        return state
    evidence = tuple(finding.reason for finding in decision.findings.each) if decision.findings else ()
    if decision.action == "roll_back":
        outcome = "failed" if _is_of_others(decision.reason) else "rolled_back"
        return roll_back_trial(state, decision.reason, outcome, now, evidence)
    if decision.action == "reduce":
        return _reduced(state, decision.reason, now)
    if decision.action in {"wait_for_person", "pause"}:
        return _waiting(state, challenger, decision, now)
    if decision.action == "promote":
        reason = _with_caveat(state, decision.reason)
        verdict = replace(verdict_on(state, challenger, "promoted", reason, now), evidence=evidence)
        weights = {champion.variant: 0, challenger.variant: 100}
        state = replace(resumed(state, now), phase=Phase.PROMOTING, weights=weights, moves=0, decided=verdict)
        return state.noting(now, Phase.PROMOTING.value, challenger.id, reason)
    return to_step(resumed(state, now), state.step + (decision.action == "advance"), decision.reason)


def _is_of_others(reason: Reason) -> bool:
    """Whether a reason rests on one that is not the release's own fault."""
    known = reason.beside
    return known is not None and (known.kind in _NOT_OF_THE_RELEASE or _is_of_others(known))


def _waiting(state: RolloutState, challenger: Release, decision: Decision, now: float) -> RolloutState:
    if decision.action == "wait_for_person":
        return replace(state, phase=Phase.HELD).noting(now, Phase.HELD.value, challenger.id, decision.reason)
    paused, step = replace(state, phase=Phase.PAUSED, paused_at=now), {"step": state.step + 1.0}
    return paused.noting(now, Phase.PAUSED.value, challenger.id, decision.reason, numbers=step)


def _reduced(state: RolloutState, reason: Reason, now: float) -> RolloutState:
    """The state that requests the last proven share. The event comes at once: the endpoint may be unreachable too."""
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if champion is None or challenger is None or plan is None:
        return state
    percent = proven_percent(plan, state)
    reduced = replace(
        state,
        weights={champion.variant: 100 - percent, challenger.variant: percent},
        reductions=(*state.reductions, Reduction(state.step, now)),
        moves=0,
    )
    numbers = {"step": state.step + 1.0, "percent": float(percent)}
    return reduced.noting(now, "reduced", challenger.id, reason, numbers=numbers)


def _with_caveat(state: RolloutState, reason: Reason) -> Reason:
    """A promotion's reason, with why the replay gate could not be checked, if so."""
    caveat = unchecked(state.plan.replay if state.plan else None, state.replayed)
    return replace(reason, beside=caveat) if caveat else reason


def approve(state: RolloutState, reason: Reason, now: float) -> RolloutState:
    """Let a trial that waits for an approval continue, or give a held one `max_seconds` more.

    This decides nothing by itself: the judge still has to say "not worse", and a worse judgement rolls back.
    """
    if state.phase is Phase.HELD:
        return _given_more_time(state, reason, now)
    if state.phase is not Phase.PAUSED or state.challenger is None:
        where = f"endpoint {state.endpoint}, which is {state.phase.value}"
        raise RolloutError(f"nothing waits for an approval on {where}")
    approved = replace(resumed(state, now), phase=Phase.BAKING, approved=state.step)
    return approved.noting(now, "approved", state.challenger.id, reason, numbers={"step": state.step + 1.0})


def _given_more_time(state: RolloutState, reason: Reason, now: float) -> RolloutState:
    plan, challenger = state.plan, state.challenger
    if plan is None or challenger is None:
        return state
    in_all = now - state.started_at + plan.max_seconds
    if in_all > LONGEST:
        raise RolloutError(
            f"the trial of {challenger.id} would last {in_all:.0f} s in all, allowed is at most {LONGEST} s, as its "
            "metrics are kept no longer: roll it back, and release it again"
        )
    going = replace(state, phase=Phase.BAKING, paused_seconds=now - state.started_at)
    return going.noting(now, "approved", challenger.id, reason, numbers={"seconds": plan.max_seconds})


def resumed(state: RolloutState, now: float) -> RolloutState:
    """The state without the wait for an approval, which does not count as the trial's time."""
    waited = now - state.paused_at if state.paused_at is not None else 0.0
    return replace(state, paused_at=None, paused_seconds=state.paused_seconds + waited)


def skip_trial(state: RolloutState, release: str, reason: Reason, now: float) -> RolloutState:
    """Let a release (id or recipe digest) that failed to start, without its own fault, take over without a trial."""
    verdict = state.verdict
    if state.phase is not Phase.IDLE or verdict is None or verdict.outcome != "failed":
        ended = f"{verdict.release} {verdict.outcome.replace('_', ' ')}" if verdict else "none yet"
        raise RolloutError(
            f"release {release} cannot skip its trial: only a release that failed to come up through no fault of its "
            f"own may, and the last verdict is: {ended} (phase {state.phase.value})"
        )
    refuse_unrecorded(state, f"that release {release} skips its trial")
    if release not in {verdict.release, verdict.recipe}:
        raise RolloutError(f"release {release} cannot skip its trial: the one that was not tried is {verdict.release}")
    skipping = replace(state, skip_trial=SkipTrial(verdict.release, reason))
    return skipping.noting(now, "skip_trial", verdict.release, reason)


def clear(state: RolloutState, release: str, now: float) -> RolloutState:
    """Let a rejected release be tried again; a recipe digest clears every image of it."""
    refuse_unrecorded(state, f"that release {release} is cleared")
    left = {key: item for key, item in state.rejected.items() if release not in {key, item.recipe}}
    if len(left) == len(state.rejected):
        known = ", ".join(item.release for item in state.rejected.values()) or "none"
        raise RolloutError(f"release {release!r} is not rejected; rejected are: {known}")
    return replace(state.noting(now, "cleared", release), rejected=left)


def pivoted(state: RolloutState, pivots: Mapping[str, Pivot], now: float) -> RolloutState:
    """The state with new pivots; the earlier ones apply to earlier windows."""
    values = {name: pivot.value for name, pivot in pivots.items()}
    release = state.challenger.id if state.challenger else ""
    chained = {name: replace(pivot, earlier=state.pivots.get(name)) for name, pivot in pivots.items()}
    known = replace(state, pivots={**state.pivots, **chained})
    return known.noting(now, "pivots", release, numbers=values, send=False)


def replayed(state: RolloutState, seen: Replayed, now: float) -> RolloutState:
    """The state after a replay: the trial continues or waits, or the challenger is rolled back."""
    plan, challenger = state.plan, state.challenger
    if plan is None or plan.replay is None or challenger is None:
        return state
    kept = replace(state, replayed=seen, rehearsed_at=now)
    reason = judged_replay(plan.replay, seen)
    if reason is not None:
        return roll_back_trial(kept, reason, "rolled_back", now)
    if kept.gate_ahead and state.replayed is not None:
        return kept  # its wait is reported already
    return kept.noting(now, "replayed", challenger.id, outcome(plan.replay, seen))


def to_step(state: RolloutState, step: int, why: Reason) -> RolloutState:
    """The state that requests a step's weights. Its event and its bake come when the endpoint confirms them."""
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if champion is None or challenger is None or plan is None:
        return state
    weight = plan.weight(step)
    weights = {champion.variant: 100 - weight, challenger.variant: weight}
    if plan.shadows(step):
        weights = {champion.variant: 100}
    return replace(state, phase=Phase.BAKING, step=step, step_reason=why, weights=weights, moves=0)


def confirmed(state: RolloutState, now: float) -> RolloutState:
    """The endpoint serves the step's weights: its bake begins."""
    challenger, plan, step = state.challenger, state.plan, state.step
    if challenger is None or plan is None:
        return state
    share = {"copies": plan.steps[step].weight} if plan.shadows(step) else {"percent": plan.weight(step)}
    if state.reductions and state.reductions[-1].step == step:
        reductions = (*state.reductions[:-1], replace(state.reductions[-1], resumed=now))
        state = replace(state, reductions=reductions)
    first = state.step_starts[step : step + 1] or (now,)
    begun = replace(state, step_starts=(*state.step_starts[:step], *first))
    return begun.noting(now, "weights", challenger.id, state.step_reason, numbers={"step": step + 1.0, **share})
