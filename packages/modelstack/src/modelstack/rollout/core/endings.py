"""The end of a rollout: pure functions to a state that rolls back, has failed, or is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.fault import at_fault
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, Retiring, RolloutState
from modelstack.rollout.core.verdict import Outcome, Verdict
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

MAX_MOVES = 3  # requests of a config before it counts as failed, if the platform reports a failure
REJECTED_MOST = 250
"""The most rejected releases: none is ever dropped, and the journal's item has a size limit."""
_IN_FULL = 25  # the newest ones keep their numbers


@dataclass(frozen=True)
class Ignored:
    """An event that changes nothing, and why."""

    why: str


def turn_back(
    state: RolloutState,
    reason: Reason,
    now: float,
    *,
    variant: str | None = None,
    at: float | None = None,
    meant: str | None = None,
) -> RolloutState | Ignored:
    """Decide to roll back: the trial if there is one, else the last promotion.

    Returns `state` itself when it is already under way, and `Ignored` if the reason is about something else.
    RolloutError if a person requests it and there is no way back.

    Args:
        state: The present state.
        reason: Who requests it and why.
        now: Epoch seconds.
        variant: The variant of an alarm, which acts only on the challenger, or, within the watch time, on the champion.
            None when a person requests it.
        at: When the event happened, epoch seconds; events older than the rollout are ignored.
        meant: The release id that a person expects to be rolled back; if it is another one by now, nothing is done.
    """
    if state.phase in {Phase.ROLLING_BACK, Phase.RESTORING}:
        return state
    if at is not None and at < state.started_at:
        return Ignored(f"the event is older than rollout {state.rollout_id}")
    champion, challenger = state.champion, state.challenger
    subject = challenger or champion
    if meant is not None and subject is not None and meant != subject.id:
        return Ignored(f"release {meant} was meant, but by now it is {subject.id} that would be taken back")
    if champion is not None and challenger is not None:
        if variant is not None and variant != challenger.variant:
            return Ignored(f"the event is about variant {variant}, on trial is {challenger.variant}")
        outcome = "withdrawn" if challenger.id == champion.id else "rolled_back"
        return roll_back_trial(state, reason, outcome, now)
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
    watch = watch_seconds(state)
    if variant is not None and now - state.promoted_at > watch:
        return Ignored(f"champion {champion.id} was promoted more than {watch:.0f} s ago")
    return _restoring(state, champion, state.previous, reason, now)


def recalled(state: RolloutState, reason: Reason, now: float, since: float) -> RolloutState:
    """Bring the previous champion back if the champion's alarm started firing at `since`, within its watch time.

    The result is `state` itself if nothing follows.
    """
    champion, previous = state.champion, state.previous
    if state.phase is not Phase.IDLE or champion is None or previous is None:
        return state
    if not 0 < since - state.promoted_at <= watch_seconds(state) or since <= state.previous_down_at:
        return state
    return _restoring(state, champion, previous, reason, now)


def watch_seconds(state: RolloutState) -> float:
    """How long after its promotion an alarm rolls a champion back, seconds."""
    return state.plan.watch_seconds if state.plan else 0.0


def _restoring(state: RolloutState, champion: Release, previous: Release, reason: Reason, now: float) -> RolloutState:
    verdict = verdict_on(state, champion, "rolled_back", reason, now)
    restoring = replace(state, phase=Phase.RESTORING, decided=verdict, moves=0)
    return restoring.noting(now, Phase.RESTORING.value, champion.id, reason, champion=previous.id)


