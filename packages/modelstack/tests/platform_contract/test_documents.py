"""What every platform's store of documents promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.services.documents import KEPT_SECONDS
from modelstack.services.ports import LARGEST, MOST, Document, Documents
from tests.platform_contract.conftest import EVERY, race
from tests.services.memory import MemoryDocuments

ODD = 'id "x" \\ \x00 ÄÖ 北京'


def stored(documents: Documents, *puts: Document) -> list[Document]:
    assert documents.transact(puts) == frozenset()
    return [documents.get([one.key])[one.key] for one in puts]


def test_what_was_written_is_read(documents: Documents) -> None:
    body = {"text": ODD, "many": [1, 2.5, None, True], "nested": {"a": {}}, "large": "x" * 5000}
    assert documents.get(["a", ODD]) == {"a": Document("a"), ODD: Document(ODD)}
    one, other = Document("a", body, queue="waiting", since=12.75), Document(ODD, {})
    assert stored(documents, one, other) == [replace(one, revision=1), replace(other, revision=1)]


def test_a_document_of_the_largest_size_is_stored(documents: Documents) -> None:
    noise = Random(1).randbytes(LARGEST * 45 // 100).hex()
    assert stored(documents, Document("a", {"noise": noise}))[0].body == {"noise": noise}


def test_a_write_on_another_revision_changes_nothing(documents: Documents) -> None:
    (first,) = stored(documents, Document("a", {"n": 1}))
    (second,) = stored(documents, replace(first, body={"n": 2}))
    assert second == Document("a", {"n": 2}, 2)
    for stale in (first, Document("a", {}), replace(second, revision=3), Document("missing", {}, 1)):
        assert documents.transact([Document("b"), stale]) == {stale.key}
        assert documents.transact([Document("b")], [stale]) == {stale.key}
    assert documents.get(["a", "b"]) == {"a": second, "b": Document("b")}


def test_a_document_that_was_deleted_may_be_written_as_a_new_one(documents: Documents) -> None:
    first = stored(documents, Document("a", {"n": 1}, queue="waiting"))
    assert documents.transact([Document("b")], first) == frozenset()
    assert documents.transact([], first) == {"a"}
    assert stored(documents, Document("a", {"n": 3})) == [Document("a", {"n": 3}, 1)]
    assert list(documents.scan("waiting", 1.0)) == []


def test_a_queue_lists_its_documents_oldest_first_until_they_leave_it(documents: Documents) -> None:
    a, b, c, _ = stored(
        documents,
        Document("a", queue="waiting", since=30),
        Document("b", queue="waiting", since=10.5),
        Document("c", queue="waiting", since=20),
        Document("d", queue="other", since=5),
    )
    assert list(documents.scan("waiting", 20)) == [b, c]
    stored(documents, replace(b, queue="other", since=6), replace(c, queue="", since=0), replace(a, since=1))
    assert [(one.key, one.revision) for one in documents.scan("waiting", 100)] == [("a", 2)]
    assert [one.key for one in documents.scan("other", 100)] == ["d", "b"]


@pytest.mark.slow
def test_more_documents_are_read_and_listed_than_one_request_takes(documents: Documents) -> None:
    keys = [f"{number:04}" for number in range(2 * MOST + 5)]
    for start in range(0, len(keys), MOST):
        stored(documents, *(Document(key, queue="waiting", since=1) for key in keys[start : start + MOST]))
    assert {one.revision for one in documents.get(keys).values()} == {1}
    assert sorted(one.key for one in documents.scan("waiting", 2)) == keys


@pytest.mark.parametrize("opened", [one for one in EVERY if one != "moto"], indirect=True)
def test_of_many_that_write_the_same_documents_at_once_one_writes_all_of_its_own(
    opened: Callable[[], Documents],
) -> None:
    # moto is left out: the threads of its server share a table without a lock.
    def writer(number: int) -> Callable[[int], bool]:
        mine, keys = opened(), ["a", "b", "c"]

        def write(turn: int) -> bool:
            shared = [Document(key, {"by": number}, turn) for key in keys[number:] + keys[:number]]
            return not mine.transact([Document(f"{turn} {number}"), *shared])

        return write

    rounds = 10
    won = race(rounds, *map(writer, range(3)))
    assert sorted(turn for turns in won for turn in turns) == [*range(rounds)]
    documents, (last,) = opened(), (number for number, turns in enumerate(won) if rounds - 1 in turns)
    assert [one.body for one in documents.get(["a", "b", "c"]).values()] == [{"by": last}] * 3
    found = documents.get(f"{turn} {number}" for turn in range(rounds) for number in range(3))
    written = {key for key, one in found.items() if one.revision}
    assert written == {f"{turn} {number}" for number, turns in enumerate(won) for turn in turns}


def test_what_drift_has_counted_outlives_all_else() -> None:
    clock = [0.0]
    documents = MemoryDocuments(lambda: clock[0])
    stored(documents, Document("drift#v-a"), Document("counted#file"))
    clock[0] = KEPT_SECONDS + 1
    found = documents.get(["drift#v-a", "counted#file"])
    assert {key: document.revision for key, document in found.items()} == {"drift#v-a": 1, "counted#file": 0}
    items = DynamoDocuments(lambda _: None, "documents", lambda: 0.0)
    assert "expires" in items._item(Document("counted#file"))
    assert "expires" not in items._item(Document("drift#v-a"))
