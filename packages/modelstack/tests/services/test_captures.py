"""Captures by hour: listed in order, the latest exchanges for a replay, and the prediction with an id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelstack.monitoring.predictions import EVER, Window
from modelstack.services.captures import CaptureFiles
from tests.captured import line
from tests.services.memory import MemoryBlobs

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
ENDPOINT = "flights"


class Blobs(MemoryBlobs):
    """Remembers which names were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = list[str]()

    def get(self, name: str) -> Iterable[bytes]:
        self.read.append(name)
        return super().get(name)


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture
def there(blobs: Blobs) -> CaptureFiles:
    return CaptureFiles(blobs, f"capture/{ENDPOINT}/", uri="s3://artifacts/capture/flights/")


def ago(**time: int) -> float:
    return (NOW - timedelta(**time)).timestamp()


def captured(there: CaptureFiles, age: timedelta, *names: str, variant: str = "v-a", endpoint: str = ENDPOINT) -> str:
    """Put a file of what was answered so long ago, with inference ids and an event id for each."""
    at = NOW - age
    time = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    lines = [line(eventId=f"{variant}-{name}", inferenceId=name, inferenceTime=time) for name in names]
    key = f"capture/{endpoint}/{variant}/{at:%Y/%m/%d/%H}/{at:%M-%S-%f}-{len(names)}{names[0]}.jsonl"
    there.blobs.put_new(key, b"\n".join(lines))
    return key


def test_an_id_is_found_in_whichever_variant_day_and_file_it_lies(there: CaptureFiles) -> None:
    for number, (days, variant) in enumerate([(0, "v-a"), (1, "v-b"), (2, "v-a"), (40, "v-b"), (400, "v-a")]):
        captured(there, timedelta(days=days), f"order-{number}", "basket", variant=variant)
    captured(there, timedelta(), "order-9", endpoint="flights-of-others")
    for number in range(5):
        (one,) = there.search(f"order-{number}", EVER).exact
        assert one.inference == f"order-{number}"
    found = there.search("v-b-order-3", EVER)
    assert [one.inference for one in found.exact] == ["order-3"], "by its event id"
    nothing = there.search("order-9", EVER)
    assert nothing.exact == ()
    assert nothing.places == ("5 files of captures under s3://artifacts/capture/flights/",)
    assert nothing.oldest == (NOW - timedelta(days=400)).replace(minute=0).timestamp(), "its hour"


def test_the_beginning_of_an_id_finds_all_that_begin_so(there: CaptureFiles) -> None:
    captured(there, timedelta(), "order-17", "order-18")
    captured(there, timedelta(days=3), "order-19", "basket-1")
    found = there.search("order", EVER)
    assert (found.exact, {one.inference for one in found.begun}) == ((), {"order-17", "order-18", "order-19"})


def test_only_the_hours_of_the_window_are_read(there: CaptureFiles, blobs: Blobs) -> None:
    keys = {hours: captured(there, timedelta(hours=hours), "other", variant=f"v-{hours % 2}") for hours in range(30)}
    there.search("order-17", Window(ago(hours=12), ago(hours=9, minutes=1)))
    assert sorted(blobs.read) == sorted(keys[hours] for hours in (9, 10, 11, 12))
    blobs.read.clear()
    there.search("order-17", Window(ago(hours=1)))
    assert sorted(blobs.read) == sorted(keys[hours] for hours in (0, 1))


def test_it_ends_with_the_hour_before_the_one_where_an_id_is_found_so_that_a_copy_is_found_too(
    there: CaptureFiles, blobs: Blobs
) -> None:
    captured(there, timedelta(minutes=29), "order-17", variant="v-b")
    captured(there, timedelta(minutes=31), "order-17")
    old = captured(there, timedelta(hours=3), "order-17", "x")
    found = there.search("order-17", EVER)
    assert {one.variant for one in found.exact} == {"v-a", "v-b"}
    assert old not in blobs.read


def test_files_that_are_known_not_to_have_the_id_are_not_read(blobs: Blobs) -> None:
    asked = list[tuple[str, int]]()

    def may_hold(word: str, files: Sequence[str]) -> list[str]:
        asked.append((word, len(files)))
        return [name for name in files if name.endswith(("order-17.jsonl", "unknown.jsonl"))]

    there = CaptureFiles(blobs, f"capture/{ENDPOINT}/", may_hold=may_hold)
    for number in range(230):
        captured(there, timedelta(minutes=30, microseconds=number), f"other-{number}")
    worth = [captured(there, timedelta(hours=hours), name) for hours, name in ((1, "unknown"), (3, "order-17"))]
    found = there.search("order-17", EVER)
    assert [one.inference for one in found.exact] == ["order-17"]
    assert sorted(blobs.read) == sorted(worth)
    assert found.places == (f"232 files of captures under capture/{ENDPOINT}/",)
    assert sorted(asked, key=lambda one: one[1]) == [("order-17", 1)] * 2 + [("order-17", n) for n in (30, 100, 100)]


def test_without_any_capture_nothing_is_found(there: CaptureFiles) -> None:
    found = there.search("order-17", EVER)
    assert (found.exact, found.oldest) == ((), None)


def test_a_file_that_goes_while_it_is_looked_for_is_passed_over(
    there: CaptureFiles, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = captured(there, timedelta(hours=1), "order-16")
    captured(there, timedelta(hours=1), "order-17")
    listed = blobs.list(f"capture/{ENDPOINT}/")
    monkeypatch.setattr(blobs, "list", lambda prefix, after="", most=1000: expiring(prefix, after, most))

    def expiring(prefix: str, after: str, most: int) -> list[str]:
        blobs.stored.pop(gone, None)
        return [name for name in listed if name.startswith(prefix) and name > after][:most]

    assert len(there.search("order-17", EVER).exact) == 1


def test_files_are_listed_oldest_first_and_those_of_the_last_hours_up_to_one(there: CaptureFiles) -> None:
    keys = [captured(there, timedelta(hours=hours), "x") for hours in (50, 3, 2, 1)]
    captured(there, timedelta(hours=2), "x", variant="v-b")
    assert there.keys("v-a", "", 3) == keys[:3]
    assert there.keys("v-a", keys[2], 3) == keys[3:]
    assert replace(there, since=ago(hours=3)).recent("v-a", keys[2]) == keys[1:3]


def test_the_latest_exchanges_come_first_and_a_later_call_continues_where_another_ended(
    there: CaptureFiles, blobs: Blobs
) -> None:
    for number, (hours, lines) in enumerate([(60, ["0"]), (30, ["1", "2"]), (1, ["3", "4"]), (1, ["5"])]):
        at = datetime.now(UTC) - timedelta(hours=hours)
        content = b"\n".join(line(one, {"p": 0.5}) for one in lines)
        blobs.put_new(f"capture/{ENDPOINT}/v-a/{at:%Y/%m/%d/%H}/{number}.jsonl", content)

    def latest(after: str = "", most: int = 100) -> list[tuple[str, bytes]]:
        return [(place, asked.body) for place, (asked, _) in there.latest("v-a", most, Counter(), after)]

    assert [body for _, body in latest()] == [b"5", b"4", b"3", b"2", b"1"], "and not older than two days"
    assert [body for _, body in latest(latest()[1][0], 2)] == [b"3", b"2"]
