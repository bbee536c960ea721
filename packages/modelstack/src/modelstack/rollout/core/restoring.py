"""A person requests an earlier release again, or lifts that. The next update starts its rollout as usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.transitions import clear, refuse_unrecorded
from modelstack.rollout.reason import Reason


def restore(state: RolloutState, wanted: Restored, now: float, *, although_rejected: bool = False) -> RolloutState:
    """Request a release that served before, in place of any earlier request. RolloutError if it is not possible now."""
    refuse_unless_restorable(state, wanted.release, wanted.serving, although_rejected=although_rejected)
    refuse_unrecorded(state, f"that release {wanted.release} is restored")
    if wanted.release in state.rejected:
        state = clear(state, wanted.release, now)
    champion = state.champion.id if state.champion else ""
    asked = replace(state, restored=wanted)
    return asked.noting(now, "restore", wanted.release, wanted.reason, champion=champion)


def refuse_unless_restorable(
    state: RolloutState, release: str, serving: Mapping[str, Any], *, although_rejected: bool
) -> None:
    """Raise RolloutError if a release cannot be restored now, regardless of its package."""
    if state.phase is not Phase.IDLE or state.challenger is not None:
        tried = f": release {state.challenger.id} is on it" if state.challenger else ""
        raise RolloutError(
            f"release {release} cannot be restored while {state.endpoint} is {state.phase.value}{tried}. Wait for the "
            "verdict, or take it back with `modelstack rollback`"
        )
    serves, other = state.champion, state.restored
    replaces = other is not None and (other.release, other.serving) != (release, serving)
    if serves is not None and serves.id == release and serving in ({}, serves.serving) and not replaces:
        raise RolloutError(f"release {release} serves {state.endpoint} now: there is nothing to restore")
    rejected = state.rejected.get(release)
    if rejected is not None and not although_rejected:
        raise RolloutError(
            f"release {release} was rolled back, and stays rejected: {rejected.reason.text}. To restore it in spite of "
            "that, add --although-rejected"
        )


def lift(state: RolloutState, reason: Reason, now: float) -> RolloutState:
    """Let the config apply again; what serves stays until the next update."""
    if state.restored is None:
        raise RolloutError(f"no release of {state.endpoint} is restored: the config counts")
    refuse_unrecorded(state, f"that release {state.restored.release} is restored no more")
    return replace(state.noting(now, "restore_lifted", state.restored.release, reason), restored=None)
