"""The next effect that brings the endpoint to the state in the journal: a pure function.

The order is always traffic, then clean-up, then record. An effect depends on what is live, never on what was done, and
may be repeated. So any controller can finish the work of one that was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelstack.rollout.core import endings, transitions
from modelstack.rollout.core.endings import MAX_MOVES
from modelstack.rollout.core.fault import at_fault
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.plan import Guard
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.replay import NONE
from modelstack.rollout.core.state import Phase, Replayed, Requested, RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_SAME_SHARE = 0.1  # percent
_SHOWN = 60.0  # seconds after which an endpoint shows a change that it accepted: reads are eventually consistent
Approvals = Mapping[str, Approval | None]  # package -> its approval status


@dataclass(frozen=True)
class SetWeights:
    """Request these weights."""

    weights: Mapping[str, int]


@dataclass(frozen=True)
class UseConfig:
    """Request this endpoint config, after the attempt is recorded."""

    name: str
    attempt: RolloutState | None
    guard: Guard | None = None


@dataclass(frozen=True)
class Rehearse:
    """Replay captured requests to the challenger, after those in `before`, and record the outcome."""

    champion: str
    challenger: str
    requests: int
    before: Replayed = NONE


@dataclass(frozen=True)
class SetApproval:
    """Set the package's approval status; with `release`, approve only if that release was not rejected meanwhile."""

    package: str
    approval: Approval
    why: Reason
    release: str | None = None


@dataclass(frozen=True)
class Record:
    """Write this state."""

    state: RolloutState


@dataclass(frozen=True)
class Look:
    """The endpoint is as desired: read the signals and decide."""


@dataclass(frozen=True)
class Wait:
    """Nothing can be done until the endpoint has changed."""

    why: str


@dataclass(frozen=True)
class Rest:
    """Nothing is to be done."""


Effect = SetWeights | UseConfig | Rehearse | SetApproval | Record | Look | Wait | Rest


def due(
    state: RolloutState, live: Live | None, approvals: Approvals, now: float, withheld: Reason | None = None
) -> Effect:
    """The next effect, for every input. `live` is None when the endpoint cannot be read."""
    effect = _due(state, live, approvals, now)
    if withheld is not None and live is not None and _gives(state, live, effect):
        return Look() if state.on_trial else Wait(withheld.text)
    # Only a damaged journal has, say, a trial without a challenger: recording it again would loop forever.
    return Wait(f"the journal has no {state.phase.value} to go on with") if effect == Record(state) else effect


def _gives(state: RolloutState, live: Live, effect: Effect) -> bool:
    """Whether an effect requests more traffic for the challenger than it has or is about to have."""
    champion, challenger = state.champion, state.challenger
    if not isinstance(effect, SetWeights) or challenger is None:
        return False
    name = challenger.variant
    if champion is not None and champion.variant == name:
        return False  # a move to other instances: the champion gets its traffic back
    return effect.weights.get(name, 0) > live.shares(desired=True).get(name, 0.0) + _SAME_SHARE


def _settles(state: RolloutState) -> tuple[tuple[Release, Approval], ...]:
    """The releases whose packages the present phase settles, with their final status."""
    champion, challenger, previous, decided = state.champion, state.challenger, state.previous, state.decided
    if state.phase is Phase.RESTORING and champion is not None and previous is not None:
        return (champion, "Rejected"), (previous, "Approved")
    if challenger is None:
        return ()
    if state.phase is not Phase.ROLLING_BACK:
        return ((challenger, "Approved"),)
    if decided is None or (champion is not None and challenger.id == champion.id):
        return ()
    # One that did not fail waits as before its trial, even if it was about to become champion.
    before: Approval = "Approved" if previous is not None and previous.id == challenger.id else "PendingManualApproval"
    return ((challenger, "Rejected" if decided.outcome == "rolled_back" else before),)


def _settling(state: RolloutState, approvals: Approvals) -> SetApproval | None:
    for release, status in _settles(state):
        if approvals.get(release.version) != status:
            only_if = release.id if status == "Approved" else None
            why = state.decided.reason if state.decided else Reason("release", "first", kind=Kind.FIRST)
            return SetApproval(release.version, status, why, only_if)
    return None


def _due(state: RolloutState, live: Live | None, approvals: Approvals, now: float) -> Effect:
    if state.phase is Phase.ROLLING_BACK:
        return _rolling_back(state, live, approvals, now)
    if live is None:
        return Look() if state.on_trial else Rest() if state.at_rest else Wait("the endpoint cannot be read")
    if state.on_trial:
        return _trying(state, live, now)
    if state.phase is Phase.PROMOTING:
        return _promoting(state, live, approvals, now)
    target = state.previous if state.phase is Phase.RESTORING else state.challenger
    if target is not None and state.phase in {Phase.MOVING, Phase.RESTORING}:
        return _arriving(state, live, approvals, now, target)
    return _resting(state, live, now)


def _trying(state: RolloutState, live: Live, now: float) -> Effect:
    if live.status == "failed":
        return Record(endings.fail(state, live.detail, now))
    config = _trial_config(state)
    if live.status == "ready" and live.config != config:
        return _empty_others(state, live) or _move(state, live, config, now)
    if not _ready_for_traffic(state, live):
        return Look()
    return _rehearsal(state, live, now) or _weighing(state, live, now)


