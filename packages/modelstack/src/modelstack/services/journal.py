"""The journal of an endpoint: above documents, and with a second copy.

AWS and Kubernetes have their own journals: a table of its own, which a person may read without the documents, and the
status of a Rollout, which `kubectl` shows. Both have a copy elsewhere:

journal = CopiedJournal(primary, DocumentJournal(documents, "flight-delay-prod"), by="ada")
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from modelstack.rollout.core.errors import Conflict, RolloutError
from modelstack.rollout.core.state import RolloutState, StateError
from modelstack.services.ports import Document, Documents


class StateStore(Protocol):
    """Stores one state of an endpoint."""

    def read(self) -> RolloutState:
        """The stored state; an empty one without any."""

    def put(self, state: RolloutState) -> None:
        """Store a state as it is; Conflict if the stored one has the same revision, or a later one."""


@dataclass
class CopiedJournal:
    """`Journal` in two places, which survives the loss of either, and an old backup in either.

    A write goes to the copy first, so that the copy is never behind: a decision in it counts, even if the writer is
    killed before it reaches the primary. A copy that does not answer stops no write. The later revision counts, and a
    reader brings it to the other place. `by` is the writer in the audit record, empty if unknown.

    A read compares both places after a write, and again `every` so many seconds.
    """

    primary: StateStore
    copy: StateStore
    by: str = ""
    every: float = 60.0
    _compared: int = field(default=0, init=False)  # the copy is known not to be ahead of this revision
    _compared_at: float = field(default=0.0, init=False)

    def read(self) -> RolloutState:
        state = self.primary.read()
        fresh = time.monotonic() < self._compared_at + self.every
        if self._compared and fresh and state.revision >= self._compared:
            return state
        try:
            copied = self.copy.read()
        except (RolloutError, StateError):
            if not state.revision:  # unknown is not empty
                raise
            return state
        older = self.primary if copied.revision > state.revision else self.copy
        latest = max(state, copied, key=lambda one: one.revision)
        if state.revision != copied.revision:
            with suppress(RolloutError):  # a reader may have no right to write; the controllers have it
                older.put(latest)
        self._noted(latest)
        return latest

    def write(self, state: RolloutState) -> RolloutState:
        after = state.written(self.by)
        self._compared = 0
        try:
            _put(self.copy, after)
        except Conflict:
            raise
        except (RolloutError, StateError):
            pass  # it is behind now, and the next write catches up
        _put(self.primary, after)
        self._noted(after)
        return after

    def _noted(self, state: RolloutState) -> None:
        self._compared, self._compared_at = state.revision, time.monotonic()


def _put(store: StateStore, state: RolloutState) -> None:
    """Store a state. It may be there already, after a lost response, or because a reader brought it there."""
    try:
        store.put(state)
    except Conflict:
        if store.read() != state:
            raise


@dataclass(frozen=True)
class DocumentJournal:
    """`StateStore` above documents."""

    documents: Documents
    endpoint: str

    def read(self) -> RolloutState:
        return self._state_of(self._found())

    def put(self, state: RolloutState) -> None:
        """See `StateStore`."""
        found = self._found()
        stored = self._state_of(found).revision
        document = Document(found.key, {"state": state.to_json()}, found.revision)
        if stored >= state.revision or self.documents.transact([document]):
            raise Conflict(f"the journal of {self.endpoint} is not at revision {state.revision - 1} any more")

    def _found(self) -> Document:
        key = f"journal#{self.endpoint}"
        return self.documents.get([key])[key]

    def _state_of(self, found: Document) -> RolloutState:
        return RolloutState.from_json(found.body["state"]) if found.revision else RolloutState(self.endpoint)
