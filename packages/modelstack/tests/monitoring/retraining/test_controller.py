"""Called by anything at any time: one job, nothing lost, everything told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from modelstack.monitoring.retraining.controller import Moved, RetrainingController
from modelstack.monitoring.retraining.decision import JobSeen, RetrainingObservation, Start, decline, stop
from modelstack.monitoring.retraining.record import Phase, RetrainingEvent, RetrainingRecord
from modelstack.monitoring.retraining.rules import Rules
from tests.monitoring.retraining.test_decision import BETTER, DRIFT, seen


class Killed(Exception):
    """The function was cut off."""


@dataclass
class World:
    """An endpoint whose drift alarm fires, and the jobs that were created."""

    firing: bool = True
    jobs: dict[str, JobSeen] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    dies: bool = False

    def look(self, record: RetrainingRecord) -> RetrainingObservation:
        job = self.jobs.get(record.job, JobSeen("missing")) if record.job else None
        return seen(firing=(DRIFT,) if self.firing else (), job=job)

    def create(self, start: Start) -> None:
        if self.dies:
            raise Killed
        if start.job not in self.jobs:
            self.jobs[start.job] = JobSeen("running")
            self.created.append(start.job)

    def stop(self, job: str) -> None:
        if self.dies:
            raise Killed
        self.jobs[job] = JobSeen("failed", "it was stopped")


@dataclass
class Book:
    """A record with a condition on its revision; `others` write before the next writes."""

    record: RetrainingRecord = field(default_factory=RetrainingRecord)
    others: int = 0

    def read(self) -> RetrainingRecord:
        return self.record

    def write(self, record: RetrainingRecord) -> RetrainingRecord | None:
        if self.others:
            self.others -= 1
            self.record = replace(self.record, revision=self.record.revision + 1)
        if record.revision != self.record.revision:
            return None
        self.record = replace(record, revision=record.revision + 1)
        return self.record


@dataclass
class Bed:
    """A controller and what surrounds it."""

    book: Book = field(default_factory=Book)
    world: World = field(default_factory=World)
    told: list[RetrainingEvent] = field(default_factory=list)
    deaf: bool = False

    def tell(self, entry: RetrainingEvent) -> None:
        if self.deaf:
            raise Killed
        self.told.append(entry)

    @property
    def controller(self) -> RetrainingController:
        return RetrainingController(self.book, self.world, self.tell, Rules(ask=False), "flight-delay-local")

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.told]


def test_however_often_it_is_called_one_job_is_begun_and_each_event_told_once() -> None:
    bed = Bed()
    for _ in range(3):
        bed.controller.carry_on()
    assert bed.world.created == ["flight-delay-local-20130501-3b9aca00"]
    bed.world.jobs[bed.world.created[0]] = JobSeen("completed", report=BETTER)
    for _ in range(3):
        record = bed.controller.carry_on()
    assert bed.kinds == ["started", "candidate"]
    assert len(record.accepted) == 1
    revision = bed.book.record.revision
    bed.controller.carry_on()
    assert bed.book.record.revision == revision, "a look that finds nothing new writes nothing"


def test_killed_between_the_record_and_the_job_the_next_call_creates_the_same_job() -> None:
    bed = Bed(world=World(dies=True))
    with pytest.raises(Killed):
        bed.controller.carry_on()
    assert bed.book.record.phase is Phase.TRAINING
    bed.world.dies = False
    bed.controller.carry_on()
    assert bed.world.created == [bed.book.record.job]
    assert bed.kinds == ["started"]


def test_an_event_that_could_not_be_told_is_told_by_the_next_call() -> None:
    bed = Bed(deaf=True)
    with pytest.raises(Killed):
        bed.controller.carry_on()
    bed.deaf = False
    bed.controller.carry_on()
    bed.controller.carry_on()
    assert bed.kinds == ["started"]


def test_whoever_wrote_first_wins_and_the_other_looks_again() -> None:
    bed = Bed(book=Book(others=2))
    bed.controller.carry_on()
    assert len(bed.world.created) == 1
    assert bed.world.created == [bed.book.record.job]


def test_who_declines_is_not_asked_again_by_the_same_call() -> None:
    bed = Bed()
    asking = replace(bed.controller, rules=Rules(cool_down_days=0, most_per_week=7))
    asking.carry_on()
    declined = asking.carry_on(lambda record, look: decline(record, look, "anna: a storm"))
    assert (declined.phase, bed.kinds) == (Phase.IDLE, ["asked", "declined"])
    assert asking.carry_on().phase is Phase.ASKING


def test_killed_before_a_job_was_stopped_the_next_call_stops_it() -> None:
    bed = Bed()
    bed.controller.carry_on()
    bed.world.dies = True
    with pytest.raises(Killed):
        bed.controller.carry_on(lambda record, look: stop(record, look, "anna: bad labels"))
    bed.world.dies = False
    (job,) = bed.world.jobs
    assert bed.world.jobs[job].status == "running"
    bed.controller.carry_on()
    assert bed.world.jobs[job].status == "failed"
    assert bed.controller.carry_on().phase is Phase.IDLE
    assert bed.kinds == ["started", "stopped"]


def test_a_job_that_is_stopped_while_another_call_is_about_to_create_it_is_stopped_all_the_same() -> None:
    bed = Bed(world=World(dies=True))
    with pytest.raises(Killed):
        bed.controller.carry_on()
    bed.world.dies = False
    creating = bed.world.create

    def others_first(start: Start) -> None:
        bed.controller.carry_on(lambda record, look: stop(record, look, "anna: bad labels"))
        creating(start)

    bed.world.create = others_first
    bed.controller.carry_on()
    (job,) = bed.world.created
    assert bed.book.record.phase is Phase.IDLE
    assert bed.world.jobs[job] == JobSeen("failed", "it was stopped")


def test_writers_without_end_are_an_error_and_begin_nothing() -> None:
    bed = Bed(book=Book(others=99))
    with pytest.raises(Moved):
        bed.controller.carry_on()
    assert not bed.world.created
