"""`Journal` on Kubernetes, in the status of a Rollout. Pulumi creates the Rollout and never writes its status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platforms.kubernetes.answers import NotFound
from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.kinds import ROLLOUT
from rollout.core.errors import Conflict, RolloutError, Unreachable
from rollout.core.state import RolloutState

LARGEST = 1_400_000  # maximum bytes of a Rollout. etcd allows 1.5 MiB, and the API server adds managed fields
_ATTEMPTS = 4


@dataclass(frozen=True)
class KubernetesJournal:
    """`Journal` in the status of a Rollout. `by` is the user for the audit record, empty if unknown."""

    api: Api
    endpoint: str
    by: str = ""

    def read(self) -> RolloutState:
        """The state, by a consistent read, empty before the first write; raises NotFound before `pulumi up`."""
        return state_of(self._rollout(), self.endpoint)

    def write(self, state: RolloutState) -> RolloutState:
        """Write the successor of the revision that was read; raises Conflict if another writer was first.

        A write to another part of the object is no conflict. After a lost response it checks whether the write landed.
        """
        after = state.written(self.by)
        status = _status(after)
        for left in reversed(range(_ATTEMPTS)):
            rollout = self._rollout()
            if rollout.get("status") == status:
                return after  # an earlier attempt landed
            there = state_of(rollout, self.endpoint).revision
            if there != state.revision:
                raise Conflict(f"the journal {self.endpoint} moved on from revision {state.revision} to {there}")
            whole = {**rollout, "status": status}
            whole["metadata"] = {key: item for key, item in rollout["metadata"].items() if key != "managedFields"}
            size = len(json.dumps(whole).encode())
            if size > LARGEST:
                raise RolloutError(
                    f"the journal of {self.endpoint} would have {size} bytes, allowed are {LARGEST}, as etcd takes 1.5 "
                    "MiB an object: clear rejected releases that will not come again (`modelstack clear`)"
                )
            try:
                self.api.replace_status(ROLLOUT, whole)
            except (Conflict, Unreachable):
                if not left:
                    raise
            else:
                return after
        raise AssertionError("a write is tried at least once")

    def _rollout(self) -> Object:
        try:
            return self.api.get(ROLLOUT, self.endpoint)
        except NotFound as error:
            raise NotFound(f"{error}. `pulumi up` of the stack makes it") from error


def _status(state: RolloutState) -> dict[str, Any]:
    """The state, with the columns of `kubectl get rollouts`."""
    shown = {
        "champion": state.champion.variant if state.champion else "",
        "challenger": state.challenger.variant if state.challenger else "",
        "weight": state.weights.get(state.challenger.variant, 0) if state.challenger else 0,
    }
    return {
        "revision": state.revision,
        "rolloutId": state.rollout_id,
        "phase": state.phase.value,
        **shown,
        "state": state.to_json(),
    }


def state_of(rollout: Mapping[str, Any], endpoint: str) -> RolloutState:
    """The state in a Rollout object; raises StateError if it cannot be parsed."""
    text = (rollout.get("status") or {}).get("state")
    return RolloutState.from_json(text) if text else RolloutState(endpoint)
