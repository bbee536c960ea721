"""What is kept of drift, on moto's DynamoDB: agreed by one revision, whoever writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from monitoring.drift.record import Datum, Reading
from platforms.aws.drift_table import DynamoRecord
from tests.platforms.aws.mocked import journal_table, mocked_aws

UNSENT = (Datum("CaptureRows", "v-a", 3, "Count", 100.0), Datum("OutOfRange", "v-a", 1, "Count", 100.0, "x"))


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoRecord]:
    with mocked_aws(monkeypatch) as made:
        journal_table(made)
        yield DynamoRecord(made, "rollouts", "endpoint")


def test_what_was_written_is_read(record: DynamoRecord) -> None:
    assert record.read("v-a") == Reading()
    stored = record.write("v-a", Reading(after="k/2", state={"rows": 3}), ["k/1", "k/2"], UNSENT)
    assert stored == record.read("v-a") == Reading(1, "k/2", {"rows": 3}, {1: UNSENT})
    assert record.counted(["k/1", "k/2", "k/3"]) == {"k/1", "k/2"}
    assert record.read("v-b") == Reading()


def test_of_two_that_write_on_one_revision_one_marks_its_files(record: DynamoRecord) -> None:
    for number in range(2):
        before = record.read("v-a")
        first = record.write("v-a", replace(before, after=f"k/{number}"), [f"k/{number}"], ())
        assert record.write("v-a", replace(before, after="k/9"), ["k/9"], UNSENT) is None
        assert (record.read("v-a"), record.counted(["k/9", f"k/{number}"])) == (first, {f"k/{number}"})


def test_calls_that_were_cut_off_are_counted_until_one_writes(record: DynamoRecord) -> None:
    assert [record.begins("v-a") for _ in range(3)] == [1, 2, 3]
    record.failed("v-a")
    assert (record.begins("v-a"), record.begins("v-b")) == (3, 1)
    assert record.write("v-a", record.read("v-a"), ["k/1"], ()) is not None
    assert (record.begins("v-a"), record.begins("v-b")) == (1, 2)
    assert record.write("v-a", record.read("v-a"), ["k/2"], (), 4) is not None
    assert record.begins("v-a") == 5


def test_metrics_that_are_sent_are_no_revision_and_leave_those_of_others(record: DynamoRecord) -> None:
    first = record.write("v-a", Reading(), [], UNSENT)
    assert first is not None
    second = record.write("v-a", first, [], UNSENT[:1])
    record.sent("v-a", 1)
    record.sent("v-a", 1)
    assert record.read("v-a") == Reading(2, unsent={2: UNSENT[:1]})
    assert second is not None and record.write("v-a", second, [], ()) is not None


def test_more_files_are_looked_up_than_one_request_takes(record: DynamoRecord) -> None:
    keys = [f"k/{place:03}" for place in range(250)]
    reading: Reading | None = Reading()
    for start in range(0, 250, 50):
        assert reading is not None
        reading = record.write("v-a", reading, keys[start : start + 50], ())
    assert record.counted([*keys, "k/more"]) == {*keys}