def fail(state: RolloutState, detail: str, now: float) -> RolloutState:
    """The endpoint does not start as requested: go back to what served, or record that nothing did.

    Only a challenger whose own instance failed is rejected. If the champion's failed, or it is unknown whose, the
    challenger was never tried: it may be released again, and a person may let it skip its trial.
    """
    champion, challenger, detail = state.champion, state.challenger, detail or "no reason given"
    if state.phase is Phase.RESTORING and champion is not None:
        facts = {"previous": state.previous.id if state.previous else ""}
        reason = Reason("endpoint", "endpoint", detail, kind=Kind.PREVIOUS_DOWN, facts=facts)
        verdict = verdict_on(state, champion, "failed", reason, now)
        kept = replace(state, phase=Phase.IDLE, decided=None, verdict=verdict, moves=0, previous_down_at=now)
        return kept.noting(now, "failed", champion.id, reason)
    if challenger is None:
        return state
    if champion is None:
        facts = {"release": challenger.id}
        reason = Reason("endpoint", challenger.variant, detail, kind=Kind.RELEASE_DOWN, facts=facts)
        verdict = verdict_on(state, challenger, "failed", reason, now)
        nothing = replace(state, phase=Phase.NONE, challenger=None, decided=None, verdict=verdict, moves=0)
        return nothing.noting(now, "failed", challenger.id, reason)
    facts = {"release": challenger.id, "champion": champion.id}
    if challenger.id == champion.id:
        reason = Reason("endpoint", champion.variant, detail, kind=Kind.MOVE_DOWN, facts=facts)
        return roll_back_trial(state, reason, "failed", now)
    faulty = at_fault(detail, (challenger, champion))
    kind = {challenger: Kind.RELEASE_DOWN, champion: Kind.CHAMPION_DOWN}.get(faulty) if faulty else None
    name = faulty.variant if faulty else "endpoint"
    reason = Reason("endpoint", name, detail, kind=kind or Kind.ENDPOINT_DOWN, facts=facts)
    return roll_back_trial(state, reason, "rolled_back" if faulty == challenger else "failed", now)


def stranded(state: RolloutState, live: Live, now: float) -> RolloutState:
    """Record a rollback whose champion does not start on its own config, on the config that serves.

    If another release serves already, as one that skipped its trial, it becomes champion for that reason.
    """
    champion, challenger, said = state.champion, state.challenger, live.failure or live.detail
    if champion is None or challenger is None:
        return state
    own = Retiring(challenger, state.pair_config, state.shadow_config, state.copied)
    retiring = using((own, *state.retiring), live.config)
    if champion.variant not in live.variants and retiring:
        return _taken_over(state, champion, retiring[0].release, said, now)
    done = _rolled_back(state, now)
    if challenger.id == champion.id and live.config == challenger.config_name:
        done = replace(done, champion=challenger)
    else:
        done = replace(done, retiring=retiring, moves=2 * MAX_MOVES)  # not requested again before the next rollout
    facts = {"champion": champion.id, "config": live.config}
    reason = Reason("endpoint", champion.variant, said, kind=Kind.STAYS_BESIDE, facts=facts)
    return done.noting(now, "stranded", challenger.id, reason, champion=champion.id)


def _taken_over(state: RolloutState, champion: Release, serving: Release, said: str, now: float) -> RolloutState:
    down = Reason("endpoint", "endpoint", said, kind=Kind.PREVIOUS_DOWN, facts={"previous": champion.id})
    ended = state if serving == state.challenger else _rolled_back(state, now)
    return replace(
        ended,
        phase=Phase.MOVING,
        challenger=serving,
        pair_config=None,
        shadow_config=None,
        weights={},
        moves=0,
        decided=verdict_on(state, serving, "promoted", down, now),
        rejected={name: verdict for name, verdict in ended.rejected.items() if name != serving.id},
    )


def using(retiring: tuple[Retiring, ...], config: str) -> tuple[Retiring, ...]:
    """The superseded challengers that are in an endpoint config."""
    return tuple(
        item for item in retiring if config in {item.pair_config, item.shadow_config, item.release.config_name}
    )


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
    first = Reason("release", "first", kind=Kind.FIRST)
    moved = Reason("release", "moved", kind=Kind.MOVED)
    verdict = state.decided or verdict_on(state, challenger, "promoted", moved if champion else first, now)
    same = champion is not None and champion.id == challenger.id
    done = _idle(state, replace(verdict, at=now), challenger)
    if same:  # the same model on other instances: its watch time and previous champion stay
        return done.noting(now, "promoted", challenger.id, verdict.reason)
    in_vain = now if verdict.reason.kind is Kind.PREVIOUS_DOWN else 0.0
    done = replace(done, previous=champion, promoted_at=now, previous_down_at=in_vain)
    return done.noting(now, "promoted", challenger.id, verdict.reason)


