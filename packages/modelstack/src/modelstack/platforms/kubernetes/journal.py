"""`Journal` on Kubernetes, in the status of a Rollout, with a copy in a ConfigMap.

Pulumi creates both and writes neither. `kubectl apply` of a backup drops the status; the copy then restores it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.api_requests import event_object
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, EVENT, ROLLOUT
from modelstack.platforms.kubernetes.names import API_VERSION, MANAGER, journal_copy
from modelstack.platforms.kubernetes.rollout_status import rollout_status
from modelstack.rollout.core.errors import Conflict, RolloutError, Unreachable
from modelstack.rollout.core.state import RolloutState
from modelstack.services.documents import packed, unpacked
from modelstack.services.journal import CopiedJournal

LARGEST = 1_400_000  # maximum bytes of a Rollout. etcd allows 1.5 MiB, and the API server adds managed fields
_ATTEMPTS = 4
_COPY = "journal"  # the key of the ConfigMap


@dataclass(frozen=True)
class KubernetesJournal:
    """`StateStore` in the status of a Rollout."""

    api: Api
    endpoint: str

    def read(self) -> RolloutState:
        """The state, by a consistent read, empty before the first write; raises NotFound before `pulumi up`."""
        return state_of(self._rollout(), self.endpoint)

    def find(self) -> RolloutState:
        """Like `read`, but empty without a Rollout."""
        rollout = self.api.find(ROLLOUT, self.endpoint)
        return state_of(rollout or {}, self.endpoint)

    def put(self, state: RolloutState) -> None:
        """See `modelstack.services.journal.StateStore`.

        A write to another part of the object is no conflict. After a lost response it checks whether the write landed.
        """
        for left in reversed(range(_ATTEMPTS)):
            rollout = self._rollout()
            status = rollout_status(state, rollout, self.api.clock.time())
            if rollout.get("status") == status:
                return  # an earlier attempt landed
            there = state_of(rollout, self.endpoint).revision
            if there >= state.revision:
                raise Conflict(f"the journal {self.endpoint} moved on from revision {state.revision - 1} to {there}")
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
                return
        raise AssertionError("a write is tried at least once")

    def _rollout(self) -> Object:
        try:
            return self.api.get(ROLLOUT, self.endpoint)
        except NotFound as error:
            raise NotFound(f"{error}. `pulumi up` of the stack makes it") from error


@dataclass(frozen=True)
class JournalCopy:
    """The copy of a journal, compressed, in a ConfigMap."""

    api: Api
    endpoint: str

    def read(self) -> RolloutState:
        """The state; an empty one without a ConfigMap."""
        return self._state_of(self._find())

    def put(self, state: RolloutState) -> None:
        """See `StateStore`. An Event of the Rollout says that a lost copy was made again."""
        found = self._find()
        stored = self._state_of(found).revision
        if stored >= state.revision:
            raise Conflict(f"the copy of the journal {self.endpoint} is at revision {state.revision} already")
        content = base64.b64encode(packed({"state": state.to_json()})).decode()
        seen = {"resourceVersion": found["metadata"]["resourceVersion"]} if found else {}
        metadata = {"name": journal_copy(self.endpoint), **seen}
        self.api.apply(CONFIG_MAP, {"metadata": metadata, "binaryData": {_COPY: content}}, MANAGER, force=True)
        if not stored and state.revision > 1:
            with suppress(RolloutError):  # the copy is there, and a person may have no right to create Events
                self._say_restored(state)

    def _say_restored(self, state: RolloutState) -> None:
        name, now = journal_copy(self.endpoint), self.api.clock.time()
        rollout = self.api.get(ROLLOUT, self.endpoint)["metadata"]
        about = {"apiVersion": API_VERSION, "kind": ROLLOUT.kind, "name": self.endpoint, "uid": rollout["uid"]}
        about["namespace"] = self.api.namespace
        words = f"ConfigMap {name} had lost the copy of the journal. It has revision {state.revision} of it again."
        event = event_object(f"{name}.{now:.0f}", about, "JournalCopyRestored", words, at=now, by=MANAGER, warning=True)
        self.api.create(EVENT, event)

    def _find(self) -> Object | None:
        return self.api.find(CONFIG_MAP, journal_copy(self.endpoint))

    def _state_of(self, found: Object | None) -> RolloutState:
        content = ((found or {}).get("binaryData") or {}).get(_COPY)
        if content is None:
            return RolloutState(self.endpoint)
        return RolloutState.from_json(unpacked(base64.b64decode(content))["state"])


def copied_journal(api: Api, endpoint: str, by: str = "") -> CopiedJournal:
    """The journal of an endpoint with its copy; `by` is the user for the audit record, empty if unknown."""
    return CopiedJournal(KubernetesJournal(api, endpoint), JournalCopy(api, endpoint), by)


def newest(api: Api, endpoint: str) -> RolloutState:
    """The state in the journal or its copy, whichever is newer; empty without both, also without a Rollout."""
    return max(KubernetesJournal(api, endpoint).find(), JournalCopy(api, endpoint).read(), key=lambda one: one.revision)


def state_of(rollout: Mapping[str, Any], endpoint: str) -> RolloutState:
    """The state in a Rollout object; raises StateError if it cannot be parsed."""
    text = (rollout.get("status") or {}).get("state")
    return RolloutState.from_json(text) if text else RolloutState(endpoint)
