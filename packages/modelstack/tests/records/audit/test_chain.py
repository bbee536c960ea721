from __future__ import annotations

from modelstack.records.audit.chain import MOST_BYTES, Chain
from modelstack.records.audit.record import Entry, RecordKind
from tests.records.audit.made import ENDPOINT, WHO, chain


def test_each_record_has_the_next_number_and_the_digest_of_the_one_before() -> None:
    made = chain(4)
    assert [record.number for record in made.waiting] == [1, 2, 3, 4]
    assert [record.before for record in made.waiting] == ["", *(record.digest for record in made.waiting[:-1])]
    assert (made.number, made.digest) == (4, made.waiting[-1].digest)


def test_what_happened_together_is_recorded_in_its_order_by_whoever_wrote_it() -> None:
    drafted = Chain().noting(Entry(1.0, RecordKind.VERDICT, {"n": 1})).noting(Entry(1.0, RecordKind.RELEASE, {"n": 2}))
    made = drafted.sealed(ENDPOINT, WHO)
    assert [(one.kind, one.what["n"], one.who) for one in made.waiting] == [("verdict", 1, WHO), ("release", 2, WHO)]
    assert made.drafts == ()
    assert made.sealed(ENDPOINT, "another") == made
    assert drafted.sealed(ENDPOINT, "").waiting[0].who == "unknown"


def test_an_entry_that_is_told_twice_is_recorded_once() -> None:
    entry = Entry(1.0, RecordKind.RETRAINING, {}, "1.0/started/job")
    once = Chain().noting(entry).sealed(ENDPOINT, WHO)
    assert once.noting(entry) is once
    assert once.noting(Entry(1.0, RecordKind.CLEAR, {})).sealed(ENDPOINT, WHO).number == 2


def test_what_is_put_away_waits_no_more_and_the_end_stays() -> None:
    made = chain(4)
    left = made.kept(3)
    assert [record.number for record in left.waiting] == [4]
    assert (left.number, left.digest) == (made.number, made.digest)


def test_beyond_its_room_a_record_keeps_what_happened_to_which_release() -> None:
    made, what = Chain(), {"event": "rolled_back", "release": "b", "rollout": "1-b", "evidence": ["x" * 5000]}
    while not made.crowded:
        made = made.noting(Entry(1.0, RecordKind.VERDICT, what)).sealed(ENDPOINT, WHO)
    assert len(made.waiting) - 1 <= MOST_BYTES // 5000
    last = made.noting(Entry(1.0, RecordKind.VERDICT, what)).sealed(ENDPOINT, WHO).waiting[-1]
    assert last.what == {"event": "rolled_back", "release": "b", "rollout": "1-b", "shortened": True}
