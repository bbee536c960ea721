"""What every platform promises of the journal: it survives the loss of either copy, or an old backup in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from modelstack.platforms.aws.journal import copied_journal as copied_on_aws
from modelstack.platforms.aws.names import documents, journal
from modelstack.platforms.kubernetes.journal import JournalCopy, newest
from modelstack.platforms.kubernetes.journal import copied_journal as copied_on_kubernetes
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, ROLLOUT
from modelstack.platforms.kubernetes.names import journal_copy
from modelstack.rollout.core.errors import Conflict, RolloutError, Unreachable
from modelstack.rollout.core.state import Phase, RolloutState, StateError
from modelstack.services.journal import CopiedJournal, DocumentJournal, StateStore
from tests.platforms.aws.either import EITHER, clients_of
from tests.platforms.aws.mocked import documents_table, journal_table
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.world import ENDPOINT
from tests.rollout.worlds import release
from tests.services.memory import MemoryDocuments


@dataclass(frozen=True)
class Place:
    """Opens the journal, as each process does; `lose` deletes the primary's content."""

    opened: Callable[[], CopiedJournal]
    lose: Callable[[], object]


def _forget(documents: MemoryDocuments) -> None:
    documents.transact([], [documents.get([f"journal#{ENDPOINT}"])[f"journal#{ENDPOINT}"]])


