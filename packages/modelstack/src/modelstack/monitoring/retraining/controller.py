"""Runs a retraining: observe, decide, write, act, notify. It may be called at any time, any number of times.

A record is written before its job is created, and only on the revision that was read. So of two concurrent calls one
begins, and the next call finishes the work of one that was killed. An event is sent after it was written, and marked
afterwards: it may be sent twice, and is never lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from modelstack.monitoring.retraining.decision import RetrainingObservation, Start, Stop, decide
from modelstack.monitoring.retraining.record import RetrainingEvent, RetrainingRecord
from modelstack.monitoring.retraining.rules import Rules

_ATTEMPTS = 5


class Moved(Exception):
    """Other writers changed the record again and again."""


class Book(Protocol):
    """Stores the record."""

    def read(self) -> RetrainingRecord:
        """The record, or an empty one."""

    def write(self, record: RetrainingRecord) -> RetrainingRecord | None:
        """Store the successor of the revision that was read; None when another writer was first."""


class World(Protocol):
    """The platform on which jobs run."""

    def look(self, record: RetrainingRecord) -> RetrainingObservation:
        """Observe the platform."""

    def create(self, start: Start) -> None:
        """Create a job, unless there is one of that name."""

    def stop(self, job: str) -> None:
        """Stop a job, unless it has ended or is being stopped."""


Tell = Callable[[RetrainingEvent], None]  # notifies people of an event


@dataclass(frozen=True)
class RetrainingController:
    """The retraining of one endpoint."""

    book: Book
    world: World
    tell: Tell
    rules: Rules
    endpoint: str

    def carry_on(
        self, change: Callable[[RetrainingRecord, RetrainingObservation], RetrainingRecord] | None = None
    ) -> RetrainingRecord:
        """Do what follows, after a person's `change`, which may raise NotNow. Moved if others keep writing."""
        for _ in range(_ATTEMPTS):
            record = self.book.read()
            seen = self.world.look(record)
            asked = change(record, seen) if change else record
            # A person who declines does not trigger the next request in the same call.
            goes_on = change is None or asked.approved or asked.stopping or asked.requested is not None
            after, act = decide(asked, seen, self.rules, self.endpoint) if goes_on else (asked, None)
            written = record if after == record else self.book.write(after)
            if written is None:
                continue
            if isinstance(act, Start):
                self.world.create(act)
                if not self._wanted(act):
                    self.world.stop(act.job)
            elif isinstance(act, Stop):
                self.world.stop(act.job)
            return self._reported(written)
        raise Moved(f"the record of {self.endpoint}'s retraining was written by others {_ATTEMPTS} times")

    def _wanted(self, started: Start) -> bool:
        """Whether a job is still the record's: a caller that stopped it meanwhile found no job to stop."""
        now = self.book.read()
        return now.job == started.job and not now.stopping

    def _reported(self, record: RetrainingRecord) -> RetrainingRecord:
        if not record.not_reported:
            return record
        for entry in record.history[-record.not_reported :]:
            self.tell(entry)
        return self.book.write(replace(record, not_reported=0)) or record
