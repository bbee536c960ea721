"""The audit record is put away once and whole, whoever is killed, overtaken, or not answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from modelstack.records.audit.record import AuditRecord
from modelstack.rollout.controller.recorder import Recorder
from modelstack.rollout.core.errors import Conflict, RolloutError, Unreachable
from modelstack.rollout.core.state import RolloutState
from tests.rollout.worlds import ALARM, PLAN, release, served
from tests.simulator.platform import MemoryJournal, World


class Killed(BaseException):
    pass


@dataclass
class Keeping(MemoryJournal):
    """A journal in which the record waits until a recorder puts it away."""

    def write(self, state: RolloutState) -> RolloutState:
        if state.revision != self.world.state.revision:
            raise Conflict("another was first")
        self.world.state = RolloutState.from_json(state.written(self.by).to_json())
        return self.world.state


@dataclass
class Store:
    """An audit store, with something that happens before and after each put."""

    before: Callable[[AuditRecord], None] = lambda _: None
    after: Callable[[AuditRecord], None] = lambda _: None
    kept: dict[int, AuditRecord] = field(default_factory=dict[int, AuditRecord])
    puts: int = 0

    def put(self, record: AuditRecord) -> None:
        self.before(record)
        self.puts += 1
        if self.kept.setdefault(record.number, record) != record:
            raise RolloutError("another record is there")
        self.after(record)


@pytest.fixture
def world() -> World:
    """A world with a trial that was rolled back, of which nothing is put away."""
    found = served()
    controller = found.controller(journal=Keeping(found))
    controller.release(release("b"), "pair-ab", PLAN, beside="solo-a")
    controller.follow(40, poll=1)
    controller.roll_back(ALARM, variant="v-b")
    controller.follow(60)
    return found


def whole(store: Store, world: World) -> bool:
    """Whether the store continues what was there before, and ends as the journal says."""
    records = [*world.records, *(record for _, record in sorted(store.kept.items()))]
    linked = all(one.digest == other.before for one, other in pairwise(records))
    numbered = [record.number for record in records] == list(range(1, world.state.audit.number + 1))
    return linked and numbered and records[-1].digest == world.state.audit.digest


def test_what_waits_is_put_away_and_waits_no_more(world: World) -> None:
    store = Store()
    many = len(world.state.audit.waiting)
    assert many == 3  # release, decision, verdict
    assert Recorder(Keeping(world), store).put() == many
    assert world.state.audit.waiting == ()
    assert whole(store, world)
    revision = world.state.revision
    assert Recorder(Keeping(world), store).put() == 0
    assert (store.puts, world.state.revision) == (many, revision), "nothing is put or written for nothing"


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_whoever_is_killed_leaves_the_rest_to_the_next(world: World, side: str, number: int) -> None:
    first = world.state.audit.waiting[0].number

    def die(record: AuditRecord) -> None:
        if record.number == first + number:
            raise Killed

    store = Store(**{side: die})
    with pytest.raises(Killed):
        Recorder(Keeping(world), store).put()
    again = Store(kept=store.kept)
    Recorder(Keeping(world), again).put()
    assert whole(again, world)


def test_two_at_once_put_the_same_records(world: World) -> None:
    other = Store()

    def meanwhile(record: AuditRecord) -> None:
        Recorder(Keeping(world), other).put()

    store = Store(before=meanwhile, kept=other.kept)
    Recorder(Keeping(world), store).put()
    assert whole(store, world)
    assert world.state.audit.waiting == ()


def test_what_happens_while_records_are_put_away_still_waits(world: World) -> None:
    def meanwhile(record: AuditRecord) -> None:
        if not store.kept:
            Keeping(world).write(world.state.noting(1.0, "cleared", "x"))

    store = Store(before=meanwhile)
    Recorder(Keeping(world), store).put()
    assert [record.what["event"] for record in world.state.audit.waiting] == ["cleared"]
    Recorder(Keeping(world), store).put()
    assert whole(store, world)


def test_a_store_that_does_not_answer_holds_nothing_up_and_is_caught_up_with(world: World) -> None:
    def down(record: AuditRecord) -> None:
        raise Unreachable("the store does not answer")

    first = world.state.audit.waiting[0].number
    with pytest.raises(Unreachable):
        Recorder(Keeping(world), Store(before=down)).put()
    late = Store(before=lambda record: down(record) if record.number > first else None)
    with pytest.raises(Unreachable):
        Recorder(Keeping(world), late).put()
    assert [record.number for record in world.state.audit.waiting] == [first + 1, first + 2], "what was put is noted"
    store = Store(kept=late.kept)
    Recorder(Keeping(world), store).put()
    assert whole(store, world)


def test_a_record_that_somebody_else_put_under_the_number_is_an_error(world: World) -> None:
    waiting = world.state.audit.waiting
    store = Store(kept={waiting[0].number: replace(waiting[0], who="eve")})
    with pytest.raises(RolloutError, match="another record"):
        Recorder(Keeping(world), store).put()
    assert world.state.audit.waiting == waiting