@pytest.fixture(params=["memory", *EITHER, "cluster"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        primary, copy = MemoryDocuments(), MemoryDocuments()
        stores = DocumentJournal(primary, ENDPOINT), DocumentJournal(copy, ENDPOINT)
        return Place(lambda: CopiedJournal(*stores, "ada"), partial(_forget, primary))
    if request.param == "cluster":
        api = FakeApi()
        for kind, name in ((ROLLOUT, ENDPOINT), (CONFIG_MAP, journal_copy(ENDPOINT))):
            api.create(kind, {"metadata": {"name": name}})
        return Place(lambda: copied_on_kubernetes(api.as_api, ENDPOINT, "ada"), lambda: _apply_backup(api))
    clients, name = clients_of(request), f"endpoint-{uuid4().hex[:8]}"
    journal_table(clients, journal(name))
    documents_table(clients, documents(name))
    where = {"TableName": journal(name), "Key": {"endpoint": {"S": name}}}
    return Place(
        lambda: copied_on_aws(clients, journal(name), name, "ada"),
        lambda: clients("dynamodb").delete_item(**where),
    )


def _apply_backup(api: FakeApi) -> None:
    """`kubectl apply` of a backup of a deleted Rollout: the status is dropped."""
    api.delete(ROLLOUT, ENDPOINT)
    api.create(ROLLOUT, {"metadata": {"name": ENDPOINT}})


def lose_copy(place: Place) -> None:
    copy = place.opened().copy
    if isinstance(copy, JournalCopy):
        copy.api.delete(CONFIG_MAP, journal_copy(ENDPOINT))
    elif isinstance(copy, DocumentJournal):
        copy.documents.transact([], [copy._found()])


def put(place: Place, **changes: Any) -> RolloutState:
    journal = place.opened()
    return journal.write(replace(journal.read(), **changes))


def test_a_lost_journal_comes_back_with_its_last_decision(place: Place) -> None:
    put(place, phase=Phase.MOVING)
    last = put(place, phase=Phase.IDLE, champion=release("a"), rejected={})
    place.lose()
    assert place.opened().primary.read().revision == 0
    assert place.opened().read() == last
    assert place.opened().primary.read() == last, "whoever reads it brings it back"
    assert put(place, phase=Phase.PREPARING).revision == last.revision + 1


def test_a_lost_copy_is_made_again_by_a_reader_also_by_a_process_that_had_read_both(place: Place) -> None:
    put(place, phase=Phase.MOVING)
    last = put(place, phase=Phase.IDLE, champion=release("a"))
    process = place.opened()
    assert process.read() == last
    lose_copy(place)
    assert process.copy.read().revision == 0
    process.read()
    assert process.copy.read().revision == 0, "it was compared a moment ago"
    process.every = 0.0
    assert process.read() == process.copy.read() == last
    place.lose()
    assert place.opened().read() == last


def test_a_journal_from_an_old_backup_is_replaced_by_the_newer_copy(place: Place) -> None:
    old = put(place, phase=Phase.IDLE, champion=release("a"))
    new = put(place, champion=release("b"), previous=release("a"))
    process = place.opened()
    assert process.read() == new
    place.lose()
    process.primary.put(old)
    assert process.read() == new, "also by a process that had read the newer one"
    assert process.write(replace(new, previous=None)).revision == new.revision + 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_decision_of_a_writer_that_is_killed_between_the_copies_counts(place: Place, lost: bool) -> None:
    before = put(place, phase=Phase.IDLE, champion=release("a"))
    decided = replace(before, phase=Phase.ROLLING_BACK).written("eve")
    place.opened().copy.put(decided)
    if lost:
        place.lose()
    with pytest.raises(Conflict):
        place.opened().write(replace(before, phase=Phase.PROMOTING))
    assert place.opened().read() == decided


def test_of_two_writers_one_is_told_of_the_conflict_and_reads_what_the_other_wrote(place: Place) -> None:
    ada, eve = place.opened(), place.opened()
    read = ada.read(), eve.read()
    first = ada.write(replace(read[0], phase=Phase.MOVING))
    with pytest.raises(Conflict):
        eve.write(replace(read[1], phase=Phase.IDLE))
    assert eve.read() == ada.read() == first
    assert eve.write(replace(first, phase=Phase.IDLE)).revision == 2


@dataclass
class Down:
    """A store that may raise `error`; `reads` counts the attempts."""

    store: StateStore
    down: bool = False
    error: Exception = field(default_factory=lambda: Unreachable("no answer"))
    reads: list[bool] = field(default_factory=list[bool])

    def read(self) -> RolloutState:
        self.reads.append(self.down)
        if self.down:
            raise self.error
        return self.store.read()

    def put(self, state: RolloutState) -> None:
        if self.down:
            raise self.error
        self.store.put(state)


class ReadOnly(Down):
    def read(self) -> RolloutState:
        return self.store.read()


@pytest.mark.parametrize("error", [Unreachable("no answer"), StateError("a stored state cannot be parsed")])
def test_a_copy_that_does_not_answer_stops_no_write_and_the_next_one_catches_up(place: Place, error: Exception) -> None:
    journal = place.opened()
    journal.copy = copy = Down(journal.copy, down=True, error=error)
    with pytest.raises(type(error)):  # unknown is not empty: the release would be taken for the first one
        journal.read()
    copy.down = False
    first = journal.write(journal.read())
    copy.down = True
    second = journal.write(replace(first, phase=Phase.MOVING))
    assert journal.read() == second
    copy.down = False
    last = journal.write(replace(journal.read(), phase=Phase.IDLE))
    place.lose()
    assert place.opened().read() == last


def test_a_process_that_knows_both_copies_reads_only_the_primary(place: Place) -> None:
    journal = place.opened()
    journal.copy = copy = Down(journal.copy)
    journal.write(journal.read())
    copy.reads.clear()
    for _ in range(3):
        journal.read()
    assert copy.reads == []
    reader = place.opened()
    reader.copy = copy
    for _ in range(3):
        reader.read()
    assert copy.reads == [False]


def test_a_write_that_failed_after_the_copy_had_it_counts_for_the_same_process(place: Place) -> None:
    journal = place.opened()
    first = journal.write(journal.read())
    journal.primary = primary = Down(journal.primary, down=True)
    with pytest.raises(Unreachable):
        journal.write(replace(first, phase=Phase.MOVING))
    primary.down = False
    assert (journal.read().revision, journal.read().phase) == (2, Phase.MOVING)


def test_a_reader_that_brings_a_write_to_the_primary_first_is_no_conflict_for_its_writer(place: Place) -> None:
    @dataclass
    class Watched(Down):
        def put(self, state: RolloutState) -> None:
            self.store.put(state)
            place.opened().read()

    journal = place.opened()
    journal.copy = Watched(journal.copy)
    first = journal.write(journal.read())
    assert journal.write(replace(first, phase=Phase.MOVING)).revision == 2


def test_a_reader_that_may_not_write_still_reads_the_newer_copy(place: Place) -> None:
    last = put(place, phase=Phase.MOVING)
    place.lose()
    journal = place.opened()
    journal.primary = ReadOnly(journal.primary, down=True, error=RolloutError("access denied"))
    assert journal.read() == last


def test_the_copy_is_found_where_the_rollout_was_deleted() -> None:
    api = FakeApi()
    assert newest(api.as_api, ENDPOINT) == RolloutState(ENDPOINT)
    api.create(ROLLOUT, {"metadata": {"name": ENDPOINT}})
    journal = copied_on_kubernetes(api.as_api, ENDPOINT)
    first = journal.write(journal.read())
    last = replace(first, phase=Phase.IDLE).written()
    journal.primary.put(last)
    assert newest(api.as_api, ENDPOINT) == last
    journal.write(last)
    api.delete(ROLLOUT, ENDPOINT)
    assert newest(api.as_api, ENDPOINT).revision == 3
