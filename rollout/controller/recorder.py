"""Puts the audit record away: what the journal has sealed goes into a store where nothing is overwritten.

The record's end lies in the journal, and a write of the journal is what makes a record. So this may be called by
anybody, any number of times: it puts what waits, oldest first, and then says so in the journal. Whoever is killed in
between leaves it to the next call, which puts the same records again. It is no part of the controller: what moves
traffic never waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from audit.record import AuditRecord
from rollout.controller.agreement import change
from rollout.controller.ports import Journal
from rollout.core.errors import RolloutError
from rollout.core.state import RolloutState


class Records(Protocol):
    """Keeps records, each under its number, signed, and for good."""

    def put(self, record: AuditRecord) -> None:
        """Keep a record; one that is there already, the same, is no error.

        Raises:
            Unreachable: The store or the key does not answer; the record may or may not be there.
            RolloutError: Another record is there under this number, or it is not allowed.
        """
        ...


@dataclass(frozen=True)
class Recorder:
    """Puts away what waits in one journal.

    Attributes:
        journal: Keeps the state, and in it the end of the record.
        records: The store.
    """

    journal: Journal
    records: Records

    def put(self) -> int:
        """Put away what waits; how many records that were.

        Raises:
            RolloutError: One could not be put. Those before it are, and the journal says so; the next call goes on.
        """
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
