from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.platforms.kubernetes.audit_records import PostgresRecords
from modelstack.platforms.kubernetes.database import Database
from modelstack.records.audit.record import Signed
from modelstack.records.audit.verification import verify
from tests.platforms.kubernetes.killed import killed_after
from tests.platforms.kubernetes.postgres import Server
from tests.records.audit.made import Key, chain

pytestmark = pytest.mark.needs("postgresql")
KEY = Key()
ROLLOUT = "5d0c4f6e"
"""The uid of the endpoint's Rollout."""


@pytest.fixture
def records(store: Database, endpoint: str) -> PostgresRecords:
    return PostgresRecords(store, endpoint, lambda: ROLLOUT, KEY)


def test_an_endpoint_that_is_made_anew_begins_a_record_of_its_own_and_the_one_before_stays(
    records: PostgresRecords, endpoint: str
) -> None:
    before, anew = chain(3, endpoint), chain(2, endpoint)
    for record in before.waiting:
        records.put(record)
    later = replace(records, rollout=lambda: "another")
    for record in anew.waiting:
        later.put(replace(record, who="ada"))
    assert [Signed.from_line(line).record.who for line in later.lines()] == ["ada", "ada"]
    assert verify(records.lines(), endpoint, KEY.check, before.kept(3)).finding is None


def test_more_than_one_page_is_read(store: Database, endpoint: str) -> None:
    store.run(
        "make",
        "INSERT INTO audit (endpoint, rollout, number, line) "
        "SELECT :e, :r, n, 'line ' || n FROM generate_series(1, 1000) AS n",
        e=endpoint,
        r=ROLLOUT,
    )
    assert list(PostgresRecords(store, endpoint, lambda: ROLLOUT).lines()) == [f"line {n}" for n in range(1, 1001)]
    assert list(PostgresRecords(store, f"{endpoint}-other", lambda: ROLLOUT).lines()) == []


def test_a_process_that_is_killed_after_any_statement_leaves_the_record_or_nothing(
    postgres: Server, records: PostgresRecords
) -> None:
    record, statements = chain(1).waiting[0], 0
    while killed_after(
        statements := statements + 1, postgres.url(), lambda it: replace(records, database=it).put(record)
    ):
        assert [Signed.from_line(line).record for line in records.lines()] in ([], [record])
    records.put(record)
    assert [Signed.from_line(line).record for line in records.lines()] == [record]
