from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from modelstack.monitoring.bulk import DAY, sealed
from modelstack.monitoring.drift.record import Reading, newest_day
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.drift.watch import FILES, Measured
from tests.monitoring.shelf import (
    REFERENCE,
    ROWS,
    START,
    UNDATED,
    Killed,
    Shelf,
    days,
    file,
    line,
    measured,
    moved,
    rows_of,
    swept,
    watch,
)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_rows_that_have_moved_fire_and_the_feature_is_named(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(moved(12))
    found = measured(shelf)
    assert (found.rows, found.judged, found.waiting) == (360, 11, 30)
    assert found.findings[-1].drifted == ["x"]
    assert shelf.values("DriftEvidence") == [found.most_evidence]
    assert found.most_evidence is not None and found.most_evidence >= 1
    assert shelf.values("DriftEvidence", "x")[0] >= 1 > shelf.values("DriftEvidence", "gust")[0]
    assert shelf.values("DriftDistance", "x")[0] > shelf.values("DriftDistance", "gust")[0] > 0
    assert {(item.variant, item.at) for item in shelf.told} == {("v-a", START + 400 * DAY)}


def test_a_level_of_evidence_is_told_at_every_sweep_so_that_the_alarm_stays_on(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(moved(12))
    evidence = swept(shelf).most_evidence
    revision = shelf.read("v-a").revision
    assert (swept(shelf).most_evidence, shelf.values("DriftEvidence")) == (evidence, [evidence, evidence])
    assert shelf.read("v-a").revision == revision, "and nothing else has changed"


def test_a_block_whose_time_is_over_is_judged_by_a_sweep_though_nothing_comes_any_more(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(moved(2))
    assert (measured(shelf).judged, swept(shelf, START + 2 * DAY).judged) == (1, 1), "files may be under way"
    assert [finding.rows for finding in swept(shelf, START + 2 * DAY + 301).findings] == [30]
    assert swept(shelf, START + 9 * DAY).findings == []
    shelf.files["v-a/2"] = file(moved(2), first=START + 9 * DAY)
    assert [finding.rows for finding in measured(shelf).findings] == [30]


def test_a_block_of_rows_whose_sender_tells_the_time_is_ended_by_a_row_only(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = [line(row, START, told=START - 300 * DAY) for row in rows_of(days(2, 2))]
    assert swept(shelf).waiting == 60


def test_before_the_first_day_has_ended_there_is_no_evidence_of_either(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(moved(1))
    found = measured(shelf)
    assert (found.most_evidence, found.waiting, shelf.values("DriftEvidence")) == (None, 30, [])
    assert shelf.values("CaptureRows") == [30]


def test_no_captures_at_all_tell_nothing_and_write_nothing(shelf: Shelf) -> None:
    measured(shelf)
    assert (shelf.told, shelf.read("v-a")) == ([], Reading())


def test_files_and_calls_make_no_difference_to_the_last_bit(shelf: Shelf) -> None:
    lines = file(moved(8))
    shelf.files["v-a/1"] = lines
    measured(shelf)
    other = Shelf()
    for place in range(0, len(lines), 3):
        other.files[f"v-a/{place:04}"] = lines[place : place + 3]
        if place % 5 == 0:
            measured(other)
    measured(other)
    assert other.read("v-a").state == shelf.read("v-a").state
    assert sum(other.values("CaptureRows")) == 240
    assert sum(other.values("OutOfRange")) == sum(shelf.values("OutOfRange")) > 0


def test_a_file_that_comes_late_under_an_older_key_counts_once(shelf: Shelf) -> None:
    shelf.files["v-a/2"] = file(days(1, 2))
    measured(shelf, "v-a/2")
    shelf.files["v-a/1"] = file(days(1, 3))
    assert watch(shelf).late("v-a", ["v-a/1", "v-a/2", "v-a/3"]) == {"v-a/1"}
    assert measured(shelf, "v-a/2").rows == 0
    assert measured(shelf, "v-a/1", "v-a/2").rows == 30
    assert measured(shelf, "v-a/1").rows == swept(shelf).rows == 0


def test_a_call_that_is_killed_before_it_told_is_finished_by_a_later_sweep(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(moved(12))
    shelf.kill_at_put = True
    with pytest.raises(Killed):
        swept(shelf, START + 20 * DAY)
    assert shelf.told == []
    swept(shelf, START + 20 * DAY + 800)
    assert shelf.values("CaptureRows") == [], "the call may yet tell it by itself"
    swept(shelf, START + 21 * DAY)
    assert [item.at for item in shelf.told if item.name == "CaptureRows"] == [START + 20 * DAY]
    swept(shelf, START + 22 * DAY)
    assert (shelf.values("CaptureRows"), shelf.unsent()) == ([360], [])


def test_a_value_too_old_for_cloudwatch_is_let_go_and_stops_nothing(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(days(1, 2))
    shelf.kill_at_put = True
    with pytest.raises(Killed):
        swept(shelf, START + DAY)
    shelf.files["v-a/2"] = file(days(1, 3))
    swept(shelf, START + 15 * DAY)
    assert {item.at for item in shelf.told} == {START + 15 * DAY}


def test_a_call_without_time_left_stops_after_a_file_and_the_next_goes_on(shelf: Shelf) -> None:
    lines = file(days(3, 2))
    shelf.files |= {f"v-a/{place}": lines[30 * place : 30 * place + 30] for place in range(3)}
    for place in range(3):
        found = watch(shelf).measure({"v-a": REFERENCE}, START + 9 * DAY, more=lambda: False)["v-a"]
        assert (found.files, found.rows, shelf.read("v-a").after) == (1, 30, f"v-a/{place}")
        assert found.unfinished is (place < 2)


def test_variants_are_measured_apart_and_a_gone_one_keeps_its_place(shelf: Shelf) -> None:
    shelf.files |= {"v-a/1": file(days(1, 2)), "v-b/1": file(moved(12))}
    found = watch(shelf).measure({"v-a": REFERENCE, "v-b": REFERENCE}, START + 20 * DAY, {})
    assert (found["v-a"].judged, found["v-b"].judged) == (0, 11)
    assert {item.variant for item in shelf.told if item.name == "DriftEvidence"} == {"v-b"}
    watch(shelf).measure({"v-b": REFERENCE}, START + 20 * DAY, {})
    assert measured(shelf).waiting == 30


def test_a_variant_with_many_files_lets_the_others_have_their_turn(shelf: Shelf) -> None:
    row = file(days(1, 2))[:1]
    shelf.files |= {f"v-a/{place:03}": row for place in range(3 * FILES)} | {"v-b/1": file(moved(12))}
    left = iter(range(FILES))
    found = watch(shelf).measure(
        {"v-a": REFERENCE, "v-b": REFERENCE}, START + 20 * DAY, {}, more=lambda: next(left, None) is not None
    )
    assert (found["v-a"].rows, found["v-a"].unfinished) == (FILES, True)
    assert (found["v-b"].rows, found["v-b"].unfinished) == (360, False)


def test_a_variant_that_cannot_be_read_stops_no_other() -> None:
    world = Shelf(files={"v-a/1": [], "v-b/1": file(days(1, 2))}, failing={"v-a/1": PermissionError})
    found = watch(world).measure({"v-a": REFERENCE, "v-b": REFERENCE}, START + 20 * DAY, {})
    assert isinstance(found["v-a"].failure, PermissionError)
    assert (found["v-b"].rows, found["v-b"].failure) == (30, None)


def test_a_variant_that_cannot_be_measured_is_counted_at_every_call_and_its_captures_wait(shelf: Shelf) -> None:
    shelf.files |= {"v-a/1": file(days(1, 2)), "v-b/1": file(days(1, 2))}
    for now in (START + DAY, START + 2 * DAY):
        watch(shelf).measure({"v-a": REFERENCE}, now, unmeasured=["v-b"])
    assert [(item.variant, item.at) for item in shelf.told if item.name == "DriftUnmeasured"] == [
        ("", START + DAY),
        ("", START + 2 * DAY),
    ]
    assert watch(shelf).measure({"v-b": REFERENCE}, START + 3 * DAY)["v-b"].rows == 30


def test_a_record_of_another_form_is_begun_anew_and_no_file_is_read_twice(shelf: Shelf) -> None:
    shelf.files["v-a/1"] = file(days(1, 2))
    measured(shelf)
    unknown = replace(shelf.read("v-a"), state={"open": {"seen": {"rows": "many"}}})
    assert shelf.record.write("v-a", unknown, (), ()) is not None
    shelf.files["v-a/2"] = file(days(1, 3))
    found = measured(shelf)
    assert (found.rows, found.waiting) == (30, 30)
    assert found.forgotten is not None and "rows: got 'many'" in found.forgotten


# When a request was asked


def test_a_replay_of_the_past_is_judged_by_the_days_of_its_events_also_when_it_begins_again(shelf: Shelf) -> None:
    past = START - 5000 * DAY
    replayed = [line(row, START + place, past + place * DAY / ROWS) for place, row in enumerate(rows_of(days(4, 2)))]
    shelf.files["v-a/1"] = replayed
    assert measured(shelf).judged == 3
    shelf.files["v-a/2"] = replayed
    assert measured(shelf).judged == 7


def test_the_newest_day_is_that_of_the_requests_that_were_counted_last(shelf: Shelf) -> None:
    def day_after(name: str, first: float, told: float | None = None) -> date | None:
        shelf.files[f"v-a/{name}"] = [line(row, first, told) for row in rows_of(days(1, 2))]
        measured(shelf)
        return newest_day(shelf.read("v-a"))

    first = datetime.fromtimestamp(START, UTC).date()
    assert newest_day(shelf.read("v-a")) is None
    assert day_after("1", START + DAY - 1) == first
    assert day_after("2", START + 9 * DAY) == first + timedelta(9)
    assert day_after("3", START + 2 * DAY) == first + timedelta(9), "these came late"
    assert day_after("4", START + 10 * DAY, told=START - 300 * DAY) == first - timedelta(300), "a replay has begun"


def test_a_change_of_how_long_blocks_are_leaves_none_open_for_ever(shelf: Shelf) -> None:
    def counted(name: str, first: float, every: float) -> Measured:
        shelf.files[f"v-a/{name}"] = [line(row, first + place) for place, row in enumerate(rows_of(days(1, 2)))]
        return replace(watch(shelf), every=every).measure({"v-a": UNDATED}, START + DAY, {})["v-a"]

    assert counted("1", START, 60.0).waiting == 30
    assert len(counted("2", START + 3600, 3600.0).findings) == 1


def test_a_row_from_a_clock_that_is_behind_is_late_and_one_ahead_is_of_now(shelf: Shelf) -> None:
    rows = rows_of(days(3, 2))
    today = [line(row, START + place) for place, row in enumerate(rows[:40])]
    skewed = [line(rows[40], START - 9 * DAY), line(rows[41], START + 9 * DAY), line(rows[42])]
    shelf.files["v-a/1"] = [*today, *skewed]
    found = measured(shelf, now=START + 60)
    assert (found.judged, found.waiting) == (0, 43)
    shelf.files["v-a/2"] = [line(rows[43], START + DAY)]
    assert [finding.rows for finding in measured(shelf, now=START + 2 * DAY).findings] == [43]


def test_rows_without_days_at_training_are_judged_about_as_often_as_they_are_measured(shelf: Shelf) -> None:
    lines = [line(row, START + 60 * place) for place, row in enumerate(rows_of(moved(8)))]
    shelf.files["v-a/1"] = lines
    found = watch(shelf).measure({"v-a": UNDATED}, START + DAY, {})["v-a"]
    assert [finding.rows for finding in found.findings] == [60, 60, 60]
    assert found.findings[-1].evidence > found.findings[0].evidence


def test_a_model_of_few_rows_has_distances_and_no_evidence(shelf: Shelf) -> None:
    few = Reference(*sealed(days(5, 1), np.repeat(np.arange(5) * DAY, ROWS)))
    shelf.files["v-a/1"] = file(moved(3))
    found = watch(shelf).measure({"v-a": few}, START + 9 * DAY, {})["v-a"]
    assert (len(found.findings), found.most_evidence, shelf.values("DriftEvidence")) == (2, None, [])
    assert shelf.values("DriftDistance", "x")[0] > 0.3


# Bad input


def test_records_that_cannot_be_parsed_are_counted_and_kept_aside_with_the_reason(shelf: Shelf) -> None:
    broken = [b"not json", b"{}", line([1, 2]), b'{"captureData": {"endpointInput": {"data": "\xff", "encoding": 7}}}']
    good = file(days(1, 2))
    shelf.files["v-a/1"] = [*good[:10], *broken, *good[10:]]
    found = measured(shelf)
    assert (found.rows, found.unreadable.total(), shelf.values("CaptureUnreadable")) == (30, 4, [4])
    kept = shelf.aside["v-a/1"]
    assert [item["why"] for item in kept] == [
        "the line is no JSON",
        "captureData: got NoneType, expected an object",
        "the request has instances that are no objects",
        "the line is no JSON",
    ]
    assert kept[0]["line"] == "not json"
    shelf.files["v-a/2"] = [b"x" * 10_000] * 80
    measured(shelf)
    assert (len(shelf.aside["v-a/2"]), len(shelf.aside["v-a/2"][0]["line"])) == (50, 2000)


def test_a_feature_that_vanishes_is_counted_at_once_and_drift_soon(shelf: Shelf) -> None:
    columns = days(12, 2)
    del columns["x"]
    shelf.files["v-a/1"] = file(columns)
    found = measured(shelf)
    assert shelf.values("MissingValues", "x") == shelf.values("SchemaViolations", "x") == [360]
    assert ("x", "vanished", 30) in [(one.field, one.what, one.rows) for one in found.problems]
    assert found.findings[-1].drifted == ["x"]


def test_what_training_never_saw_is_counted_apart_by_feature_and_as_a_whole(shelf: Shelf) -> None:
    rows = [
        {"x": 99.0, "code": "zz", "gust": None},
        {"x": "far", "code": "a", "gust": 3.0, "more": 1},
        {"code": "a", "gust": 3.0},
    ]
    shelf.files["v-a/1"] = [line(row, START) for row in rows]
    found = measured(shelf)
    counted = {(item.name, item.feature): item.value for item in shelf.told if item.name != "CaptureRows"}
    assert counted == {
        ("OutOfRange", "x"): 1, ("OutOfRange", None): 1,
        ("NewCodes", "code"): 1, ("NewCodes", None): 1,
        ("MissingValues", "gust"): 1, ("MissingValues", "x"): 1, ("MissingValues", None): 2,
        ("SchemaViolations", "x"): 2, ("SchemaViolations", None): 3,
    }  # fmt: skip
    assert ("more", "unknown field", 1) in [(one.field, one.what, one.rows) for one in found.problems]


def test_a_file_that_has_gone_since_it_was_listed_is_counted_and_passed() -> None:
    expiring = Shelf(files={"v-a/1": [], "v-a/2": file(days(1, 2))}, failing={"v-a/1": FileNotFoundError})
    found = measured(expiring)
    assert (found.rows, found.unreadable) == (30, {"the file has gone since it was listed": 1})
    assert measured(expiring).unreadable == {}


def test_a_read_that_breaks_off_counts_nothing_and_the_next_call_reads_it_whole(shelf: Shelf) -> None:
    class Flaky(Shelf):
        broken = True

        def lines(self, key: str) -> Iterable[bytes]:
            yield from self.files[key][:10]
            if self.broken:
                raise ConnectionError
            yield from self.files[key][10:]

    flaky = Flaky(files={"v-a/1": file(days(1, 2))})
    assert isinstance(measured(flaky).failure, ConnectionError)
    flaky.broken = False
    assert measured(flaky).waiting == 30


# A file that fails


def test_a_file_at_which_calls_are_cut_off_is_set_aside_by_name_and_all_others_count() -> None:
    row = file(days(1, 2))[:1]
    files = {f"v-a/{place:02}": row for place in range(2 * FILES)} | {"v-a/2": row}
    world = Shelf(files=files, failing={"v-a/2": Killed})
    calls = 0
    while len(world.marked) < len(world.files):
        calls += 1
        with suppress(Killed):
            measured(world)
    assert (calls, world.begun) == (9, 0), (
        "five to halve the fifty files down to one, three with that one, and the last"
    )
    assert sum(world.values("CaptureRows")) == 2 * FILES
    assert {key: [item["file"] for item in lines] for key, lines in world.aside.items()} == {"v-a/2": ["v-a/2"]}
    assert "no memory, or no time" in world.aside["v-a/2"][0]["why"]
    assert world.values("DriftUnmeasured") == world.values("CaptureUnreadable") == [1], "an alarm counts the first"


def test_calls_that_end_with_an_error_blame_no_file() -> None:
    down = Shelf(files={"v-a/1": file(days(1, 2))}, failing={"v-a/1": ConnectionError})
    for _ in range(20):
        assert isinstance(measured(down).failure, ConnectionError)
    down.failing.clear()
    assert (measured(down).rows, down.aside) == (30, {})


def test_a_file_that_there_is_no_memory_for_is_set_aside_from_there_on(shelf: Shelf) -> None:
    class Full(Shelf):
        def lines(self, key: str) -> Iterable[bytes]:
            yield from self.files[key][:10]
            if key == "v-a/1":
                raise MemoryError

    full = Full(files={"v-a/1": [b"not json", *file(days(1, 2))], "v-a/2": file(days(1, 3))})
    found = measured(full)
    assert (found.aside, found.rows, found.failure) == (["v-a/1"], 9 + 10, None)
    assert [item.get("file") for item in full.aside["v-a/1"]] == [None, "v-a/1"]
