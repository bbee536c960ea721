"""Audit records on every platform: stored once under their numbers, read in order, never replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from modelstack.platforms.aws.audit_records import S3Records
from modelstack.platforms.kubernetes.audit_records import PostgresRecords
from modelstack.records.audit.record import Signed
from modelstack.records.audit.verification import verify
from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.services.audit_records import BlobRecords
from modelstack.services.ports import Blobs
from tests.platform_contract.conftest import EVERY
from tests.platforms.aws.either import clients_of
from tests.records.audit.made import ENDPOINT, Key, chain
from tests.services.memory import MemoryBlobs

KEY = Key()


@dataclass(frozen=True)
class Kept:
    """A store of records, and what puts any line under number 1 of it."""

    records: BlobRecords | PostgresRecords
    forge: Callable[[str], None]

    def put(self, *names: str) -> None:
        """Put a record of each person, all under number 1."""
        for who in names:
            self.records.put(chain(1, who=who).waiting[0])


@pytest.fixture(params=EVERY)
def kept(request: pytest.FixtureRequest) -> Kept:
    name = f"audit-{uuid4().hex[:8]}"
    if request.param in {"memory", "toy"}:
        blobs: Blobs = MemoryBlobs()
        if request.param == "toy":
            made = request.getfixturevalue("toy")
            blobs = made.ToyBlobs(made.File(request.getfixturevalue("tmp_path") / name))
        records = BlobRecords(blobs, name, signer=KEY)
        return Kept(records, lambda line: blobs.put_new("audit/0000000001.json", line.encode()))
    if request.param != "postgresql":
        clients = clients_of(request)
        clients("s3").create_bucket(Bucket=name)
        put = clients("s3").put_object
        return Kept(
            S3Records.of(clients, name, KEY),
            lambda line: put(Bucket=name, Key="audit/0000000001.json", Body=line.encode()),
        )
    store = request.getfixturevalue("store")
    sql = "INSERT INTO audit (endpoint, rollout, number, line) VALUES (:e, :r, 1, :line)"
    records = PostgresRecords(store, name, lambda: "uid", KEY)
    return Kept(records, lambda line: store.run("make", sql, e=name, r="uid", line=line))


@pytest.mark.slow
def test_records_are_read_in_the_order_of_their_numbers_and_hold(kept: Kept) -> None:
    made = chain(12)
    for record in reversed(made.waiting):
        kept.records.put(record)
    seen = verify(replace(kept.records, signer=None).lines(), ENDPOINT, KEY.check, made.kept(12))
    assert (seen.records, seen.finding) == (12, None)


def test_the_same_record_again_is_no_error_and_what_is_there_stays(kept: Kept) -> None:
    kept.put("ada")
    lines = list(kept.records.lines())
    kept.put("ada")
    assert list(kept.records.lines()) == lines


def test_another_record_under_the_number_is_refused_and_what_is_there_stays(kept: Kept) -> None:
    kept.put("ada")
    with pytest.raises(RolloutError, match="is not the record that the journal has under this number") as caught:
        kept.put("eve")
    assert type(caught.value) is RolloutError
    assert [Signed.from_line(line).record.who for line in kept.records.lines()] == ["ada"]


def test_a_line_under_the_number_that_is_no_record_is_an_error(kept: Kept) -> None:
    kept.forge("{}")
    with pytest.raises(RolloutError, match="is no audit record"):
        kept.put("ada")


def test_without_a_key_nothing_is_put(kept: Kept) -> None:
    with pytest.raises(RolloutError, match="there is no key to sign it with"):
        replace(kept.records, signer=None).put(chain(1).waiting[0])
    assert list(kept.records.lines()) == []


def test_of_several_that_put_the_same_record_at_once_one_is_kept(kept: Kept) -> None:
    failures = list[RolloutError]()

    def put() -> None:
        try:
            kept.put("ada")
        except RolloutError as error:
            failures.append(error)

    threads = [threading.Thread(target=put) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {type(one) for one in failures} <= {Busy}
    assert len(list(kept.records.lines())) == 1
