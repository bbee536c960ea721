"""The year: how events become requests, what time it is in the data, what was seen, and what the page says of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demos.year import report
from demos.year.clock import Clock
from demos.year.facts import Alarm, Counts, Retraining, Rollout, Year, gain, start
from demos.year.groups import MOST, Group, grouped
from demos.year.losses import by_day, form, loss, smoothed
from demos.year.observations import Seen, fired
from demos.year.picture import BEGINS, ENDS, written
from demos.year.plan import Plan
from model.data import Flight
from modelstack.cli.target import Target
from modelstack.monitoring.retraining.record import Candidate, RetrainingEvent, Trigger
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.process import ROOT

DAY = 86_400
MARCH = datetime(2013, 3, 1, tzinfo=UTC)


def flight(number: int, at: datetime, label: bool | None = False) -> Flight:
    known = at + timedelta(hours=3 + number) if label is not None else None
    return Flight(f"f{number}", at, {"carrier": "UA"}, label, known)


def ids(groups: Iterable[Group]) -> list[list[str]]:
    return [[event.id for event in group.events] for group in groups]


# --- requests


def test_a_request_holds_the_events_of_its_time_and_its_labels_are_known_with_the_last_of_them() -> None:
    flights = [flight(number, MARCH + timedelta(minutes=10 * number)) for number in range(5)]
    found = list(grouped(flights, lambda: timedelta(minutes=25)))
    assert ids(found) == [["f0", "f1", "f2"], ["f3", "f4"]]
    assert [(group.at, group.label_at) for group in found] == [
        (flights[0].event_time, flights[2].label_at),
        (flights[3].event_time, flights[4].label_at),
    ]


def test_a_request_is_about_one_day_and_holds_no_more_than_the_model_takes() -> None:
    flights = [flight(number, MARCH + timedelta(hours=23, minutes=30 * number)) for number in range(4)]
    assert ids(grouped(flights, lambda: timedelta(hours=6))) == [["f0", "f1"], ["f2", "f3"]]
    found = ids(grouped([flight(number, MARCH) for number in range(MOST + 1)], lambda: timedelta(hours=1)))
    assert [len(group) for group in found] == [MOST, 1]


def test_events_that_never_get_a_label_keep_no_other_from_its_own() -> None:
    flights = [flight(0, MARCH), flight(1, MARCH, None), flight(2, MARCH, True)]
    found = list(grouped(flights, lambda: timedelta(hours=1)))
    assert ids(found) == [["f0", "f2"], ["f1"]]
    assert found[1].label_at is None


def test_days_take_longer_while_something_is_under_way_and_a_trial_has_as_many_requests_a_second() -> None:
    plan = Plan(day_s=2, trial_day_s=8, training_day_s=40, rate=10)
    assert [timedelta(days=1) / plan.between(doing) for doing in ("", "trial", "training")] == [20, 80, 80]


# --- time


def test_the_clock_tells_the_time_of_the_data_between_two_requests() -> None:
    clock = Clock()
    clock.note(100.0, MARCH)
    clock.note(110.0, MARCH + timedelta(days=1))
    first = MARCH.timestamp()
    assert [clock.at(now) - first for now in (50.0, 100.0, 105.0, 110.0, 500.0)] == [0, 0, DAY / 2, DAY, DAY]


def clock(days: int = 300) -> Clock:
    """A second a day from March on."""
    made = Clock()
    for number in range(days):
        made.note(float(number), MARCH + timedelta(days=number))
    return made


# --- losses


def test_a_loss_is_that_which_is_published() -> None:
    said = form(ROOT / "model")
    assert loss(said, {"late": True, "probability": 0.25}, False) == pytest.approx(0.2876821)
    assert loss(said, {"late": True, "probability": None}, False) == 5.0


def test_a_day_counts_only_events_that_every_policy_has_answered() -> None:
    both = {"live": {"a": 1.0, "b": 3.0, "c": 9.0}, "never": {"a": 2.0, "b": 4.0, "d": 9.0}}
    days = by_day(both, dict.fromkeys("abc", "2013-03-02"), ["2013-03-01", "2013-03-02"])
    assert [(day.day, day.events, day.means) for day in days] == [("2013-03-02", 2, {"live": 2.0, "never": 3.0})]


def test_a_mean_of_days_weighs_them_by_their_events() -> None:
    losses = {"live": {"a": 0.0, "b": 0.0, "c": 3.0}}
    days = by_day(losses, {"a": "2013-03-01", "b": "2013-03-01", "c": "2013-03-02"}, ["2013-03-01", "2013-03-02"])
    assert smoothed(days, "live", 7) == [("2013-03-01", 0.0), ("2013-03-02", 1.0)]
    assert smoothed(days, "live", 1) == [("2013-03-01", 0.0), ("2013-03-02", 3.0)]


# --- what was seen


def changed(name: str, at: float, state: str) -> dict[str, Any]:
    data = json.dumps({"version": "1.0", "newState": {"stateValue": state}})
    return {"AlarmName": name, "Timestamp": datetime.fromtimestamp(at, UTC), "HistoryData": data}


def test_an_alarm_fires_from_its_state_to_the_next_and_others_endpoints_are_left_out() -> None:
    items = [
        changed("e-v-a-drift", 3, "ALARM"),
        changed("e-two-v-b-drift", 4, "ALARM"),
        changed("e-v-a-concept", 5, "ALARM"),
        changed("e-v-a-drift", 9, "OK"),
        changed("e-v-a-drift", 10, "INSUFFICIENT_DATA"),
    ]
    found = list(fired(items, "e-", clock()))
    first = MARCH.timestamp()
    assert found[0] == Alarm("drift", "v-a", first + 3 * DAY, first + 9 * DAY)
    assert found[-1] == Alarm("concept", "v-a", first + 5 * DAY, None)


def seen(*entries: RetrainingEvent, candidates: Iterable[Candidate] = (), verdicts: Iterable[Verdict] = ()) -> Seen:
    made = Seen(Target("local-year", "e", "us-east-1", {}))
    made.entries = {(one.at, one.kind): one for one in entries}
    made.candidates = {one.through: one for one in candidates}
    made.verdicts = {one.rollout_id: one for one in verdicts}
    return made


def test_a_retraining_is_told_with_why_its_outcome_and_the_verdict_on_its_candidate() -> None:
    gained = {"gain": 0.01, "low": 0.002, "high": 0.02}
    found = seen(
        RetrainingEvent(10, "2013-03-11", "started", trigger=Trigger("drift", "value 2", "e-v-a-drift", "v-a")),
        RetrainingEvent(12, "2013-03-13", "candidate", "surely better", gained, release="b", through="2013-03-11"),
        RetrainingEvent(40, "2013-04-10", "started", trigger=Trigger("concept", "concept fires")),
        RetrainingEvent(41, "2013-04-11", "kept", "not surely better", job="k"),
        RetrainingEvent(50, "2013-04-20", "started", trigger=Trigger("person", "anna: to see")),
        RetrainingEvent(51, "2013-04-21", "stopped", "anna: bad labels", job="s"),
        RetrainingEvent(60, "2013-04-30", "started", trigger=Trigger("concept", "concept fires")),
        candidates=[Candidate("2013-03-11", "recipe", "b", {})],
        verdicts=[Verdict("rolled_back", Reason("judge", "log_loss", "worse"), "r1", "b", "recipe", "", 20.0)],
    ).retrainings(clock())
    told = [(one.through, one.why, one.outcome, one.release, one.verdict) for one in found]
    assert told == [
        ("2013-03-11", "e-v-a-drift fired: value 2", "candidate", "b", "rolled_back"),
        ("2013-04-10", "concept fires", "kept", "", ""),
        ("2013-04-20", "anna: to see", "stopped", "", ""),
        ("2013-04-30", "concept fires", "", "", ""),
    ]
    assert [one.asked for one in found] == ["v-a-drift", "", "", ""]
    assert [one.text for one in found] == ["surely better", "not surely better", "anna: bad labels", ""]
    assert found[0].numbers == gained
    assert found[0].ended == MARCH.timestamp() + 12 * DAY
    assert found[3].ended is None


def test_a_trial_is_told_with_its_verdict_or_without() -> None:
    made = seen(verdicts=[Verdict("promoted", Reason("judge", "all", "not worse"), "r1", "b", "x", "", 9.0)])
    made.begun = {"r1": ("b", 5.0), "r2": ("c", 20.0)}
    found = made.rollouts(clock())
    first = MARCH.timestamp()
    assert found[0] == Rollout("b", first + 5 * DAY, first + 9 * DAY, "promoted", "not worse")
    assert found[1] == Rollout("c", first + 20 * DAY, None, "", "")


# --- the page


def year() -> Year:
    plan = Plan("2013-03-01", "2013-05-01")
    names = {f"{day}-{number}": day for day in plan.days for number in range(3)}
    losses = {
        policy: {name: 0.4 + 0.1 * step + int(name[8:10]) / 1000 for name in names}
        for step, policy in enumerate(("live", "monthly", "never"))
    }
    began = start("2013-04-02") + 3600
    return Year(
        plan,
        123.0,
        Counts(190, 50, 3, 4, 183, 183, ("a: <refused>",)),
        tuple(by_day(losses, names, plan.days)),
        (gain(losses, names, "live", "never"),),
        (Alarm("drift", "v-a", began, None),),
        (
            Retraining(
                began, began + DAY, "2013-04-02", "<b>fires", "candidate", "t", {"gain": 0.0125}, "b", "promoted"
            ),
        ),
        (Rollout("b", began + DAY, began + 5 * DAY, "promoted", "not worse"),),
        {"drift": [(began, 1e9), (began + DAY, 0.0)]},
        {"2013-03-01": {"v-a": 3}},
        ("a remark",),
    )


def test_the_page_tells_gains_detections_retrainings_and_counts() -> None:
    page = report.render(year())
    for text in (
        "+0.2000",
        "2013-04-02",
        "v-a",
        "+0.0125",
        "promoted",
        "a remark",
        "183 were answered and got a label",
    ):
        assert text in page
    assert "&lt;b&gt;fires" in page
    assert "a: &lt;refused&gt;" in page


def test_the_losses_around_a_detection_are_of_whole_days_on_either_side() -> None:
    before, after = year().around(start("2013-04-02") + 3600)
    assert before == pytest.approx(0.4 + sum([*range(19, 32), 1]) / 14 / 1000)
    assert after == pytest.approx(0.4 + sum(range(3, 17)) / 14 / 1000)
    assert year().around(start("2013-03-01"))[0] is None, "nothing was before"


def test_the_facts_are_written_as_json_beside_the_page(tmp_path: Path) -> None:
    page, facts = report.write(year(), tmp_path / "new")
    told = json.loads(facts.read_text())
    assert told["gains"][0]["compared"]["gain"] == pytest.approx(0.2)
    assert told["counts"]["joined"] == 183
    assert page.read_text().startswith("<!doctype html>")
    assert "| drift | `v-a` | 2013-04-02 | - |" in (tmp_path / "new" / report.TABLES).read_text()


def test_the_docs_get_the_tables_of_the_year_that_was_written_last_and_keep_the_rest(tmp_path: Path) -> None:
    before = f"# A year\n\n{BEGINS}\nold\n{ENDS}\n\nmore\n"
    after = written(before, report.render(year(), "report.md"))
    head, tables, rest = (
        after.partition(BEGINS)[0],
        after.partition(BEGINS)[2].partition(ENDS)[0],
        after.partition(ENDS)[2],
    )
    assert (head, rest) == ("# A year\n\n", "\n\nmore\n")
    assert "| live, by gates and trials, against never retrained | +0.2000 |" in tables
    assert "old" not in tables
    with pytest.raises(ValueError, match="between"):
        written("nothing there", "tables")
