"""What stands between what the journal asks for and what the endpoint does: the one next effect, a pure function.

The order is always traffic, then clean-up, then record; each effect may be repeated; and the next one is found from
what is live, never from what was done. So whoever comes after a controller that was killed finishes its work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollout.core import endings, transitions
from rollout.core.live import Approval, Live
from rollout.core.plan import Guard
from rollout.core.release import Release
from rollout.core.replay import NONE
from rollout.core.state import Phase, Replayed, RolloutState
from rollout.kinds import Kind
from rollout.reason import Reason

MAX_MOVES = 3  # how often a config is asked for before it counts as one that does not come up
_SAME_SHARE = 0.1  # percent


@dataclass(frozen=True)
class SetWeights:
    """Ask the endpoint for these weights."""

    weights: Mapping[str, int]


@dataclass(frozen=True)
class UseConfig:
    """Ask the endpoint for this config, having recorded the attempt."""

    name: str
    attempt: RolloutState | None
    guard: Guard | None = None


@dataclass(frozen=True)
class Rehearse:
    """Replay captured requests to the challenger, after those that were replayed before, and record the outcome."""

    champion: str
    challenger: str
    requests: int
    before: Replayed = NONE


@dataclass(frozen=True)
class SetApproval:
    """Give the package this approval status; an approval only unless its release was rejected meanwhile."""

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
    """Nothing to put right: look at the signals and decide."""


@dataclass(frozen=True)
class Wait:
    """Nothing can be done until the endpoint has changed."""

    why: str


@dataclass(frozen=True)
class Rest:
    """Nothing is to be done."""


Effect = SetWeights | UseConfig | Rehearse | SetApproval | Record | Look | Wait | Rest


def subject(state: RolloutState) -> Release | None:
    """The release whose approval status the present phase will settle; None when it settles none."""
    if state.phase is Phase.RESTORING:
        return state.champion
    if state.phase is Phase.ROLLING_BACK:
        return state.challenger if _returned(state) is not None else None
    return state.challenger if state.phase in {Phase.MOVING, Phase.PROMOTING} else None


def _returned(state: RolloutState) -> Approval | None:
    """The status that a rollback leaves the challenger's package with; None when it leaves it alone.

    One that failed through no fault of its own waits as before its trial, even if it was about to be promoted.
    """
    champion, challenger, decided = state.champion, state.challenger, state.decided
    if challenger is None or decided is None or (champion is not None and challenger.id == champion.id):
        return None
    returned: dict[str, Approval] = {"rolled_back": "Rejected", "failed": "PendingManualApproval"}
    return returned.get(decided.outcome)


def due(state: RolloutState, live: Live | None, approval: Approval | None, now: float) -> Effect:
    """The next effect. Total: every input has an answer.

    Args:
        state: What the journal asks for.
        live: What the endpoint says of itself; None when it cannot be read.
        approval: The status of `subject(state)`'s package; None when it is not known.
        now: Epoch seconds.
    """
    effect = _due(state, live, approval, now)
    # Only a damaged journal has, say, a trial without a challenger: recording it again would go on for ever.
    return Wait(f"the journal has no {state.phase.value} to go on with") if effect == Record(state) else effect


def _due(state: RolloutState, live: Live | None, approval: Approval | None, now: float) -> Effect:
    if state.phase is Phase.ROLLING_BACK:
        return _rolling_back(state, live, approval, now)
    if live is None:
        return Look() if state.on_trial else Rest() if state.at_rest else Wait("the endpoint cannot be read")
    if state.on_trial:
        return _trying(state, live, now)
    if state.phase is Phase.PROMOTING:
        return _promoting(state, live, approval, now)
    target = state.previous if state.phase is Phase.RESTORING else state.challenger
    if target is not None and state.phase in {Phase.MOVING, Phase.RESTORING}:
        return _arriving(state, live, approval, now, target)
    return _resting(state, live, now)


def _trying(state: RolloutState, live: Live, now: float) -> Effect:
    """A trial: get to the step's config, give the challenger its share, and confirm it."""
    if live.status == "failed":
        return Record(endings.fail(state, live.detail, now))
    config = _trial_config(state)
    if live.status == "ready" and live.config != config:
        return _empty_others(state, live) or _move(state, live, config, now)
    if not _ready_for_traffic(state, live):
        return Look()
    return _rehearsal(state, live, now) or _weighing(state, live, now)


