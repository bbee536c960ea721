"""How a rollout's state changes: pure functions from a state, and what happened, to the next state."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.decision import Decision
from rollout.fault import at_fault
from rollout.plan import Plan
from rollout.ports import RolloutError
from rollout.release import Release
from rollout.state import Outcome, Phase, Reason, Retiring, RolloutState, Verdict, Waiver

_REJECTED_KEPT = 100


class Rejected(RolloutError):
    """The release was rolled back before; it is not tried again until its recipe changes or a person clears it."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(
            f"release {verdict.release} was rolled back before: {verdict.reason.text}. "
            "Change its recipe, or clear the rejection, to try it again"
        )


@dataclass(frozen=True)
class Ignored:
    """An event that changes nothing, and why."""

    why: str


def begin(
    state: RolloutState,
    target: Release,
    pair_config: str | None,
    plan: Plan,
    now: float,
    *,
    beside: str | None = None,
) -> RolloutState:
    """Put a release on trial, or make it champion at once when there is none, or when a person waived the trial.

    Args:
        state: The present state, in no phase that must first end (`promoting`, `rolling_back`, `restoring`).
        target: The release that is wanted.
        pair_config: The endpoint config that serves champion and target together; needed when there is a champion.
        plan: How the target earns its traffic.
        now: Epoch seconds.
        beside: The champion's own config that `pair_config` was made for; None when that cannot have changed.

    Returns:
        The next state; `state` itself when the target is already champion or on trial.

    Raises:
        Rejected: The target was rolled back before.
        RolloutError: `pair_config` is missing, or was made for another champion.
    """
    if target.recipe in state.rejected:
        raise Rejected(state.rejected[target.recipe])
    champion, challenger = state.champion, state.challenger
    if champion is not None and champion.config_name == target.config_name:
        if challenger is None:
            return state
        text = f"withdrawn: release {target.id}, the champion, is wanted again"
        return _roll_back(state, Reason("release", "withdrawn", text), "withdrawn", now)
    tried_so = state.on_trial and state.pair_config == pair_config
    if challenger == target and (tried_so or state.phase is Phase.MOVING):
        return state
    if champion is None or champion.recipe == target.recipe:
        return _start(state, target, phase=Phase.MOVING, pair_config=None, plan=plan, now=now)
    if not pair_config:
        raise RolloutError(
            f"pair_config: got {pair_config!r}, expected the endpoint config that serves the champion "
            f"{champion.id} and {target.id} together"
        )
    if beside is not None and beside != champion.config_name:
        raise RolloutError(
            f"the champion is now {champion.id} ({champion.config_name}), and this release was planned beside "
            f"{beside}: nothing was moved; plan it again"
        )
    if state.waiver is not None and state.waiver.recipe == target.recipe:
        moving = _start(state, target, phase=Phase.MOVING, pair_config=None, plan=plan, now=now)
        return replace(moving, decided=_verdict(moving, target, "promoted", state.waiver.reason, now))
    return _start(state, target, phase=Phase.PREPARING, pair_config=pair_config, plan=plan, now=now)


def _start(
    state: RolloutState, target: Release, *, phase: Phase, pair_config: str | None, plan: Plan, now: float
) -> RolloutState:
    champion, old = state.champion, state.challenger
    retiring, verdict = state.retiring, state.verdict
    if old is not None:
        retiring = (*retiring, Retiring(old, state.pair_config))
        text = f"superseded by release {target.id}"
        verdict = _verdict(state, old, "superseded", Reason("release", "superseded", text), now)
    rollout_id = f"{state.revision + 1:06d}-{target.id}"
    begun = replace(
        state,
        rollout_id=rollout_id,
        phase=phase,
        challenger=target,
        pair_config=pair_config,
        plan=plan,
        step=-1,
        started_at=now,
        step_starts=(),
        weights={champion.variant: 100, target.variant: 0} if champion and phase is Phase.PREPARING else {},
        moves=0,
        decided=None,
        verdict=verdict,
        retiring=retiring,
        waiver=None,
    )
    beside = f" beside champion {champion.id}" if champion else ""
    return begun.noting(now, phase.value, f"release {target.id} begins{beside}")


def turn_back(
    state: RolloutState, reason: Reason, now: float, *, variant: str | None = None, at: float | None = None
) -> RolloutState | Ignored:
    """Decide to roll back: the trial if there is one, else the last promotion.

    Args:
        state: The present state.
        reason: Who wants it and why.
        now: Epoch seconds.
        variant: The variant that an alarm is about; None when a person asks.
        at: When the event happened, epoch seconds.

    Returns:
        The next state (`state` itself when it is already under way), or why nothing is to be done.

    Raises:
        RolloutError: A person asks, and there is nothing to go back to.
    """
    if state.phase in {Phase.ROLLING_BACK, Phase.RESTORING}:
        return state
    if at is not None and at < state.started_at:
        return Ignored(f"the event is older than rollout {state.rollout_id}")
    champion, challenger = state.champion, state.challenger
    if champion is not None and challenger is not None:
        if variant is not None and variant != challenger.variant:
            return Ignored(f"the event is about variant {variant}, on trial is {challenger.variant}")
        outcome = "withdrawn" if challenger.recipe == champion.recipe else "rolled_back"
        return _roll_back(state, reason, outcome, now)
    return _turn_back_champion(state, reason, now, variant)


