from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from monitoring.drift import Reference
from monitoring.watch import Datum, DriftWatch, Readings

REFERENCE = Reference.from_dict(
    {
        "rows": 400,
        "features": {"x": {"kind": "numeric", "edges": [1.0, 2.0, 3.0], "counts": [100, 100, 100, 100], "missing": 0}},
    }
)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shelf:
    """Captures, record and metrics in memory."""

    files: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    readings: Readings = field(default_factory=Readings)
    told: list[Datum] = field(default_factory=list[Datum])
    kill_at_put: bool = False

    def keys(self, variant: str, after: str) -> Sequence[str]:
        return sorted(key for key in self.files if key.startswith(f"{variant}/") and key > after)

    def lines(self, key: str) -> Iterable[bytes]:
        return self.files[key]

    def read(self) -> Readings:
        return self.readings

    def write(self, readings: Readings) -> Readings | None:
        if readings.revision != self.readings.revision:
            return None
        self.readings = replace(readings, revision=readings.revision + 1)
        return self.readings

    def put(self, data: Sequence[Datum]) -> None:
        if self.kill_at_put:
            self.kill_at_put = False
            raise Killed
        self.told += data


def file(values: Sequence[float], bad: int = 0) -> list[bytes]:
    def line(value: float) -> bytes:
        data = json.dumps({"instances": [{"x": value}]})
        return json.dumps({"captureData": {"endpointInput": {"data": data, "encoding": "JSON"}}}).encode()

    return [*map(line, values), *[b"not json"] * bad]


