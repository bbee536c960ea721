"""Writes the sealed audit records of the journal to a store that never overwrites.

Anybody may do so at any time, oldest first, and then note it in the journal; after a crash the next call repeats it.
The controller does not, so that traffic never waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from modelstack.records.audit.record import AuditRecord
from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.ports import Journal
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import RolloutState


class Records(Protocol):
    """Stores signed records for good, each under its number."""

    def put(self, record: AuditRecord) -> None:
        """Store a record; the same record again is no error, another one under its number is a RolloutError.

        After Unreachable the record may or may not be stored.
        """


@dataclass(frozen=True)
class Recorder:
    """Stores the records that wait in one journal."""

    journal: Journal
    records: Records

    def put(self) -> int:
        """Store the waiting records, and return how many there were. After an error the next call continues."""
        waiting, last = self.journal.read().audit.waiting, 0
        failure: RolloutError | None = None
        for record in waiting:
            try:
                self.records.put(record)
                last = record.number
            except RolloutError as error:
                failure = error
                break

        def kept(state: RolloutState) -> RolloutState:
            chain = state.audit.kept(last)
            return state if chain == state.audit else replace(state, audit=chain)

        if last:
            change(self.journal, kept)
        if failure is not None:
            raise failure
        return len(waiting)
