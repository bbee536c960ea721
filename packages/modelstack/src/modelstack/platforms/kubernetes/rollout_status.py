"""The status of a Rollout: the journal's state, with the parts that `kubectl` and Argo CD show.

Source: Kubernetes API conventions, "Typical status properties".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState

READY, PROGRESSING, DEGRADED = "Ready", "Progressing", "Degraded"
NOT_SERVING = "NotServing"  # the reason of both conditions while the champion has no ready pod
_LONGEST = 4000  # characters of a message
_WAITS = frozenset({Phase.PAUSED, Phase.HELD})
_AT_REST = frozenset({Phase.NONE, Phase.IDLE})
Status = dict[str, Any]


def rollout_status(
    state: RolloutState, rollout: Mapping[str, Any], now: float, not_serving: str | None = None
) -> Status:
    """The status of a Rollout object; a condition that does not change keeps its time. `now` is in epoch seconds.

    `not_serving` is why the champion has no ready pod, empty if it has one; None keeps what the object says.
    """
    champion, challenger, plan = state.champion, state.challenger, state.plan
    return {
        "revision": state.revision,
        "rolloutId": state.rollout_id,
        "phase": state.phase.value,
        "champion": _variant(champion),
        "championVersion": champion.version if champion else "",
        "challenger": _variant(challenger),
        "challengerVersion": challenger.version if challenger else "",
        "weight": state.weights.get(_variant(challenger), 0),
        "weights": dict(state.weights),
        "step": state.step + 1 if state.on_trial else 0,
        "steps": len(plan.steps) if plan and state.on_trial else 0,
        "reason": _reason(state),
        "conditions": _conditions(state, rollout, now, not_serving),
        "state": state.to_json(),
    }


def _variant(release: Release | None) -> str:
    return release.variant if release else ""


def _reason(state: RolloutState) -> str:
    """Why the rollout is where it is, in a sentence."""
    latest = state.history[-1].text if state.history else ""
    decided = state.decided or (state.last if state.phase in _AT_REST else None)
    return (decided.reason.text if decided else latest)[:_LONGEST]


def conditions_of(rollout: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The conditions of a Rollout object by type."""
    return {one["type"]: one for one in (rollout.get("status") or {}).get("conditions") or []}


def _conditions(state: RolloutState, rollout: Mapping[str, Any], now: float, not_serving: str | None) -> list[Status]:
    before = conditions_of(rollout)
    if not_serving is None:
        ready = before.get(READY, {})
        not_serving = ready["message"] if ready.get("reason") == NOT_SERVING else ""
    phase, verdict = state.phase, state.last
    name = "".join(word.capitalize() for word in phase.value.split("_"))
    champion = state.champion
    bad = verdict is not None and verdict.outcome in {"rolled_back", "failed"} and phase in _AT_REST
    outcome = "".join(word.capitalize() for word in verdict.outcome.split("_")) if verdict else name
    latest = state.history[-1].text if state.history else "nothing was released yet"
    found = [
        (READY, champion is not None, name, f"{champion.variant} is the champion" if champion else latest),
        (PROGRESSING, phase not in _AT_REST | _WAITS, name, latest),
        (DEGRADED, bad, outcome if bad else name, verdict.reason.text if bad and verdict else ""),
    ]
    if champion is not None and not_serving:
        found[0] = (READY, False, NOT_SERVING, not_serving)
        found[2] = (DEGRADED, True, NOT_SERVING, not_serving)
    generation, at = rollout["metadata"].get("generation", 0), datetime.fromtimestamp(now, UTC)
    conditions: list[Status] = []
    for type_, holds, reason, message in found:
        status = "True" if holds else "False"
        known = before.get(type_, {})
        since = known["lastTransitionTime"] if known.get("status") == status else at.strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions.append(
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message[:_LONGEST],
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return conditions