def _turn_back_champion(state: RolloutState, reason: Reason, now: float, variant: str | None) -> RolloutState | Ignored:
    champion = state.champion
    if variant is not None and (champion is None or variant != champion.variant):
        serving = f"serving is {champion.variant}" if champion else "no release is champion yet"
        return Ignored(f"the event is about variant {variant}, {serving}")
    if champion is None or state.previous is None:
        missing = "no release was ever promoted" if champion is None else "there is no previous champion to bring back"
        if variant is not None:
            return Ignored(missing)
        raise RolloutError(f"nothing to roll back to on endpoint {state.endpoint}: {missing}")
    watch = state.plan.watch_seconds if state.plan else 0.0
    if variant is not None and now - state.promoted_at > watch:
        return Ignored(f"champion {champion.id} was promoted more than {watch:.0f} s ago")
    verdict = _verdict(state, champion, "rolled_back", reason, now)
    restoring = replace(state, phase=Phase.RESTORING, decided=verdict, moves=0)
    return restoring.noting(now, Phase.RESTORING.value, f"{state.previous.id} comes back: {reason.text}")


def apply(state: RolloutState, decision: Decision, now: float) -> RolloutState:
    """The state after a decision on the trial; `state` itself on `hold`."""
    champion, challenger = state.champion, state.challenger
    if champion is None or challenger is None or decision.action == "hold":
        return state
    weights = {champion.variant: decision.champion_weight, challenger.variant: decision.challenger_weight}
    if decision.action == "roll_back":
        return _roll_back(state, decision.reason, "rolled_back", now)
    if decision.action == "wait_for_person":
        return replace(state, phase=Phase.HELD).noting(now, Phase.HELD.value, decision.reason.text)
    if decision.action == "promote":
        verdict = _verdict(state, challenger, "promoted", decision.reason, now)
        promoting = replace(state, phase=Phase.PROMOTING, weights=weights, moves=0, decided=verdict)
        return promoting.noting(now, Phase.PROMOTING.value, f"{challenger.id} goes to 100%: {decision.reason.text}")
    return to_step(state, decision.step, decision.reason.text, now)


def to_step(state: RolloutState, step: int, why: str, now: float) -> RolloutState:
    """The state that asks for a step's weights; the bake begins when the endpoint confirms them."""
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if champion is None or challenger is None or plan is None:
        return state
    weight = plan.weight(step)
    weights = {champion.variant: 100 - weight, challenger.variant: weight}
    moved = replace(state, phase=Phase.BAKING, step=step, weights=weights, moves=0)
    return moved.noting(now, "weights", f"{challenger.id} gets {weight}%: {why}")


def confirmed(state: RolloutState, now: float) -> RolloutState:
    """The endpoint serves the step's weights: its bake begins."""
    return replace(state, step_starts=(*state.step_starts[: state.step], now))


def fail(state: RolloutState, detail: str, now: float) -> RolloutState:
    """The endpoint does not come up as asked: go back to what served, or say so when nothing did.

    Only a challenger whose own instance failed is rejected. When the champion's did, or nobody can tell whose, the
    challenger was never tried: it may be released again, and a person may waive its trial.
    """
    champion, challenger, detail = state.champion, state.challenger, detail or "no reason given"
    if state.phase is Phase.RESTORING and champion is not None:
        reason = Reason("endpoint", "endpoint", f"the endpoint does not come up: {detail}")
        verdict = _verdict(state, champion, "failed", reason, now)
        kept = replace(state, phase=Phase.IDLE, decided=None, verdict=verdict, moves=0)
        return kept.noting(now, "failed", f"the previous champion does not come up: {detail}")
    if challenger is None:
        return state
    if champion is None:
        reason = Reason("endpoint", challenger.variant, f"release {challenger.id} does not come up: {detail}")
        verdict = _verdict(state, challenger, "failed", reason, now)
        nothing = replace(state, phase=Phase.NONE, challenger=None, decided=None, verdict=verdict, moves=0)
        return nothing.noting(now, "failed", reason.text)
    faulty = at_fault(detail, (challenger, champion))
    text = _does_not_come_up(challenger, champion, faulty, detail)
    reason = Reason("endpoint", faulty.variant if faulty else "endpoint", text)
    guilty = faulty == challenger and challenger.recipe != champion.recipe
    return _roll_back(state, reason, "rolled_back" if guilty else "failed", now)


