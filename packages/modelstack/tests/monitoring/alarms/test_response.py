from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelstack.monitoring.alarms.alarm import Alarm, NotAnAlarm, Said
from modelstack.monitoring.alarms.alike import Numbers
from modelstack.monitoring.alarms.outage import LEFT, Outage
from modelstack.monitoring.alarms.response import AlarmResponse, respond
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase
from tests.rollout.worlds import challenged
from tests.simulator.platform import MemoryJournal, MemoryNotify, World

PLAN = Plan(steps=(Step(10, 300),), window_seconds=10)
SAID = Said("0.5 > 0.05")
ALARM = Alarm("v-b-5xx", "ALARM", SAID, None, "endpoint", "v-b", ("AWS/SageMaker/Invocation5XXErrors",), "errors")


ALIKE = Numbers(0.05, Counted(10, 20), Counted(90, 180), champion_fires=True)
CLEARLY_WORSE = replace(ALIKE, challenger=Counted(20, 20), champion=Counted(36, 180))


def respond_to(alarm: Alarm | NotAnAlarm, world: World, numbers: Numbers | Exception | None = None) -> AlarmResponse:
    return respond(alarm, "endpoint", world.controller(), outage(world, numbers), patience=10)


def outage(world: World, numbers: Numbers | Exception | None = None) -> Outage:
    """An outage that reads these numbers for every alarm, or raises the exception."""

    def behind(_: Alarm, champion: str) -> Numbers | None:
        assert champion == "v-a"
        if isinstance(numbers, Exception):
            raise numbers
        return numbers

    return Outage(behind, Outbox(MemoryJournal(world), MemoryNotify(world), world.clock))


@pytest.fixture
def world() -> World:
    """Release b is on trial against a, at 10%."""
    world = challenged(plan=PLAN, seconds=20)
    assert world.live().shares() == {"v-a": 90.0, "v-b": 10.0}
    return world


def test_an_alarm_with_numbers_is_told_by_these_and_its_words_are_kept(world: World) -> None:
    fires = replace(ALARM, said=Said("1 datapoint [0.5 (x)] was too much", 0.5, 0.05))
    answer = respond_to(fires, world)
    assert answer.why.endswith("alarm v-b-5xx: value 0.5, threshold 0.05")
    assert answer.reason.numbers == {"value": 0.5, "threshold": 0.05}
    assert answer.reason.said == "1 datapoint [0.5 (x)] was too much"
    assert json.loads(json.dumps(answer.as_dict()))["reason"]["kind"] == "alarm"


def test_an_alarm_on_the_challenger_rolls_back_with_its_name_and_reason(world: World) -> None:
    answer = respond_to(ALARM, world)
    assert (answer.action, answer.why) == ("rolled back", "rollout 000005-b: alarm v-b-5xx: 0.5 > 0.05")
    state = world.controller().follow(60)
    assert (state.verdict.reason.source, state.verdict.reason.name) == ("alarm", "v-b-5xx")


@pytest.mark.parametrize(
    ("alarm", "why"),
    [
        (replace(ALARM, state="OK"), "its state is OK, not ALARM"),
        (replace(ALARM, state="INSUFFICIENT_DATA"), "its state is INSUFFICIENT_DATA, not ALARM"),
        (replace(ALARM, endpoint="other"), "it is about endpoint other, not endpoint"),
        (replace(ALARM, endpoint=None), "it is about no endpoint, not endpoint"),
        (replace(ALARM, variant=None), "it names no single variant"),
        (replace(ALARM, variant="v-a"), "the event is about variant v-a, on trial is v-b"),
        (replace(ALARM, variant="v-old"), "the event is about variant v-old, on trial is v-b"),
        (replace(ALARM, at=1.0), "the event is older than rollout 000005-b"),
        (NotAnAlarm("a notification that is not an alarm's"), "a notification that is not an alarm's"),
    ],
)
def test_other_alarms_are_ignored_with_the_reason(world: World, alarm: Alarm | NotAnAlarm, why: str) -> None:
    before = world.state
    answer = respond_to(alarm, world)
    assert (answer.action, answer.why) == ("ignored", why)
    assert world.state == before


