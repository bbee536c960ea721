"""A prediction's id in the ledger and in the captures of a mocked bucket: found wherever it is, and nothing read for it
that is of another time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.labels.pairs import Answer
from monitoring.predictions import EVER, Prediction, Window
from platforms.aws.clients import Clients
from platforms.aws.documents import DynamoDocuments
from platforms.aws.predictions import AwsPredictions
from services.batches import Batches
from services.ledger import DocumentLedger
from services.memory import MemoryMetrics
from tests.platforms.aws.mocked import documents_table, mocked_aws

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
BUCKET, ENDPOINT = "artifacts", "flights"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with mocked_aws(monkeypatch) as make:
        make("s3").create_bucket(Bucket=BUCKET)
        documents_table(make)
        yield make


class Reads:
    """The clients, and the keys that were read."""

    def __init__(self, make: Clients) -> None:
        self.make, self.keys = make, list[str]()

    def __call__(self, service: str) -> object:
        return self if service == "s3" else self.make(service)

    def __getattr__(self, name: str) -> object:
        return getattr(self.make("s3"), name)

    def get_object(self, **asked: str) -> object:
        self.keys.append(asked["Key"])
        return self.make("s3").get_object(**asked)


def there(make: Clients, now: datetime = NOW) -> AwsPredictions:
    return AwsPredictions(make, ENDPOINT, BUCKET, "documents", now.timestamp)


def captured(make: Clients, ago: timedelta, *names: str, variant: str = "v-a", endpoint: str = ENDPOINT) -> str:
    """Put a file of what was answered so long ago, with inference ids and an event id for each."""
    at = NOW - ago
    lines = [
        json.dumps(
            {
                "captureData": {},
                "eventMetadata": {
                    "eventId": f"{variant}-{name}", "inferenceId": name, "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                },
            }
        )
        for name in names
    ]  # fmt: skip
    key = f"capture/{endpoint}/{variant}/{at:%Y/%m/%d/%H}/{at:%M-%S-%f}-{len(names)}{names[0]}.jsonl"
    make("s3").put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())
    return key


def test_what_the_ledger_has_is_found_in_one_read_if_it_was_given_at_that_time(aws: Clients) -> None:
    documents = DynamoDocuments(aws, "documents", NOW.timestamp)
    ledger = DocumentLedger(documents, Batches(documents, MemoryMetrics()), NOW.timestamp)
    ledger.answers("v-a", [("order-17", Answer("e-1", "v-a", 100.0, {}, []))])
    ledger.answers("v-b", [("order-17", Answer("e-2", "v-b", 101.0, {}, []))])
    found = (Prediction("v-a", "e-1", "order-17", 100.0), Prediction("v-b", "e-2", "order-17", 101.0))
    assert there(aws).told("order-17", EVER) == found
    assert there(aws).told("order-17", Window(101)) == found[1:]
    assert there(aws).told("order-1", EVER) == ()


def test_an_id_is_found_in_whichever_variant_day_and_file_it_lies(aws: Clients) -> None:
    for number, (days, variant) in enumerate([(0, "v-a"), (1, "v-b"), (2, "v-a"), (40, "v-b"), (400, "v-a")]):
        captured(aws, timedelta(days=days), f"order-{number}", "basket", variant=variant)
    captured(aws, timedelta(), "order-9", endpoint="flights-of-others")
    for number in range(5):
        (one,) = there(aws).captured(f"order-{number}", EVER).exact
        assert one.inference == f"order-{number}"
    found = there(aws).captured("v-b-order-3", EVER)
    assert [one.inference for one in found.exact] == ["order-3"], "by its event id"
    nothing = there(aws).captured("order-9", EVER)
    assert nothing.exact == ()
    assert nothing.places == (f"5 files of captures under s3://{BUCKET}/capture/flights/",)
    assert nothing.oldest == (NOW - timedelta(days=400)).replace(hour=0, minute=0).timestamp(), "its day"


def test_the_beginning_of_an_id_finds_all_that_begin_so(aws: Clients) -> None:
    captured(aws, timedelta(), "order-17", "order-18")
    captured(aws, timedelta(days=3), "order-19", "basket-1")
    found = there(aws).captured("order", EVER)
    assert (found.exact, {one.inference for one in found.begun}) == ((), {"order-17", "order-18", "order-19"})


def test_only_the_hours_of_the_window_are_read(aws: Clients) -> None:
    keys = {hours: captured(aws, timedelta(hours=hours), "other", variant=f"v-{hours % 2}") for hours in range(30)}
    reads = Reads(aws)
    window = Window((NOW - timedelta(hours=12)).timestamp(), (NOW - timedelta(hours=9, minutes=1)).timestamp())
    there(reads).captured("order-17", window)
    assert sorted(reads.keys) == sorted(keys[hours] for hours in (9, 10, 11, 12))
    reads.keys.clear()
    there(reads).captured("order-17", Window((NOW - timedelta(hours=1)).timestamp()))
    assert sorted(reads.keys) == sorted(keys[hours] for hours in (0, 1))


def test_it_ends_with_the_hour_before_the_one_where_an_id_is_found_so_that_a_copy_is_found_too(aws: Clients) -> None:
    captured(aws, timedelta(minutes=29), "order-17", variant="v-b")
    captured(aws, timedelta(minutes=31), "order-17")
    old = captured(aws, timedelta(hours=3), "order-17", "x")
    reads = Reads(aws)
    found = there(reads).captured("order-17", EVER)
    assert {one.variant for one in found.exact} == {"v-a", "v-b"}
    assert old not in reads.keys


def test_without_any_capture_nothing_is_found(aws: Clients) -> None:
    found = there(aws).captured("order-17", EVER)
    assert (found.exact, found.oldest) == ((), None)


def test_a_file_that_goes_while_it_is_looked_for_is_passed_over(aws: Clients) -> None:
    gone = captured(aws, timedelta(hours=1), "order-16")
    captured(aws, timedelta(hours=1), "order-17")

    class Expiring(Reads):
        def get_object(self, **asked: str) -> object:
            aws("s3").delete_object(Bucket=BUCKET, Key=gone)
            return super().get_object(**asked)

    assert len(there(Expiring(aws)).captured("order-17", EVER).exact) == 1
