"""Carries a retraining on: look, decide, write, act, tell. Anything may call it, at any time, any number of times.

    RetrainingController(book, world, tell, rules, endpoint).carry_on()

A record is written before its job is created, on the condition that nobody else wrote one since it was read; so of two
calls at once one begins, and one that was killed in between is finished by the next. An event is told after it was
written, and noted as told then: it may be told twice, and is never lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from retraining.decision import RetrainingObservation, Start, Stop, decide
from retraining.record import Entry, RetrainingRecord
from retraining.rules import Rules

_ATTEMPTS = 5


class Moved(Exception):
    """Others wrote the record again and again."""


class Book(Protocol):
    """Keeps the record."""

    def read(self) -> RetrainingRecord:
        """The record, or an empty one."""
        ...

    def write(self, record: RetrainingRecord) -> RetrainingRecord | None:
        """Store the successor of the revision that was read; None when another writer was first."""
        ...


class World(Protocol):
    """What the decision is about."""

    def look(self, record: RetrainingRecord) -> RetrainingObservation:
        """See what is."""
        ...

    def create(self, start: Start) -> None:
        """Create a job, unless there is one of that name."""
        ...

    def stop(self, job: str) -> None:
        """Stop a job, unless it has ended or is being stopped."""
        ...


Tell = Callable[[Entry], None]
"""Tells people an event."""


@dataclass(frozen=True)
class RetrainingController:
    """One endpoint's retraining.

    Attributes:
        book: Keeps the record.
        world: What is, and where jobs run.
        tell: Tells people.
        rules: When a version is trained.
        endpoint: Whose retraining.
    """

    book: Book
    world: World
    tell: Tell
    rules: Rules
    endpoint: str

    def carry_on(
        self, change: Callable[[RetrainingRecord, RetrainingObservation], RetrainingRecord] | None = None
    ) -> RetrainingRecord:
        """Do what follows from what is.

        Args:
            change: What a person asks for, applied first.

        Raises:
            NotNow: What the person asks for cannot be done; nothing was changed.
            Moved: Others write all the time; nothing is lost, the next call goes on.
        """
        for _ in range(_ATTEMPTS):
            record = self.book.read()
            seen = self.world.look(record)
            asked = change(record, seen) if change else record
            # Who refuses is not asked the next question by the same call.
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
            return self._told(written)
        raise Moved(f"the record of {self.endpoint}'s retraining was written by others {_ATTEMPTS} times")

    def _wanted(self, started: Start) -> bool:
        """Whether a job is still the record's: who stopped it meanwhile found none that could be stopped."""
        now = self.book.read()
        return now.job == started.job and not now.stopping

    def _told(self, record: RetrainingRecord) -> RetrainingRecord:
        if not record.untold:
            return record
        for entry in record.history[-record.untold :]:
            self.tell(entry)
        return self.book.write(replace(record, untold=0)) or record
