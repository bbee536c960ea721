"""What is told of events: to people as text, to programs as JSON, and by attributes to whoever filters."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.controller.notice import (
    SUBJECT,
    doing,
    lack,
    next_steps,
    notice,
    release_of,
    subject_of,
    waiting,
)
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import Decision, TrialObservations, decide
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.plan import Plan, ReplayGate, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import release, served

WORSE = Reason("judge", "errors", "errors worse: 50% \u2260 2%", {"margin": 0.02})
ROLLED_BACK = Event(0.0, "000002-b", "rolled_back", "b", reason=WORSE, weights={"v-a": 100, "v-b": 0})
NUMBERS = {"step": 1.0, "percent": 10.0}


def test_a_person_reads_what_happened_why_the_weights_and_what_to_do_next() -> None:
    told = notice(ROLLED_BACK, "flight-delay-prod")
    assert told.subject == "flight-delay-prod: b rolled back"
    what, why, numbers, steps = re.split(r"\nWhy: |\n\n", told.text)
    assert (what, why) == ("b rolled back", "errors worse: 50% \u2260 2%")
    assert [line.split(maxsplit=1) for line in numbers.splitlines()] == [
        ["endpoint", "flight-delay-prod"], ["rollout", "000002-b"], ["weights", "v-a 100%, v-b 0%"],
        ["time", "1970-01-01T00:00:00+00:00"],
    ]  # fmt: skip
    assert {"- `modelstack clear b` lets the same release be tried again"} < {*steps.splitlines()}


KINDS = (
    *("weights", "paused", "held", "promoted", "rolled_back", "failed", "superseded", "cleared", "skip_trial"),
    *("restore", "restore_lifted", "left_to_judge", "not_serving"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_of_a_notice_names_its_stack(kind: str) -> None:
    event = Event(0.0, "000002-b", kind, "b", reason=Reason("person", "ada", "why"), numbers=NUMBERS)
    told = notice(event, "flight-delay-prod", Commands.of_stack("prod")).text
    assert re.findall(r"modelstack (?!--stack prod )", told) == []
    assert re.findall(r"pulumi up(?! --stack prod)", told) == []


def test_a_program_reads_the_same_as_json() -> None:
    document = notice(ROLLED_BACK, "e").document
    assert json.loads(json.dumps(document)) == document
    assert (document["kind"], document["outcome"], document["release"]) == ("rolled_back", "rolled_back", "b")
    assert (document["what"], document["why"]) == ("b rolled back", "errors worse: 50% \u2260 2%")
    assert (document["reason"]["name"], document["reason"]["numbers"]) == ("errors", {"margin": 0.02})
    assert document["weights"] == {"v-a": 100, "v-b": 0}
    assert "modelstack clear b" in document["next"][2]


def test_queues_and_functions_get_json_and_everybody_else_the_text() -> None:
    told = notice(ROLLED_BACK, "e")
    by_protocol = json.loads(told.by_protocol())
    assert by_protocol["default"] == by_protocol["email"] == told.text
    assert json.loads(by_protocol["sqs"]) == json.loads(by_protocol["lambda"]) == told.document


def test_only_the_event_that_ends_a_rollout_has_an_outcome_to_filter_by() -> None:
    ended = notice(ROLLED_BACK, "e").attributes
    assert ended == {"endpoint": "e", "kind": "rolled_back", "outcome": "rolled_back", "rollout_id": "000002-b"}
    assert "outcome" not in notice(Event(0.0, "000002-b", "weights", "b", numbers=NUMBERS), "e").attributes


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("e: b gets 10%", "e: b gets 10%"),
        ("e: l\u00e4ngst\nvorbei\x07", "e: l?ngst vorbei"),
        ("e: " + "x" * 96, "e: " + "x" * 96),
        ("e: " + "x" * 97, "e: " + "x" * 93 + "..."),
    ],
)
def test_a_subject_is_one_line_of_ascii_that_sns_takes(text: str, subject: str) -> None:
    assert subject_of(text) == subject
    assert len(subject_of(text)) <= SUBJECT < 100


def test_every_event_of_whole_stories_can_be_sent_and_says_nothing_twice() -> None:
    plan = Plan(
        steps=(Step(20, 20, approve=True), Step(50, 20)), replay=ReplayGate(), window_seconds=10, max_seconds=1200
    )
    world = served()
    rollout = world.controller()
    rollout.release(release("b"), "pair-ab", plan)
    rollout.follow(1500)
    rollout.approve(Reason("person", "ada", "looks well"))
    rollout.follow(1500)
    rollout.roll_back(Reason("person", "ada", "looks odd", kind=Kind.TAKEN_BACK))
    rollout.follow(600)
    rollout.release(release("c"), "pair-ac", plan)
    rollout.release(release("d"), "pair-ad", plan)
    rollout.release(release("a"), None, plan)
    rollout.follow(600)
    rollout.clear_rejection("b")
    kinds = {event.kind for event in world.sent}
    assert {"preparing", "replayed", "weights", "paused", "approved", "promoting", "promoted"} <= kinds
    assert {"restoring", "rolled_back", "rolling_back", "withdrawn", "superseded", "cleared"} <= kinds
    for event in world.sent:
        told = notice(event, "endpoint")
        assert all(told.attributes.values())
        assert told.subject != "endpoint: "
        for word in ("withdrawn", "rolled back", "superseded"):
            assert event.text.count(word) <= 1, event.text


def test_a_release_that_is_tried_again_is_not_said_to_be_wanted_instead_of_itself() -> None:
    world = served()
    plan = Plan(steps=(Step(20, 20),))
    world.configs["pair-ab-large"] = world.configs["pair-ab"]
    larger = replace(release("b"), config_name="solo-b-large")
    for target, pair in ((release("b"), "pair-ab"), (larger, "pair-ab-large"), (larger, "pair-ab")):
        world.controller().release(target, pair, plan)
    assert [event.text for event in world.sent if event.kind == "superseded"] == [
        "b superseded: it is tried again on other instances",
        "b superseded: it is tried again with other settings",
    ]


def test_whom_an_event_is_about_is_told_by_its_rollout() -> None:
    assert (release_of("000012-77c1aa20b3f1"), release_of("")) == ("77c1aa20b3f1", "")


@pytest.mark.parametrize("kind", [*KINDS[1:], "withdrawn", "preparing"])
def test_after_every_turn_a_person_is_told_what_to_do(kind: str) -> None:
    assert next_steps(kind, "b")
    assert not any("{" in step for step in next_steps(kind, "b"))


ERRORS = Metric("errors", "rate", 0.02)


def decided(seen: TrialObservations, *metrics: Metric, now: float = 100.0, bake: float = 0) -> Decision:
    plan = Plan(steps=(Step(20, bake),), metrics=(ERRORS, *metrics))
    state = RolloutState(
        "e", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=plan, step=0,
        step_starts=(0.0,),
    )  # fmt: skip
    return decide(plan, state, seen, now)


def window(**tallies: Tally) -> Window:
    return Window(0.0, 60, tallies, tallies)


@pytest.mark.parametrize(
    ("windows", "what"),
    [
        ((), "requests"),
        ((window(errors=Tally(60)),), "labels"),
        ((window(errors=Tally(60), accuracy=Tally(5, 4)),), "evidence"),
    ],
)
def test_a_trial_says_whether_it_waits_for_requests_for_labels_or_for_evidence(
    windows: tuple[Window, ...], what: Any
) -> None:
    accuracy = Metric("accuracy", "rate", 0.02, better="higher", metric="Accuracy")
    decision = decided(TrialObservations(windows), accuracy)
    assert lack(decision) == what
    assert doing(decision.reason.text, decision) == waiting(what) + decision.reason.text


def test_a_trial_that_waits_for_captured_answers_waits_for_no_labels_nor_for_what_is_there_and_uncounted() -> None:
    windows = tuple(replace(window(errors=Tally(60)), start=60.0 * at) for at in range(9))
    none, late = (
        decided(TrialObservations(windows, counted=counted), KNOWN["invalid_answers"], now=600.0)
        for counted in (None, 0.0)
    )
    assert (none.reason.name, lack(none), lack(late)) == ("invalid_answers", "requests", None)
    assert doing(late.reason.text, late).startswith("answers are counted 10 minutes late, 540 of the challenger's are")


def test_with_enough_requests_in_the_step_it_waits_for_evidence_and_not_for_requests() -> None:
    decision = decided(TrialObservations((window(errors=Tally(80)),)))
    assert decision.requests == 80
    assert doing(decision.reason.text, decision).startswith("waiting for evidence: not yet known: errors: ")


def test_what_needs_only_time_is_not_marked_as_waiting_for_requests() -> None:
    for seen, at in ((TrialObservations(()), 10.0), (TrialObservations.unknown("no answer"), 400.0)):
        decision = decided(seen, now=at, bake=300)
        assert lack(decision) is None
        assert doing(decision.reason.text, decision) == decision.reason.text
    assert doing("the endpoint is changing", None) == "the endpoint is changing"


def test_a_trial_whose_metric_is_out_of_its_range_waits_for_no_labels() -> None:
    loss = Metric("loss", "mean", 0.1, prove=False)
    each = window(errors=Tally(500), loss=Tally(5, 300, 18_000))
    windows = tuple(replace(each, start=60.0 * at) for at in range(9))
    decision = decided(TrialObservations(windows), loss, now=600.0)
    assert (decision.action, lack(decision)) == ("hold", None)
    assert decision.reason.text.startswith("not known: loss: the challenger's mean of 5 values is 60, but")