def _rolled_back(state: RolloutState, now: float) -> RolloutState:
    verdict, champion = state.decided, state.champion
    if verdict is None or champion is None:
        return state
    done = _idle(state, replace(verdict, at=now), champion)
    if done.previous is not None and done.previous.id in done.rejected:  # rejected in another trial: no way back
        done = replace(done, previous=None)
    return done.noting(now, verdict.outcome, verdict.release, verdict.reason)


def _restored(state: RolloutState, now: float) -> RolloutState:
    verdict, previous = state.decided, state.previous
    if verdict is None or previous is None:
        return state
    done = replace(
        _idle(state, replace(verdict, at=now), previous), previous=None, promoted_at=0.0, previous_down_at=0.0
    )
    return done.noting(now, verdict.outcome, verdict.release, verdict.reason, champion=previous.id)


def _idle(state: RolloutState, verdict: Verdict, champion: Release) -> RolloutState:
    rejected = _rejecting(state.rejected, verdict) if verdict.outcome == "rolled_back" else state.rejected
    return replace(
        remembered(state, verdict),
        phase=Phase.IDLE,
        champion=champion,
        challenger=None,
        pair_config=None,
        shadow_config=None,
        step=-1,
        weights={champion.variant: 100},
        paused_at=None,
        moves=0,
        decided=None,
        rejected=rejected,
        retiring=(),
    )


def _rejecting(rejected: Mapping[str, Verdict], verdict: Verdict) -> dict[str, Verdict]:
    """The rejections with one more; the older ones lose their numbers."""
    ordered = sorted({**rejected, verdict.release: replace(verdict, evidence=())}.values(), key=lambda item: item.at)
    older = [
        replace(item, reason=Reason(item.reason.source, item.reason.name, kind=Kind.NOT_KEPT))
        for item in ordered[:-_IN_FULL]
    ]
    return {item.release: item for item in (*older, *ordered[-_IN_FULL:])}


def remembered(state: RolloutState, verdict: Verdict) -> RolloutState:
    """The state with how its rollout ended: of a release, or a move of the champion to other instances."""
    champion, challenger = state.champion, state.challenger
    moves = champion is not None and challenger is not None and champion.id == challenger.id
    return replace(state, moved=verdict) if moves else replace(state, verdict=verdict)


def roll_back_trial(
    state: RolloutState, reason: Reason, outcome: Outcome, now: float, evidence: tuple[Reason, ...] = ()
) -> RolloutState:
    """Decide to give the champion all traffic."""
    champion, challenger = state.champion, state.challenger
    if champion is None or challenger is None:
        return state
    back = replace(
        state,
        phase=Phase.ROLLING_BACK,
        weights={challenger.variant: 0, champion.variant: 100},  # the same variant when only its instances change
        moves=0,
        decided=replace(verdict_on(state, challenger, outcome, reason, now), evidence=evidence),
        paused_at=None,
    )
    return back.noting(now, Phase.ROLLING_BACK.value, challenger.id, reason, champion=champion.id)


def with_evidence(state: RolloutState, rollout_id: str, evidence: tuple[Reason, ...]) -> RolloutState:
    """Adds the evidence of each metric to the verdict on a trial, whether it is carried out yet or not."""

    def filled(verdict: Verdict | None) -> Verdict | None:
        meant = verdict is not None and verdict.rollout_id == rollout_id and not verdict.evidence
        return replace(verdict, evidence=evidence) if verdict is not None and meant else verdict

    after = replace(state, decided=filled(state.decided), verdict=filled(state.verdict))
    return state if after == state else after


def verdict_on(state: RolloutState, release: Release, outcome: Outcome, reason: Reason, now: float) -> Verdict:
    """A verdict on a release of the present rollout."""
    digest = release.package_digest
    return Verdict(outcome, reason, state.rollout_id, release.id, release.recipe, digest, now)