def _weighing(state: RolloutState, live: Live, now: float) -> Effect:
    """The endpoint serves the step's config: set the weights, see that they hold, and look."""
    if state.phase is Phase.PREPARING:
        return Record(transitions.to_step(state, 0, Reason("endpoint", "endpoint", kind=Kind.READY)))
    if not _same(live.shares(desired=True), state.weights):
        return SetWeights(state.weights)
    begins = state.step_started_at is None and _same(live.shares(), state.weights)
    return Record(transitions.confirmed(state, now)) if begins else Look()


def _trial_config(state: RolloutState) -> str:
    """The config that serves the present step, or the first one while the endpoint is prepared."""
    shadows = state.plan is not None and state.plan.shadows(max(state.step, 0))
    return (state.shadow_config if shadows else state.pair_config) or ""


def _ready_for_traffic(state: RolloutState, live: Live) -> bool:
    """Whether the endpoint takes weights, and the challenger has an instance to answer with."""
    if state.challenger is None:
        return False
    there = {**live.shadows, **live.variants}.get(state.challenger.variant)
    return live.status == "ready" and there is not None and there.instances >= 1


def _rehearsal(state: RolloutState, live: Live, now: float) -> Rehearse | SetWeights | Look | None:
    """The replay gate, when it is still before the challenger; only a production variant can be asked by name.

    One that cannot be had in the trial's time is no longer tried: then the decision is that the time is over. One that
    waits for more captured requests looks for them once a window.
    """
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if champion is None or challenger is None or plan is None or plan.replay is None or not state.gate_ahead:
        return None
    if challenger.variant not in live.variants:
        return None
    if live.shares()[challenger.variant] > 0:  # that somebody else gave it
        return _empty_others(state, live) if state.phase is Phase.PREPARING else None
    just_looked = state.replayed is not None and now - state.rehearsed_at < plan.window_seconds
    if just_looked or now - state.started_at - state.paused_seconds > plan.max_seconds:
        return Look()
    going_on = state.replayed if state.replayed is not None and state.replayed.reached else NONE
    return Rehearse(champion.variant, challenger.variant, plan.replay.requests - going_on.requests, going_on)


def _resting(state: RolloutState, live: Live, now: float) -> Effect:
    """No rollout runs: the champion's own config serves, whatever a controller that came too late asked for."""
    champion = state.champion
    if state.phase is not Phase.IDLE or champion is None or live.status != "ready":
        return Rest()
    if live.config != champion.config_name:
        return Rest() if state.moves >= MAX_MOVES else _move(state, live, champion.config_name, now)
    served = live.shares(desired=True).get(champion.variant, 100.0)
    return SetWeights({champion.variant: 100}) if served <= 0 else Rest()


def _promoting(state: RolloutState, live: Live, approval: Approval | None, now: float) -> Effect:
    challenger = state.challenger
    if challenger is None or live.status == "changing":
        return Wait(f"the endpoint is changing: {live.detail}")
    if live.status == "ready" and live.config == state.pair_config:
        if not _same(live.shares(desired=True), state.weights):
            return SetWeights(state.weights)
        if not _same(live.shares(), state.weights):
            return Wait("the weights are on their way")
        if approval != "Approved":
            return SetApproval(challenger.model_package_arn, "Approved", _why(state), challenger.id)
    return _arriving(state, live, approval, now, challenger)