def _weighing(state: RolloutState, live: Live, now: float) -> Effect:
    if state.phase is Phase.PREPARING:
        return Record(transitions.to_step(state, 0, Reason("endpoint", "endpoint", kind=Kind.READY)))
    if not _same(live.shares(desired=True), state.weights):
        return SetWeights(state.weights)
    begins = state.step_started_at is None and not state.reduced and _same(live.shares(), state.weights)
    return Record(transitions.confirmed(state, now)) if begins else Look()


def _trial_config(state: RolloutState) -> str:
    shadows = state.plan is not None and state.plan.shadows(max(state.step, 0))
    return (state.shadow_config if shadows else state.pair_config) or ""


def _ready_for_traffic(state: RolloutState, live: Live) -> bool:
    if state.challenger is None:
        return False
    there = {**live.shadows, **live.variants}.get(state.challenger.variant)
    return live.status == "ready" and there is not None and there.instances >= 1


def _rehearsal(state: RolloutState, live: Live, now: float) -> Rehearse | SetWeights | Look | None:
    """The effect of the replay gate while it is ahead, None without one; a gate that waits is tried once per window."""
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if champion is None or challenger is None or plan is None or plan.replay is None or not state.gate_ahead:
        return None
    if challenger.variant not in live.variants:
        return None
    if live.shares()[challenger.variant] > 0:  # set by someone else
        return _empty_others(state, live) if state.phase is Phase.PREPARING else None
    just_looked = state.replayed is not None and now - state.rehearsed_at < plan.window_seconds
    if just_looked or now - state.started_at - state.paused_seconds > plan.max_seconds:
        return Look()
    going_on = state.replayed if state.replayed is not None and state.replayed.reached else NONE
    return Rehearse(champion.variant, challenger.variant, plan.replay.requests - going_on.requests, going_on)


def _resting(state: RolloutState, live: Live, now: float) -> Effect:
    """No rollout runs: serve the champion's own config, whatever a late controller requested."""
    champion = state.champion
    if state.phase is not Phase.IDLE or champion is None or live.status != "ready":
        return Rest()
    emptied = _empty_others(state, live)
    if emptied is not None:
        return emptied
    if live.config != champion.config_name:
        given_up = _given_up(state, live, champion.config_name, now)
        return Rest() if given_up else _request(state, live, champion.config_name, now)
    if state.retiring:
        return Record(replace(state, retiring=()))
    served = live.shares(desired=True).get(champion.variant, 100.0)
    return SetWeights({champion.variant: 100}) if served <= 0 else Rest()


def _promoting(state: RolloutState, live: Live, approvals: Approvals, now: float) -> Effect:
    challenger = state.challenger
    if challenger is None or live.status == "changing":
        return Wait(f"the endpoint is changing: {live.detail}")
    if live.status == "ready" and live.config == state.pair_config:
        if not _same(live.shares(desired=True), state.weights):
            return SetWeights(state.weights)
        if not _same(live.shares(), state.weights):
            return Wait("the weights are on their way")
        settling = _settling(state, approvals)
        if settling is not None:
            return settling
    return _arriving(state, live, approvals, now, challenger)


def _arriving(state: RolloutState, live: Live, approvals: Approvals, now: float, target: Release) -> Effect:
    if live.status == "changing":
        return Wait(f"the endpoint is changing: {live.detail}")
    if live.config != target.config_name:
        return _leaving_trial(state, live, now) or _move(state, live, target.config_name, now, _guard(state))
    if live.status == "failed":
        return Record(endings.fail(state, live.detail, now))
    return _settling(state, approvals) or Record(endings.concluded(state, now))


def _rolling_back(state: RolloutState, live: Live | None, approvals: Approvals, now: float) -> Effect:
    """Moves traffic first, whatever state the endpoint is in; then the approval, the config, and the record.

    Where only the challenger has a variant, the champion's config brings the traffic back, so the approval waits.
    """
    champion, challenger = state.champion, state.challenger
    if live is None:
        return SetWeights(state.weights)
    emptied = _empty_others(state, live)
    if emptied is not None:
        return emptied
    there = {item.variant for item in (champion, challenger) if item is not None and item.variant in live.variants}
    alone = champion is not None and challenger is not None and there == {challenger.variant} != {champion.variant}
    return (None if alone else _settling(state, approvals)) or _back_to_champion(state, live, approvals, now)


def _back_to_champion(state: RolloutState, live: Live, approvals: Approvals, now: float) -> Effect:
    champion = state.champion
    if champion is None or live.status == "changing":
        return Wait(f"the endpoint is changing: {live.detail}")
    if live.config != champion.config_name:
        if _given_up(state, live, champion.config_name, now):
            known = replace(live, failure=_failure(state, live, champion.config_name))
            return Record(endings.stranded(state, known, now))
        return _request(state, live, champion.config_name, now)
    if live.status == "failed":
        return Wait(f"the endpoint has failed: {live.detail}")
    return _settling(state, approvals) or Record(endings.concluded(state, now))