SLO = ("AWS/SageMaker/Invocations", "AWS/SageMaker/Invocation5XXErrors", "AWS/SageMaker/ModelLatency")
"""Counted by the alarm on the objective, of one version alone too."""


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("endpoint-slo-page", SLO),
        ("endpoint-slo-ticket", SLO),
        *(
            ("v-b-monitoring", (f"modelstack/{metric}",))
            for metric in (
                *("DriftEvidence", "DriftUnmeasured", "OutOfRange", "NewCodes", "MissingValues", "SchemaViolations"),
                *("ConceptEvidence", "CaptureUnreadable", "LabelsLost", "AnswersUnreadable"),
            )
        ),
    ],
)
def test_an_alarm_on_drift_on_what_could_not_be_measured_or_on_the_objective_tells_people_and_rolls_nothing_back(
    world: World, name: str, metrics: tuple[str, ...]
) -> None:
    before = world.state
    answer = respond_to(replace(ALARM, name=name, metrics=metrics), world)
    assert (answer.action, "people are told" in answer.why, world.state) == ("ignored", True, before)


def test_an_alarm_on_how_right_a_challenger_is_rolls_back(world: World) -> None:
    wrong = replace(ALARM, metrics=("modelstack/Accuracy",))
    assert respond_to(wrong, world).action == "rolled back"


# --- the champion fails too


def firing(world: World) -> Alarm:
    return replace(ALARM, at=world.clock.time())


def test_a_challenger_that_fails_as_the_champion_does_is_left_to_the_judge_and_people_are_told(world: World) -> None:
    answer = respond_to(firing(world), world, ALIKE)
    assert answer.action == "left to the judge"
    assert world.live().shares() == {"v-a": 90.0, "v-b": 10.0}
    assert world.state.on_trial
    (event,) = (event for event in world.sent if event.kind == LEFT)
    assert event.reason == answer.reason
    assert event.what == "b is left to the judge, as both versions fail"
    assert answer.why == (
        "alarm v-b-5xx fires, and the champion fails alike. Then, or in as long a time within two hours "
        "before, failed (5XX): 10 of 20 (50.0%) requests of the challenger v-b, "
        "90 of 180 (50.0%) of the champion v-a; tolerated are 5.0%"
    )


def promoting(world: World) -> World:
    """The judge has promoted b, whose traffic still has to move."""
    while world.state.phase is not Phase.PROMOTING:
        world.controller().tick()
        world.clock.sleep(1)
    return world


def promoted(world: World) -> World:
    """The rollout is in its watch time."""
    world.controller().follow(600)
    assert world.state.champion is not None
    assert world.state.champion.id == "b"
    return world


@pytest.mark.slow
@pytest.mark.parametrize("then", [promoting, promoted])
def test_an_alarm_that_the_judge_knew_of_does_not_undo_his_promotion(
    world: World, then: Callable[[World], World]
) -> None:
    fires = firing(world)
    assert respond_to(fires, world, ALIKE).action == "left to the judge"
    then(world)
    before = world.state
    answer = respond_to(fires, world)
    assert (answer.action, "had been left to the judge" in answer.why, world.state) == ("ignored", True, before)


@pytest.mark.slow
@pytest.mark.parametrize("then", [promoting, promoted])
def test_an_alarm_that_fires_anew_or_that_the_judge_did_not_know_of_undoes_it(
    world: World, then: Callable[[World], World]
) -> None:
    another = replace(firing(world), name="v-b-p99", measure="latency")
    assert respond_to(firing(world), world, ALIKE).action == "left to the judge"
    then(world)
    anew = replace(ALARM, at=world.clock.time() + 1)
    assert respond_to(another if then is promoting else anew, world).action == "rolled back"


@pytest.mark.parametrize(
    "numbers",
    [
        CLEARLY_WORSE,
        replace(ALIKE, champion=Counted(0, 180), champion_fires=False),
        None,
        Busy("throttled"),
        Unreachable("no answer"),
        RolloutError("access denied"),
        KeyError("Threshold"),
    ],
    ids=["clearly worse", "champion well", "none", "throttled", "unreachable", "denied", "another form"],
)
def test_else_and_whenever_the_champion_cannot_be_compared_the_challenger_is_rolled_back(
    world: World, numbers: Any
) -> None:
    answer = respond_to(firing(world), world, numbers)
    assert answer.action == "rolled back"
    assert LEFT not in [event.kind for event in world.sent]


def test_people_who_could_not_be_told_are_told_when_the_alarm_is_delivered_again(world: World) -> None:
    world.unwritable = True
    with pytest.raises(RolloutError):
        respond_to(firing(world), world, ALIKE)
    world.unwritable = False
    respond_to(firing(world), world, ALIKE)
    assert [event.kind for event in world.sent].count(LEFT) == 1
