from __future__ import annotations

from dataclasses import replace

import pytest

from monitoring.alarms import Alarm, NotAnAlarm
from monitoring.response import respond
from rollout import Plan, Release, Step
from rollout.memory import World

PLAN = Plan(steps=(Step(10, 300),), window_seconds=10)
ALARM = Alarm("v-b-5xx", "ALARM", "0.5 > 0.05", None, "endpoint", "v-b", ("AWS/SageMaker/Invocation5XXErrors",))


def release(name: str) -> Release:
    return Release(
        name, name, f"sha256:{name}", "s3://x", "image", "x", f"arn:{name}", "model", f"v-{name}", f"solo-{name}"
    )


@pytest.fixture
def world() -> World:
    """Release b is on trial against a, at 10%."""
    configs = {"solo-a": {"v-a": 1.0}, "solo-b": {"v-b": 1.0}, "pair": {"v-a": 1.0, "v-b": 0.0}}
    world = World(configs, "solo-a")
    world.controller().release(release("a"), None, PLAN)
    world.controller().release(release("b"), "pair", PLAN)
    world.controller().follow(20, poll=1)
    assert world.live().shares() == {"v-a": 90.0, "v-b": 10.0}
    return world


def test_an_alarm_on_the_challenger_rolls_back_with_its_name_and_reason(world: World) -> None:
    answer = respond(ALARM, "endpoint", world.controller(), patience=10)
    assert (answer.action, answer.why) == ("rolled back", "rollout 000005-b: alarm v-b-5xx: 0.5 > 0.05")
    state = world.controller().follow(60)
    assert state.verdict is not None
    assert (state.verdict.reason.source, state.verdict.reason.name) == ("alarm", "v-b-5xx")


@pytest.mark.parametrize(
    ("alarm", "why"),
    [
        (replace(ALARM, state="OK"), "its state is OK, not ALARM"),
        (replace(ALARM, state="INSUFFICIENT_DATA"), "its state is INSUFFICIENT_DATA, not ALARM"),
        (replace(ALARM, endpoint="other"), "it is about endpoint other, not endpoint"),
        (replace(ALARM, endpoint=None), "it is about endpoint None, not endpoint"),
        (replace(ALARM, variant=None), "it names no single variant"),
        (replace(ALARM, variant="v-a"), "the event is about variant v-a, on trial is v-b"),
        (replace(ALARM, variant="v-old"), "the event is about variant v-old, on trial is v-b"),
        (replace(ALARM, at=1.0), "the event is older than rollout 000005-b"),
        (NotAnAlarm("a notification that is not an alarm's"), "a notification that is not an alarm's"),
    ],
)
def test_other_alarms_are_ignored_with_the_reason(world: World, alarm: Alarm | NotAnAlarm, why: str) -> None:
    before = world.state
    answer = respond(alarm, "endpoint", world.controller(), patience=10)
    assert (answer.action, answer.why) == ("ignored", why)
    assert world.state == before


@pytest.mark.parametrize(
    "metric", ["DriftPSI", "DriftUnmeasured", "CaptureUnreadable", "LabelsLost", "AnswersUnreadable"]
)
def test_an_alarm_on_drift_or_on_what_could_not_be_measured_tells_people_and_rolls_nothing_back(
    world: World, metric: str
) -> None:
    before = world.state
    answer = respond(replace(ALARM, metrics=(f"modelstack/{metric}",)), "endpoint", world.controller(), patience=10)
    assert (answer.action, "people are told" in answer.why, world.state) == ("ignored", True, before)


def test_an_alarm_on_how_right_a_challenger_is_rolls_back(world: World) -> None:
    wrong = replace(ALARM, metrics=("modelstack/Accuracy",))
    assert respond(wrong, "endpoint", world.controller(), patience=10).action == "rolled back"


def test_the_second_of_two_deliveries_finds_nothing_left_to_do(world: World) -> None:
    respond(ALARM, "endpoint", world.controller(), patience=10)
    world.controller().follow(60)
    answer = respond(ALARM, "endpoint", world.controller(), patience=10)
    assert (answer.action, answer.why) == ("ignored", "the event is about variant v-b, serving is v-a")
    assert [event.kind for event in world.sent].count("rolled_back") == 1