def _leaving_trial(state: RolloutState, live: Live, now: float) -> Effect | None:
    """First to the champion's own config if a guard moves its instances: that needs the same variants on both sides."""
    champion = state.champion
    alone = champion is not None and set(live.variants) == {champion.variant} and not live.shadows
    if champion is None or alone or _guard(state) is None:
        return None
    return _empty_others(state, live) or _move(state, live, champion.config_name, now)


def _move(state: RolloutState, live: Live, config: str, now: float, guard: Guard | None = None) -> Effect:
    if _given_up(state, live, config, now, guard):
        return Record(endings.fail(state, _failure(state, live, config), now))
    return _request(state, live, config, now, guard)


def _given_up(state: RolloutState, live: Live, config: str, now: float, guard: Guard | None = None) -> bool:
    """Whether a config was requested often enough to count as failed.

    Once is enough when an alarm reverted a guarded move, or for a release that never started before, or a champion that
    just failed so: when the platform names the failed instance, or goes back without a reason. Otherwise attempts may
    be missing, of controllers that were killed just before.
    """
    if _stale(state, live, config, now):
        return False
    failure = _failure_of(state, live, config)
    silent = not failure and _accepted(state, live, config) is not None
    if not state.moves or not (failure or silent):
        return state.moves >= 2 * MAX_MOVES
    known = state.decided is not None and state.decided.reason.kind is Kind.CHAMPION_DOWN
    once = state.phase in {Phase.PREPARING, Phase.MOVING} or (state.phase is Phase.ROLLING_BACK and known)
    found = {item.variant: item for item in (state.champion, state.challenger) if item is not None}
    named = bool(failure) and at_fault(failure, found.values()) is not None
    return state.moves >= MAX_MOVES or guard is not None or (once and (named or silent))


def _accepted(state: RolloutState, live: Live, config: str) -> Requested | None:
    """The request of a config that the platform accepted, if the endpoint is ready on the config of before.

    None if it serves a third one: someone else moved it.
    """
    last = state.requested
    if last is None or not last.accepted_at or not state.moves or live.status != "ready":
        return None
    return last if (last.config, last.before) == (config, live.config) else None


def _stale(state: RolloutState, live: Live, config: str, now: float) -> bool:
    """Whether what was read of the endpoint may be from before it accepted the config."""
    last = _accepted(state, live, config)
    return last is not None and live.modified == last.modified and now - last.accepted_at < _SHOWN


def _failure_of(state: RolloutState, live: Live, config: str) -> str:
    """The failure that the platform reports of the requested config; empty if it is that of an earlier change.

    It counts once the request is known to be accepted, or the endpoint has changed since. Until then the call may have
    been lost on its way, and the endpoint still shows how its last change failed.
    """
    last = state.requested
    if last is None:  # of a journal before requests were recorded
        return live.failure
    unchanged = live.modified != 0 and live.modified == last.modified
    started = last.config == config and (last.accepted_at > 0 or not unchanged)
    return live.failure if started else ""


def _failure(state: RolloutState, live: Live, config: str) -> str:
    """Why a config counts as failed."""
    if failure := _failure_of(state, live, config):
        return failure
    if _accepted(state, live, config) is not None:
        return f"it accepted config {config}, and serves {live.config} again without a reason: see its containers' logs"
    return f"{state.moves} requests of config {config} changed nothing" if live.failure else live.detail


def _request(state: RolloutState, live: Live, config: str, now: float, guard: Guard | None = None) -> UseConfig | Wait:
    """Request a config, with the attempt counted; not while an accepted request may not be visible yet."""
    if _stale(state, live, config, now):
        return Wait(f"the endpoint has accepted config {config}")
    # A ready endpoint uses only the superseded challengers of its config.
    retiring = endings.using(state.retiring, live.config) if live.status == "ready" else state.retiring
    requested = Requested(config, live.config, live.modified)
    return UseConfig(config, replace(state, moves=state.moves + 1, requested=requested, retiring=retiring), guard)


def _guard(state: RolloutState) -> Guard | None:
    """The platform's own guardrail, for a change of only the instances: the same model under the same variant."""
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if state.phase is not Phase.MOVING or champion is None or challenger is None or plan is None:
        return None
    return plan.guard if champion.variant == challenger.variant else None


def _empty_others(state: RolloutState, live: Live) -> SetWeights | None:
    """Everything to the champion, if another live variant gets traffic; else None."""
    champion = state.champion
    if champion is None or champion.variant not in live.variants:
        return None
    shares, going = live.shares(), live.shares(desired=True)
    others = [name for name in live.variants if name != champion.variant]
    # Current weights count unless the endpoint is already moving away from them.
    taken = any(going[name] > 0 or (live.status == "ready" and shares[name] > 0) for name in others)
    return SetWeights({champion.variant: 100, **dict.fromkeys(others, 0)}) if taken else None


def _same(shares: Mapping[str, float], weights: Mapping[str, int]) -> bool:
    names = shares.keys() | weights.keys()
    return all(abs(shares.get(name, 0.0) - weights.get(name, 0)) < _SAME_SHARE for name in names)
