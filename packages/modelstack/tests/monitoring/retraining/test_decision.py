"""When is a new version trained, and what follows from its job?"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.retraining.decision import (
    JobSeen,
    NotNow,
    RetrainingObservation,
    Start,
    Stop,
    approve,
    decide,
    decline,
    forget,
    request,
    stop,
)
from modelstack.monitoring.retraining.notice import message
from modelstack.monitoring.retraining.record import (
    Candidate,
    Phase,
    RetrainingEvent,
    RetrainingRecord,
    Trigger,
    standing,
    waiting,
)
from modelstack.monitoring.retraining.rules import JobSettings, Rules, read, written
from modelstack.program.config.model_settings import LONGEST_PREFIX
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.release import Release, release_id

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/flight-delay-local-serving:process"
CHAMPION = Release(
    id="a" * 12,
    recipe="a" * 64,
    package_digest=f"sha256:{'b' * 64}",
    archive_uri="s3://bucket/packages/b/model.tar.gz",
    image_uri=IMAGE,
    manifest_sha256="c" * 64,
    version="arn:aws:sagemaker:us-east-1:000000000000:model-package/flight-delay-local/1",
    model_name="flight-delay-local-m",
    variant=f"v-{'a' * 12}",
    config_name="flight-delay-local-c",
    instances="1 x ml.m5.large",
)
DRIFT = Trigger("drift", "flight-delay-local-v-drift fired: 1.2")
CONCEPT = Trigger("concept", "flight-delay-local-v-concept fires: 1.1")
AT_ONCE = Rules(ask=False)
BETTER = {
    "outcome": "better",
    "why": "log-loss 0.60 -> 0.55",
    "through": "2013-05-01",
    "recipe": "d" * 64,
    "package": {
        "package_digest": f"sha256:{'e' * 64}",
        "archive_uri": "s3://bucket/packages/e/model.tar.gz",
        "manifest_sha256": "f" * 64,
        "model_package_arn": "arn:aws:sagemaker:us-east-1:000000000000:model-package/flight-delay-local/2",
        "image_uri": IMAGE,
        "metrics": {"auc": 0.7},
    },
    "comparison": {"gain": 0.05, "low": 0.03, "high": 0.07},
}


def seen(day: str = "2013-05-01", **changes: Any) -> RetrainingObservation:
    return replace(RetrainingObservation(now=1e9, day=day, champion=CHAMPION), **changes)


def step(
    record: RetrainingRecord, look: RetrainingObservation, rules: Rules = AT_ONCE
) -> tuple[RetrainingRecord, Start | Stop | None]:
    return decide(record, look, rules, "flight-delay-local")


TRAINING, START = step(RetrainingRecord(), seen(firing=(DRIFT,)))
ASKING, _ = step(RetrainingRecord(), seen(firing=(DRIFT,)), Rules())


def trained(report: dict[str, Any] | None = None, **job: Any) -> RetrainingRecord:
    """The record after a job that an alarm began has ended so."""
    return step(TRAINING, seen(job=JobSeen(**{"status": "completed", "report": report, **job})))[0]


def test_an_alarm_begins_a_job_from_the_champion_on_the_data_to_the_day_of_the_requests() -> None:
    record, start = step(RetrainingRecord(), seen(firing=(DRIFT,)))
    assert start == Start("flight-delay-local-20130501-3b9aca00", CHAMPION, "2013-05-01")
    assert (record.phase, record.job, record.through) == (Phase.TRAINING, start.job, "2013-05-01")
    assert record.history[-1].kind == "started"
    assert DRIFT.why in record.history[-1].text


def test_a_stack_that_was_destroyed_and_made_again_takes_no_job_of_its_first_life_for_its_own() -> None:
    first, second = (step(RetrainingRecord(), seen(now=now, firing=(DRIFT,)))[1] for now in (1e9, 1e9 + 90))
    assert first is not None is not second
    assert first.job != second.job
    assert len(f"{'x' * LONGEST_PREFIX}{second.job.removeprefix('flight-delay-local')}") <= 63, "SageMaker's limit"


def test_without_a_wish_nothing_happens_whatever_the_day() -> None:
    record, start = step(RetrainingRecord(), seen())
    assert (record, start) == (RetrainingRecord(since="2013-05-01"), None)
    assert step(record, seen("2013-12-01")) == (record, None)


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (seen(firing=(DRIFT,), champion=None), "nothing serves"),
        (seen(firing=(DRIFT,), on_trial="b" * 12), "is on trial"),
    ],
)
def test_what_cannot_be_begun_is_held_with_the_reason_and_begun_when_it_can(
    look: RetrainingObservation, why: str
) -> None:
    held, start = step(RetrainingRecord(), look)
    assert start is None
    assert why in held.held.text
    assert not held.history, "nobody is told of what comes by itself"
    after, start = step(held, seen(firing=(DRIFT,)))
    assert start is not None
    assert after.held is None


def test_only_the_alarms_that_the_rules_name_ask() -> None:
    only_concept = Rules(on=("concept",), ask=False)
    assert step(RetrainingRecord(), seen(firing=(DRIFT,)), only_concept)[1] is None
    record, start = step(RetrainingRecord(), seen(firing=(DRIFT, CONCEPT)), only_concept)
    assert start is not None
    assert record.trigger == CONCEPT


def test_an_alarm_that_still_fires_after_the_cool_down_begins_the_next() -> None:
    record = trained({**BETTER, "outcome": "not_better", "why": "no gain"})
    held, start = step(record, seen("2013-05-07", firing=(DRIFT,)))
    assert start is None
    assert "6 days before, and 7 must pass" in (held.held.text if held.held else "")
    assert step(held, seen("2013-05-08", firing=(DRIFT,)))[1] is not None


def test_an_alarm_that_ended_in_the_cool_down_asks_for_nothing_after_it() -> None:
    held, _ = step(trained(BETTER), seen("2013-05-03", firing=(DRIFT,)))
    record, start = step(held, seen("2013-05-20"))
    assert (record.held, start) == (None, None)


def test_budget_of_a_week_counts_what_the_cool_down_lets_pass() -> None:
    rules = Rules(cool_down_days=1, most_per_week=2, ask=False)
    record = RetrainingRecord(starts=("2013-05-01", "2013-05-03"))
    held, start = step(record, seen("2013-05-05", firing=(DRIFT,)), rules)
    assert start is None
    assert "2 were begun within a week" in (held.held.text if held.held else "")
    assert step(held, seen("2013-05-08", firing=(DRIFT,)), rules)[1] is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60), st.integers(0, 20), st.integers(1, 7))
def test_never_more_than_the_budget_and_never_within_the_cool_down(
    days: list[tuple[int, bool]], cool_down: int, most: int
) -> None:
    rules = Rules(cool_down_days=cool_down, most_per_week=most, ask=False)
    record, day, begun = RetrainingRecord(), date(2013, 3, 1), []
    for later, fires in days:
        day += timedelta(later)
        look = seen(str(day), firing=(DRIFT,) if fires else ())
        record, start = step(record, look, rules)
        if start:
            begun.append(day)
            failed = replace(look, job=JobSeen("failed", "no"))
            record, _ = step(record, failed, rules)
    for first, second in pairwise(begun):
        assert (second - first).days >= cool_down
    for one in begun:
        assert sum(0 <= (one - other).days < 7 for other in begun) <= most


def test_a_start_on_a_day_that_is_still_to_come_belongs_to_another_replay() -> None:
    record = RetrainingRecord(starts=("2026-11-25",))
    assert step(record, seen("2013-03-20", firing=(DRIFT,)))[1] is not None


def test_a_schedule_does_not_wait_for_days_that_are_of_another_replay_or_of_none() -> None:
    rules = Rules(on=(), every_days=30, ask=False)
    later = step(RetrainingRecord(starts=("2013-02-01", "2026-11-27"), since="2026-11-27"), seen("2013-02-20"), rules)[
        0
    ]
    assert (later.phase, later.since) == (Phase.IDLE, "2013-02-20")
    record, start = step(later, seen("2013-03-03"), rules)
    assert start is not None
    assert record.trigger.why == "30 days since 2013-02-01, by schedule after 30"
    anew = step(RetrainingRecord(since="2026-11-27"), seen("2013-03-01"), rules)[0]
    assert step(anew, seen("2013-03-31"), rules)[1] is not None


def test_a_schedule_counts_from_the_first_day_that_was_seen_and_then_from_the_last_start() -> None:
    rules = Rules(on=(), every_days=30, ask=False)
    record, start = step(RetrainingRecord(), seen("2013-03-01"), rules)
    assert start is None
    record, start = step(record, seen("2013-03-30"), rules)
    assert start is None
    record, start = step(record, seen("2013-03-31"), rules)
    assert start is not None
    assert record.trigger.kind == "schedule"
    ended, _ = step(record, seen("2013-03-31", job=JobSeen("failed", "no")), rules)
    assert step(ended, seen("2013-04-29"), rules)[1] is None
    assert step(ended, seen("2013-04-30"), rules)[1] is not None


# --- asking a person


def test_where_a_person_must_agree_nothing_is_trained_before_and_the_data_is_of_the_day_of_the_answer() -> None:
    asking, start = step(RetrainingRecord(), seen(firing=(DRIFT,)), Rules())
    assert (asking.phase, start) == (Phase.ASKING, None)
    assert asking.history[-1].kind == "asked"
    assert step(asking, seen("2013-05-04", firing=(DRIFT,)), Rules()) == (asking, None), "asked once"
    record, start = step(approve(asking, seen(), "anna: yes"), seen("2013-05-04"), Rules())
    assert start.through == "2013-05-04"
    assert not record.approved, "agreement is for one"
    assert "retraining approved: anna: yes" in [entry.text for entry in record.history]


def test_declined_it_asks_again_after_the_cool_down_only() -> None:
    declined = decline(ASKING, seen(), "anna: a storm")
    assert declined.history[-1].text == "retraining declined: anna: a storm"
    assert step(declined, seen("2013-05-07", firing=(DRIFT,)), Rules())[0].phase is Phase.IDLE
    assert step(declined, seen("2013-05-08", firing=(DRIFT,)), Rules())[0].phase is Phase.ASKING


def test_an_agreement_outlives_a_trial_that_is_in_the_way() -> None:
    held, start = step(approve(ASKING, seen(), "anna: yes"), seen(on_trial="b" * 12), Rules())
    assert start is None
    assert step(held, seen(), Rules())[1] is not None


def test_a_persons_own_wish_needs_no_agreement_and_knows_no_cool_down() -> None:
    record = RetrainingRecord(starts=("2013-05-01",), since="2013-05-01")
    asked = request(record, seen(), "anna: new airports")
    started, start = step(asked, seen(), Rules())
    assert start is not None
    assert started.requested is None


def test_what_cannot_be_done_is_refused_and_changes_nothing() -> None:
    for refused in (
        lambda: request(TRAINING, seen(), "anna: now"),
        lambda: request(RetrainingRecord(), seen(on_trial="b" * 12), "anna: now"),
        lambda: approve(RetrainingRecord(), seen(), "anna: yes"),
        lambda: approve(RetrainingRecord(phase=Phase.ASKING, approved=True), seen(), "anna: yes"),
        lambda: decline(TRAINING, seen(), "anna: no"),
        lambda: stop(RetrainingRecord(), seen(), "anna: no"),
        lambda: stop(stop(TRAINING, seen(), "anna: no"), seen(), "anna: no"),
        lambda: forget(RetrainingRecord(), seen(), "anna: no"),
    ):
        with pytest.raises(NotNow):
            refused()


# --- what became of the job


def test_a_better_version_is_a_candidate_and_its_window_counts() -> None:
    record = trained(BETTER)
    newest = record.accepted[0]
    assert (record.phase, record.job) == (Phase.IDLE, "")
    assert newest.release == release_id("d" * 64, IMAGE)
    assert (newest.through, newest.recipe, newest.why) == ("2013-05-01", "d" * 64, DRIFT.why)
    assert "metrics" not in newest.package
    assert record.history[-1].kind == "candidate"
    assert record.history[-1].numbers == BETTER["comparison"]
    assert newest.champion == CHAMPION.id
    assert standing(record, (), CHAMPION.id) == newest
    assert waiting(record, (), CHAMPION.id, "") == newest
    assert waiting(record, (), CHAMPION.id, newest.release) is None, "it is on trial"
    assert waiting(record, (), newest.release, "") is None, "it serves"


def test_a_candidate_that_its_rollout_rejected_gives_way_to_the_one_before() -> None:
    first, second = (
        Candidate(day, recipe * 64, recipe * 12, {}) for day, recipe in (("2013-04-01", "1"), ("2013-05-01", "2"))
    )
    record = RetrainingRecord().with_candidate(first).with_candidate(second)
    record = record.served_by(first.release)
    assert standing(record, [second.release], CHAMPION.id) == replace(first, served=True)
    assert waiting(record, [second.release], CHAMPION.id, "") is None, "the one before had its turn"
    assert standing(record, [first.release, second.release], CHAMPION.id) is None


def test_a_candidate_that_was_held_against_another_champion_neither_waits_nor_counts() -> None:
    record = trained(BETTER)
    other = "9" * 12
    assert waiting(record, (), other, "") is None
    assert standing(record, (), other) is None
    served, _ = step(record, seen(champion=replace(CHAMPION, id=record.accepted[0].release)))
    assert standing(served, (), other) == served.accepted[0], "what has served was seen to be good"


def test_a_job_whose_champion_was_replaced_meanwhile_gives_no_candidate() -> None:
    other = replace(CHAMPION, id="9" * 12)
    record, _ = step(TRAINING, seen(champion=other, job=JobSeen("completed", report=BETTER)))
    assert not record.accepted
    assert record.history[-1].kind == "kept"
    assert f"it was held against {CHAMPION.id}, and {other.id} serves by now" in record.history[-1].text


def test_a_candidate_that_waits_can_be_declined_alone_and_one_that_has_served_cannot() -> None:
    record = trained(BETTER)
    after = decline(record, seen(), "anna: a storm")
    assert not after.accepted
    assert after.history[-1].text.endswith("declined: anna: a storm")
    with pytest.raises(NotNow):
        decline(record, seen(champion=replace(CHAMPION, id=record.accepted[0].release)), "anna: a storm")
    with pytest.raises(NotNow):
        decline(record, seen(on_trial=record.accepted[0].release), "anna: a storm")
    served = record.served_by(record.accepted[0].release)
    with pytest.raises(NotNow):
        decline(served, seen(), "anna: a storm")


@pytest.mark.parametrize("outcome", ["not_better", "refused", "nothing_new"])
def test_any_other_outcome_leaves_the_champion_and_says_why(outcome: str) -> None:
    record = trained({**BETTER, "outcome": outcome, "why": "auc 0.58, min 0.6", "package": None})
    assert not record.accepted
    assert record.history[-1].kind == "kept"
    assert "auc 0.58, min 0.6" in record.history[-1].text


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ({"status": "failed", "why": "AlgorithmError: no data"}, "AlgorithmError: no data"),
        ({"status": "completed", "report": None}, "it ended without a report"),
    ],
)
def test_a_job_that_fails_is_told_and_the_next_may_come_after_the_cool_down(job: dict[str, Any], why: str) -> None:
    record = trained(**job)
    assert record.phase is Phase.IDLE
    assert record.history[-1].kind == "failed"
    assert why in record.history[-1].text
    assert step(record, seen("2013-05-02", firing=(DRIFT,)))[1] is None


def test_a_job_that_was_lost_between_record_and_platform_is_created_and_a_running_one_is_left_alone() -> None:
    assert step(TRAINING, seen("2013-05-09", job=JobSeen("missing"))) == (TRAINING, START)
    assert step(TRAINING, seen("2013-05-09", job=JobSeen("running"))) == (TRAINING, None)


def test_a_job_that_was_lost_is_not_created_for_another_champion_than_the_one_that_it_was_begun_for() -> None:
    for champion in (replace(CHAMPION, id="9" * 12), None):
        ended, act = step(TRAINING, seen(job=JobSeen("missing"), champion=champion))
        assert (ended.phase, ended.job, act) == (Phase.IDLE, "", None)
        assert ended.history[-1].text == f"{TRAINING.job} failed: it was never created, and {'a' * 12} serves no more"


@pytest.mark.parametrize("job", [JobSeen("completed", report=BETTER), JobSeen("failed", "it was stopped"), None])
def test_a_job_that_a_person_stops_is_stopped_until_it_has_ended_and_gives_nothing(job: JobSeen | None) -> None:
    stopping = stop(TRAINING, seen(), "anna: bad labels")
    assert stopping.history[-1].text == f"{TRAINING.job} is stopped, the champion stays: anna: bad labels"
    running = seen(job=JobSeen("running"))
    assert step(stopping, running) == (stopping, Stop(TRAINING.job)), "again with each look, if the first one was lost"
    with pytest.raises(NotNow, match="is being stopped: anna: bad labels"):
        request(stopping, running, "ben: anew")
    ended, act = step(stopping, seen(job=job))
    assert (ended.phase, ended.stopping, ended.accepted, act) == (Phase.IDLE, "", (), None)
    assert ended.history == stopping.history, "told once"
    assert step(ended, seen("2013-05-02", firing=(DRIFT,)))[1] is None, "the cool-down counts"


def test_a_window_is_not_forgotten_while_a_version_that_has_it_is_on_trial() -> None:
    record = trained(BETTER)
    newest = record.accepted[0].release
    with pytest.raises(NotNow, match=f"{newest} is on trial, with a retrained window"):
        forget(record, seen(on_trial=newest), "anna: bad labels in April")
    after = forget(record, seen(on_trial="9" * 12), "anna: bad labels in April")
    assert (after.accepted, standing(after, (), CHAMPION.id), after.history[-1].kind) == ((), None, "forgotten")


# --- the record


def test_the_record_is_read_back_and_what_a_newer_version_added_is_left_out() -> None:
    asking, _ = step(trained(BETTER), seen("2013-06-01", firing=(CONCEPT,)), Rules())
    record = approve(asking, seen("2013-06-01"), "anna: yes")
    assert RetrainingRecord.from_json(record.to_json()) == record
    assert RetrainingRecord.from_json(record.to_json().replace('"held"', '"later": 1, "held"', 1)) == record
    for text in ("", "[]", '{"phase": "sleeping"}'):
        with pytest.raises(ValueError, match="no record"):
            RetrainingRecord.from_json(text)


def test_the_record_stays_small_whatever_happens() -> None:
    record = RetrainingRecord()
    for number in range(200):
        record = record.begun("2013-05-01").with_candidate(Candidate("2013-05-01", "1", str(number), {}))
        record = decline(replace(record, phase=Phase.ASKING), seen(), "no")
    assert len(record.to_json()) < 20_000
    assert record.accepted[0].release == "199"


def test_rules_and_job_pass_through_the_functions_environment() -> None:
    job = JobSettings(
        "role", "image", "ml.m5.large", 3600, 0.01, "bucket", "group", "us-east-1", "key", {"auc": {"min": 0.6}}
    )
    rules = Rules(on=("drift",), every_days=30, cool_down_days=3, most_per_week=2, ask=False)
    assert read(written(rules, job)) == (rules, job)


def test_a_subject_that_is_too_long_for_a_mail_is_cut_with_a_mark() -> None:
    subject = message(RetrainingEvent(0.0, "2026-01-05", "started"), "e" * 120, Commands.of_stack("prod"))["Subject"]
    assert (len(subject), subject[-4:]) == (99, "e...")