def watch(shelf: Shelf, min_rows: int = 20) -> DriftWatch:
    return DriftWatch(shelf, shelf, shelf, min_rows)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_drift_is_told_for_the_variant_and_for_each_feature(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([9.0] * 30)
    found = watch(shelf).measure({"v-a": REFERENCE}, 100.0)
    assert [(item.name, item.feature, item.at) for item in shelf.told] == [
        ("DriftPSI", None, 100.0),
        ("DriftPSI", "x", 100.0),
    ]
    assert shelf.told[0].value == found["v-a"].drift["x"] > 1  # pyright: ignore[reportOptionalSubscript]


def test_too_few_rows_tell_nothing_and_wait_for_more(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([1.0] * 15)
    assert watch(shelf).measure({"v-a": REFERENCE}, 1)["v-a"].drift is None
    assert shelf.told == []
    shelf.files["v-a/2"] = file([3.0] * 15)
    found = watch(shelf).measure({"v-a": REFERENCE}, 2)["v-a"]
    assert (found.rows, found.drift is not None) == (15, True)
    assert [item.at for item in shelf.told] == [2, 2]


def test_no_captures_at_all_tell_nothing(shelf: Shelf) -> None:
    watch(shelf).measure({"v-a": REFERENCE}, 1)
    assert (shelf.told, shelf.readings.revision) == ([], 1)


def test_an_event_delivered_twice_counts_its_rows_once(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([1.0] * 15)
    watch(shelf).measure({"v-a": REFERENCE}, 1)
    assert watch(shelf).measure({"v-a": REFERENCE}, 1)["v-a"].waiting == 15
    assert shelf.told == []


def test_of_two_calls_at_once_one_counts(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([1.0] * 30)

    class Overtaken(Shelf):
        def lines(self, key: str) -> Iterable[bytes]:
            watch(shelf).measure({"v-a": REFERENCE}, 1)
            return shelf.lines(key)

        def keys(self, variant: str, after: str) -> Sequence[str]:
            return shelf.keys(variant, after)

        def read(self) -> Readings:
            return shelf.read()

        def write(self, readings: Readings) -> Readings | None:
            return shelf.write(readings)

        def put(self, data: Sequence[Datum]) -> None:
            shelf.put(data)

    assert watch(Overtaken()).measure({"v-a": REFERENCE}, 1) == {}
    assert [item.feature for item in shelf.told] == [None, "x"]


def test_a_call_that_is_killed_before_it_told_is_finished_by_the_next(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([9.0] * 30)
    shelf.kill_at_put = True
    with pytest.raises(Killed):
        watch(shelf).measure({"v-a": REFERENCE}, 1)
    assert shelf.told == []
    watch(shelf).measure({"v-a": REFERENCE}, 2)
    assert [(item.feature, item.at) for item in shelf.told] == [(None, 1), ("x", 1)]
    watch(shelf).measure({"v-a": REFERENCE}, 3)
    assert len(shelf.told) == 2


def test_unreadable_records_are_counted_and_stop_nothing(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([1.0] * 30, bad=4)
    found = watch(shelf).measure({"v-a": REFERENCE}, 1)["v-a"]
    assert (found.rows, found.unreadable) == (30, {"the line is no JSON": 4})
    assert [(item.name, item.value) for item in shelf.told if item.name == "CaptureUnreadable"] == [
        ("CaptureUnreadable", 4)
    ]


def test_variants_are_measured_apart_and_a_gone_one_keeps_its_place(shelf: Shelf) -> None:
    shelf.files |= {"v-a/1": file([1.0] * 10), "v-b/1": file([9.0] * 30)}
    found = watch(shelf).measure({"v-a": REFERENCE, "v-b": REFERENCE}, 1)
    assert (found["v-a"].drift, found["v-b"].drift is not None) == (None, True)
    assert {item.variant for item in shelf.told} == {"v-b"}
    watch(shelf).measure({"v-b": REFERENCE}, 2)
    assert watch(shelf).measure({"v-a": REFERENCE}, 3)["v-a"].waiting == 10


def test_a_file_that_has_gone_since_it_was_listed_is_counted_and_passed(shelf: Shelf) -> None:
    class Expiring(Shelf):
        def lines(self, key: str) -> Iterable[bytes]:
            if key == "v-a/1":
                raise FileNotFoundError(key)
            return super().lines(key)

    expiring = Expiring(files={"v-a/1": [], "v-a/2": file([1.0] * 30)})
    found = watch(expiring).measure({"v-a": REFERENCE}, 1)["v-a"]
    assert (found.rows, found.unreadable) == (30, {"the file has gone since it was listed": 1})
    assert watch(expiring).measure({"v-a": REFERENCE}, 2)["v-a"].unreadable == {}


def test_a_read_that_breaks_off_counts_nothing_and_the_next_call_reads_it_whole(shelf: Shelf) -> None:
    class Flaky(Shelf):
        broken = True

        def lines(self, key: str) -> Iterable[bytes]:
            yield from self.files[key][:10]
            if self.broken:
                raise ConnectionError
            yield from self.files[key][10:]

    flaky = Flaky(files={"v-a/1": file([1.0] * 15)})
    with pytest.raises(ConnectionError):
        watch(flaky).measure({"v-a": REFERENCE}, 1)
    flaky.broken = False
    assert watch(flaky).measure({"v-a": REFERENCE}, 2)["v-a"].waiting == 15


def test_a_variant_that_cannot_be_measured_is_counted_at_every_call_and_its_captures_wait(shelf: Shelf) -> None:
    shelf.files |= {"v-a/1": file([1.0] * 30), "v-b/1": file([1.0] * 30)}
    for now in (1, 2):
        watch(shelf).measure({"v-a": REFERENCE}, now, ["v-b"])
    assert [(item.variant, item.at) for item in shelf.told if item.name == "DriftUnmeasured"] == [
        ("v-b", 1),
        ("v-b", 2),
    ]
    assert watch(shelf).measure({"v-b": REFERENCE}, 3)["v-b"].rows == 30


def test_a_value_too_old_for_cloudwatch_is_let_go_and_stops_nothing(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file([9.0] * 30)
    shelf.kill_at_put = True
    with pytest.raises(Killed):
        watch(shelf).measure({"v-a": REFERENCE}, 1)
    shelf.files["v-a/2"] = file([9.0] * 30)
    later = 14 * 86_400.0
    watch(shelf).measure({"v-a": REFERENCE}, later)
    assert {item.at for item in shelf.told} == {later}
