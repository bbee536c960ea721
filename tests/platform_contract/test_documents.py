"""What every platform's store of documents promises."""

from __future__ import annotations

import threading
from dataclasses import replace
from random import Random

import pytest

from platforms.aws.documents import DynamoDocuments
from services.documents import KEPT_SECONDS, Stored
from services.memory import MemoryDocuments
from services.ports import LARGEST, MOST, Document, Documents
from tests.platform_contract.conftest import EVERY

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


@pytest.mark.parametrize("documents", [one for one in EVERY if one != "moto"], indirect=True)
def test_of_many_that_change_the_same_documents_at_once_none_loses_a_change(documents: Documents) -> None:
    # moto is left out: the threads of its server share a table without a lock.
    keys, failures = ["a", "b", "c"], list[BaseException]()

    def count(turn: int) -> None:
        try:
            for _ in range(5):
                mine = Stored(documents)
                mine.read(keys)
                mixed = keys[turn % 3 :] + keys[: turn % 3]
                mine.change(mixed, lambda one: replace(one, body={"n": one.body.get("n", 0) + 1}))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(turn,)) for turn in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [one.body for one in documents.get(keys).values()] == [{"n": 15}] * 3


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
