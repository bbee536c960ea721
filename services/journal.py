"""The journal of an endpoint above documents: one document, whose revision is that of the state.

AWS and Kubernetes have their own journals: a table of its own, which a person may read without the documents, and the
status of a Rollout, which `kubectl` shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.core.errors import Conflict
from rollout.core.state import RolloutState
from services.ports import Document, Documents


@dataclass(frozen=True)
class DocumentJournal:
    """`Journal` above documents; `by` is the writer in the audit record, empty if unknown."""

    documents: Documents
    endpoint: str
    by: str = ""

    def read(self) -> RolloutState:
        key = f"journal#{self.endpoint}"
        found = self.documents.get([key])[key]
        return RolloutState.from_json(found.body["state"]) if found.revision else RolloutState(self.endpoint)

    def write(self, state: RolloutState) -> RolloutState:
        after = state.written(self.by)
        body = {"state": after.to_json()}
        if self.documents.transact([Document(f"journal#{self.endpoint}", body, state.revision)]):
            raise Conflict(f"the journal of {self.endpoint} is not at revision {state.revision} any more")
        return after