def _does_not_come_up(challenger: Release, champion: Release, faulty: Release | None, detail: str) -> str:
    if faulty == challenger:
        return f"release {challenger.id} does not come up: {detail}"
    next_step = (
        f"Release {challenger.id} was not tried and is not rejected: put right what failed and release it again, or "
        f"let it take over without a trial (modelstack skip-trial {challenger.id})"
    )
    if faulty == champion:
        whose = f"a new instance of the champion, {champion.id}, does not come up, so nothing can be tried beside it"
    else:
        whose = "the endpoint does not come up, and its reason does not tell whose instance failed"
    return f"{whose}: {detail}. {next_step}"


def waive(state: RolloutState, release: str, reason: Reason, now: float) -> RolloutState:
    """Let a release that could not be put beside the champion take over without a trial when it is released next.

    Args:
        state: The present state.
        release: The release's short id, or its recipe digest.
        reason: Who wants it and why.
        now: Epoch seconds.

    Raises:
        RolloutError: The last rollout was not that release's, or did not end so. Any other release has its trial.
    """
    verdict = state.verdict
    if state.phase is not Phase.IDLE or verdict is None or verdict.outcome != "failed":
        ended = f"{verdict.release} {verdict.outcome.replace('_', ' ')}" if verdict else "none yet"
        raise RolloutError(
            f"release {release} cannot skip its trial: only a release that failed to come up through no fault of its "
            f"own may, and the last verdict is: {ended} (phase {state.phase.value})"
        )
    if release not in {verdict.release, verdict.recipe}:
        raise RolloutError(f"release {release} cannot skip its trial: the one that was not tried is {verdict.release}")
    waived = replace(state, waiver=Waiver(verdict.recipe, reason))
    return waived.noting(now, "waived", f"{verdict.release} may take over without a trial: {reason.text}")


def concluded(state: RolloutState, now: float) -> RolloutState:
    """The endpoint serves what was decided: record the verdict."""
    if state.phase is Phase.RESTORING:
        return _restored(state, now)
    if state.phase is Phase.ROLLING_BACK:
        return _rolled_back(state, now)
    return _promoted(state, now)


def _promoted(state: RolloutState, now: float) -> RolloutState:
    challenger, champion = state.challenger, state.champion
    if challenger is None:
        return state
    first = Reason("release", "first", "the first release serves at once")
    moved = Reason("release", "moved", "the champion serves from another endpoint config")
    verdict = state.decided or _verdict(state, challenger, "promoted", moved if champion else first, now)
    same = champion is not None and champion.recipe == challenger.recipe
    done = _idle(state, replace(verdict, at=now), challenger)
    done = replace(done, previous=state.previous if same else champion, promoted_at=now)
    return done.noting(now, "promoted", f"{challenger.id} is champion: {verdict.reason.text}")


def _rolled_back(state: RolloutState, now: float) -> RolloutState:
    verdict, champion = state.decided, state.champion
    if verdict is None or champion is None:
        return state
    done = _idle(state, replace(verdict, at=now), champion)
    return done.noting(
        now, verdict.outcome, f"{verdict.release} {verdict.outcome.replace('_', ' ')}: {verdict.reason.text}"
    )


def _restored(state: RolloutState, now: float) -> RolloutState:
    verdict, previous = state.decided, state.previous
    if verdict is None or previous is None:
        return state
    done = replace(_idle(state, replace(verdict, at=now), previous), previous=None, promoted_at=0.0)
    return done.noting(now, verdict.outcome, f"{previous.id} is champion again: {verdict.reason.text}")


def _idle(state: RolloutState, verdict: Verdict, champion: Release) -> RolloutState:
    rejected = dict(state.rejected)
    if verdict.outcome == "rolled_back":
        rejected = dict([*rejected.items(), (verdict.recipe, verdict)][-_REJECTED_KEPT:])
    return replace(
        state,
        phase=Phase.IDLE,
        champion=champion,
        challenger=None,
        pair_config=None,
        step=-1,
        step_starts=(),
        weights={champion.variant: 100},
        moves=0,
        decided=None,
        verdict=verdict,
        rejected=rejected,
        retiring=(),
    )


def _roll_back(state: RolloutState, reason: Reason, outcome: Outcome, now: float) -> RolloutState:
    champion, challenger = state.champion, state.challenger
    if champion is None or challenger is None:
        return state
    back = replace(
        state,
        phase=Phase.ROLLING_BACK,
        weights={champion.variant: 100, challenger.variant: 0},
        moves=0,
        decided=_verdict(state, challenger, outcome, reason, now),
    )
    return back.noting(now, Phase.ROLLING_BACK.value, f"{champion.id} gets 100% back: {reason.text}")


def _verdict(state: RolloutState, release: Release, outcome: Outcome, reason: Reason, now: float) -> Verdict:
    return Verdict(outcome, reason, state.rollout_id, release.id, release.recipe, release.package_digest, now)