def _arriving(state: RolloutState, live: Live, approval: Approval | None, now: float, target: Release) -> Effect:
    """Get to the target's own config, settle the approval, and record."""
    if live.status == "changing":
        return Wait(f"the endpoint is changing: {live.detail}")
    if live.config != target.config_name:
        return _leaving_trial(state, live, now) or _move(state, live, target.config_name, now, _guard(state))
    if live.status == "failed":
        return Record(endings.fail(state, live.detail, now))
    verdict: Approval = "Rejected" if state.phase is Phase.RESTORING else "Approved"
    release = subject(state)
    if release is not None and approval != verdict:
        return SetApproval(release.model_package_arn, verdict, _why(state), release.id)
    return Record(endings.concluded(state, now))


def _rolling_back(state: RolloutState, live: Live | None, approval: Approval | None, now: float) -> Effect:
    """Traffic first, whatever the endpoint is doing; then the approval, the config, and the record."""
    if live is None:
        return SetWeights(state.weights)
    emptied = _empty_others(state, live)
    if emptied is not None:
        return emptied
    returned, status = subject(state), _returned(state)
    if returned is not None and status is not None and approval != status:
        return SetApproval(returned.model_package_arn, status, _why(state))
    return _back_to_champion(state, live, now)


def _back_to_champion(state: RolloutState, live: Live, now: float) -> Effect:
    champion = state.champion
    if champion is None or live.status == "changing":
        return Wait(f"the endpoint is changing: {live.detail}")
    if live.config != champion.config_name:
        return UseConfig(champion.config_name, None)  # counted nowhere: a rollback never gives up
    if live.status == "failed":
        return Wait(f"the endpoint has failed: {live.detail}")
    return Record(endings.concluded(state, now))


def _leaving_trial(state: RolloutState, live: Live, now: float) -> Effect | None:
    """To the champion's own config first when a guard moves its instances: it takes the same variants on both sides."""
    champion = state.champion
    alone = champion is not None and set(live.variants) == {champion.variant} and not live.shadows
    if champion is None or alone or _guard(state) is None:
        return None
    return _empty_others(state, live) or _move(state, live, champion.config_name, now)


def _move(state: RolloutState, live: Live, config: str, now: float, guard: Guard | None = None) -> Effect:
    turned_back = guard is not None and state.moves > 0 and live.failure  # by an alarm: once more would be no better
    if state.moves >= MAX_MOVES or turned_back:
        return Record(endings.fail(state, live.failure or live.detail, now))
    return UseConfig(config, replace(state, moves=state.moves + 1), guard)


def _guard(state: RolloutState) -> Guard | None:
    """The platform's own guardrail, for a change of the instances alone: the same model under the same variant."""
    champion, challenger, plan = state.champion, state.challenger, state.plan
    if state.phase is not Phase.MOVING or champion is None or challenger is None or plan is None:
        return None
    return plan.guard if champion.variant == challenger.variant else None


def _empty_others(state: RolloutState, live: Live) -> SetWeights | None:
    """Everything to the champion, when a variant beside it is live and gets traffic; else None."""
    champion = state.champion
    if champion is None or champion.variant not in live.variants:
        return None
    shares, going = live.shares(), live.shares(desired=True)
    others = [name for name in live.variants if name != champion.variant]
    # What routes now counts as long as the endpoint does not move to something else by itself.
    taken = any(going[name] > 0 or (live.status == "ready" and shares[name] > 0) for name in others)
    return SetWeights({champion.variant: 100, **dict.fromkeys(others, 0)}) if taken else None


def _same(shares: Mapping[str, float], weights: Mapping[str, int]) -> bool:
    names = shares.keys() | weights.keys()
    return all(abs(shares.get(name, 0.0) - weights.get(name, 0)) < _SAME_SHARE for name in names)


def _why(state: RolloutState) -> Reason:
    return state.decided.reason if state.decided else Reason("release", "first", kind=Kind.FIRST)
