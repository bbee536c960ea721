"""Why a rollout ended as it did, in words and numbers, and what to do next; found in the journal alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.facts import AlarmView
from modelstack.cli.view.explain import Story, explain
from modelstack.cli.view.narrate import told
from modelstack.cli.view.situation import situation
from modelstack.rollout.core.endings import roll_back_trial
from modelstack.rollout.core.event import latency
from modelstack.rollout.core.plan import ReplayGate, Step
from modelstack.rollout.core.state import Phase, Replayed
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.cli.conftest import METRICS, plan
from tests.cli.played import look, printed
from tests.rollout.worlds import release
from tests.simulator.platform import World

Begin = Callable[..., World]
ADA = Reason("person", "ada", "customers complain", kind=Kind.TAKEN_BACK)
WORDS = "Threshold Crossed: 1 datapoint [0.48012345 (05/01/26)] was greater than the threshold (0.05)"
FIRES = Reason("alarm", "v-b-5xx", WORDS, {"value": 0.48012345, "threshold": 0.05}, Kind.ALARM)


def story(world: World, rollout: str | None = None) -> Story:
    progress = world.controller().status()
    return explain(progress.state, progress.decision, world.clock.time(), rollout)


def take_back(world: World, reason: Reason = ADA, **more: str) -> None:
    world.controller().roll_back(reason, **more)
    world.controller().follow(60)


def read(world: World, rollout: str | None = None, *alarms: AlarmView) -> str:
    """The text at 80 columns, unwrapped."""
    seen = look(world, *alarms)
    text = printed(told(story(world, rollout), seen, situation(seen)), 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    return " ".join(text.split())


def test_a_rollback_by_the_judge_tells_the_deciding_metric_first_and_every_number(begin: Begin, world: World) -> None:
    world.correct["v-b"] = 0.1
    begin(plan(metrics=METRICS), 600)
    found = story(world)
    assert (found.outcome, found.source, found.name, found.release) == ("rolled_back", "judge", "accuracy", "b")
    assert [item.metric for item in found.evidence] == ["accuracy", "errors", "latency_p99"]
    assert found.evidence[0].answer == "worse"
    assert not found.evidence[2].prove
    text = read(world)
    for words in (
        "release b was rolled back at", "at 10% of the traffic", "decided by the judge, on accuracy",
        "on trial v-b beside v-a, the champion then", "accuracy (decides): worse, tolerated is 5.00%",
        "of 60 needed", "errors: ", "latency_p99: ", "50% slower; 10 is enough, before the promotion",
        "slower than the pivot, ", " ms (the challenger by more than 50%): challenger",
        "endpoint InService", "live now v-a (champion) 100%",
        "`modelstack clear b` lets the same release be tried again",
    ):  # fmt: skip
        assert words in text, words


def test_what_happened_is_told_with_the_time_of_each_step_and_its_weights(begin: Begin) -> None:
    world = begin(seconds=600)
    found = story(world)
    weights = [dict(turn.weights) for turn in found.turns if turn.kind == "weights"]
    assert weights == [{"v-a": 90, "v-b": 10}, {"v-a": 50, "v-b": 50}]
    assert (found.turns[0].after, found.turns[-1].kind) == (0, "promoted")
    assert [turn.after for turn in found.turns] == sorted(turn.after for turn in found.turns)
    assert found.ended > found.began
    text = read(world)
    assert "release b was promoted at" in text
    assert "[v-a 50%, v-b 50%]" in text
    assert '`modelstack rollback --previous --reason "..."` takes back b and brings back a' in text


def test_the_history_is_told_whole_with_the_pivot_as_a_time(begin: Begin) -> None:
    world = begin(plan(Step(50, 60), Step(60, 60), metrics=METRICS, max_seconds=3000), 1500)
    judged = next(turn.text for turn in story(world).turns if turn.text.startswith("b gets 60%"))
    assert len(judged) > 110
    pivot = next(turn.text for turn in story(world).turns if turn.kind == "pivots")
    assert re.search(r"with the champion's of now, the pivot: latency_p99 [\d.]+ (m?s)$", pivot)
    assert judged in read(world)
    assert pivot in read(world)


@pytest.mark.parametrize(("microseconds", "words"), [(2508290, "2.51 s"), (12_345, "12.3 ms"), (80, "0.08 ms")])
def test_a_latency_is_said_in_seconds_or_milliseconds(microseconds: float, words: str) -> None:
    assert latency(microseconds) == words


def test_a_metric_of_ones_own_is_said_not_to_be_compared_while_requests_are_only_copied(begin: Begin) -> None:
    own = Metric("minutes", "rate", 0.05, metric="Minutes", namespace="shop")
    steps = Step(50, 60, shadow=True), Step(20, 20)
    text = "a service's metric is not compared in a step that only copies requests"
    world = begin(plan(*steps, metrics=(METRICS[0], own)), 30)
    assert text in read(world)
    world.controller().roll_back(ADA)
    assert text not in read(world)


@pytest.mark.parametrize("numbers", [FIRES.numbers, {}], ids=["with numbers", "without"])
def test_a_rollback_by_an_alarm_tells_value_and_threshold_if_there_are_any(
    begin: Begin, numbers: dict[str, float]
) -> None:
    world = begin(seconds=20)
    take_back(world, replace(FIRES, numbers=numbers), variant="v-b")
    found, text = story(world), read(world)
    assert (found.alarm.name, found.alarm.value, found.alarm.threshold) == (
        "v-b-5xx",
        *(numbers.values() or (None, None)),
    )
    assert "decided by alarm v-b-5xx" in text
    assert ("its value was 0.4801, its threshold 0.05" in text, "its value was" in text) == (bool(numbers),) * 2
    assert WORDS in text


@pytest.mark.parametrize("reason", [ADA, FIRES], ids=lambda item: item.source)
def test_what_was_known_when_a_person_or_an_alarm_ended_the_trial_is_kept(begin: Begin, reason: Reason) -> None:
    world = begin(plan(Step(50, 600), metrics=METRICS), 100)
    known = {item.metric: item.challenger_count for item in story(world).evidence}
    assert known["errors"] > 50
    world.controller().roll_back(reason)
    for _ in range(2):  # while it is carried out, and after
        found = story(world)
        assert {item.metric: item.challenger_count for item in found.evidence} == known
        world.controller().follow(60)
    assert (world.state.phase, found.name) == (Phase.IDLE, reason.name)
    assert "evidence when it was decided; counted over the whole trial" in read(world)


def test_where_the_metrics_cannot_be_had_traffic_goes_back_and_no_evidence_is_kept(begin: Begin, world: World) -> None:
    begin(plan(Step(50, 600)), 100)
    world.metrics_problem = "no answer"
    take_back(world)
    assert story(world).outcome == "rolled_back"
    assert "none was kept: nothing was compared yet, or the metrics could not be read" in read(world)


def test_a_rollback_by_a_replay_tells_each_bound_and_examples(begin: Begin, world: World) -> None:
    world.replays["v-b"] = Replayed(100, 0, 30, 1.5, ("late is true, was false",))
    begin(plan(replay=ReplayGate()), 60)
    found = story(world)
    assert [(item.what, item.within) for item in found.replay.bounds] == [
        ("errors", True), ("changed decisions", False), ("latency", True),
    ]  # fmt: skip
    text = read(world)
    assert "decided by the replay of captured requests, on changed decisions" in text
    assert "changed decisions: 30.0%, allowed 20.0%" in text
    assert "for example: late is true, was false" in text


def test_a_rollback_by_a_person_tells_who_and_why_and_is_not_to_be_cleared_twice(begin: Begin) -> None:
    world = begin(seconds=20)
    take_back(world)
    text = read(world)
    assert "why asked for by ada: customers complain" in text
    assert "decided by a person, ada" in text
    assert text.count("rolled back") <= 3
    world.controller().clear_rejection("b")
    assert story(world).next == ("it was cleared: `pulumi up` tries it again",)


def test_a_promotion_stays_one_whatever_is_noted_after_it(begin: Begin) -> None:
    world = begin(seconds=20)
    take_back(world)
    world.controller().release(release("c"), "pair-ac", plan())
    world.controller().follow(600)
    before = story(world).summary
    assert before.endswith(", at 50% of the traffic")
    world.controller().clear_rejection("b")
    assert story(world).turns[-1].kind == "cleared"
    assert story(world).summary == before


@pytest.mark.slow
@pytest.mark.parametrize("another", [False, True], ids=["at once", "after the trial of another"])
def test_a_promotion_that_was_taken_back_tells_what_serves_again_and_not_the_trial_of_another(
    begin: Begin, another: bool
) -> None:
    world = begin(seconds=600)
    if another:
        world.controller().release(release("c"), "pair-bc", plan())
        take_back(world)
    take_back(world)
    found, text = story(world), read(world)
    assert (found.outcome, found.release, found.beside) == ("rolled_back", "b", "" if another else "v-a")
    assert found.summary.endswith(", as champion")
    assert "live now v-a (champion) 100%" in text
    assert another or "none was kept: it was champion by then, and is compared with none" in text
    if another:
        assert [turn.kind for turn in found.turns] == ["restoring", "rolled_back"]
        assert "on trial" not in text
        assert "champion v-b" in text


@pytest.mark.parametrize(
    ("world_so", "words"),
    [
        ({"requests_per_second": 0}, ["decided by the time, which was over", "no data of either version"]),
        ({"unstartable": {"v-b"}}, ["decided by the endpoint, which did not come up", "did not pass the ping health"]),
        ({"broken": {"pair-ab"}}, ["release b failed at ", "modelstack skip-trial b"]),
    ],
    ids=["timeout", "not started", "failed"],
)
def test_a_trial_that_did_not_come_to_a_verdict_is_told_with_what_was_lacking(
    begin: Begin, world: World, world_so: dict[str, Any], words: list[str]
) -> None:
    for name, value in world_so.items():
        setattr(world, name, value)
    begin(plan(max_seconds=100), 300)
    text = read(world)
    assert [one for one in words if one not in text] == []


def test_a_trial_under_way_tells_what_it_waits_for_with_the_evidence_now(begin: Begin) -> None:
    world = begin(plan(min_requests=1_000_000), 60)
    found = story(world)
    assert (found.outcome, found.ended, found.decided_by) == ("running", "", "")
    assert found.trial is not None
    text = read(world)
    assert "release b is on trial (baking), at step 1 of 2" in text
    assert "waits for requests: too little traffic" in text
    assert "evidence now" in text


def test_a_trial_that_waits_for_an_approval_says_what_to_type(begin: Begin) -> None:
    text = read(begin(plan(Step(20, 20, approve=True)), 600))
    assert "needs a person's approval" in text
    assert '`modelstack approve --reason "..."` lets it go on' in text


def test_a_decision_that_is_being_carried_out_is_told_as_such(begin: Begin, world: World) -> None:
    begin(seconds=20)
    failing = explain(roll_back_trial(world.state, ADA, "failed", world.clock.time()), None, world.clock.time())
    assert (failing.outcome, failing.summary) == ("failed", "release b fails now, at 10% of the traffic")
    world.controller().roll_back(ADA)
    found = story(world)
    assert world.state.verdict is None or world.state.verdict.release != "b"
    assert (found.outcome, found.ended) == ("rolled_back", "")
    assert found.summary == "release b is being rolled back now, at 10% of the traffic"
    assert "on trial v-b beside v-a" in read(world)
    assert found.next == ("nothing to do: the endpoint is changing",)


def test_an_earlier_rollout_is_found_by_its_id_or_its_release(begin: Begin) -> None:
    world = begin(seconds=20)
    take_back(world)
    world.controller().release(release("c"), "pair-ac", plan())
    rollout = next(iter(world.state.rejected.values())).rollout_id
    assert story(world).release == "c"
    for word in (rollout, "b", "v-b"):
        assert (story(world, word).release, story(world, word).outcome) == ("b", "rolled_back")
    assert story(world, "b").replay is None


def test_a_rollout_of_which_only_events_are_left_tells_these(begin: Begin) -> None:
    world = begin(seconds=600)
    world.controller().release(release("c"), "pair-bc", plan())
    world.controller().release(release("d"), "pair-bd", plan())
    take_back(world)
    for name, outcome in (("b", "promoted"), ("c", "superseded")):
        found = story(world, name)
        assert (found.outcome, found.turns[-1].kind) == (outcome, outcome)
        assert found.summary.startswith(f"release {name} was {outcome}; ")
    assert story(world, "c").why == "c superseded: release d is wanted instead"
    kept = tuple(event for event in world.state.history if event.kind != "superseded")
    world.state = replace(world.state, history=kept, verdict=None)
    assert story(world, "c").outcome == "ended"


def test_a_rollout_that_the_journal_does_not_know_is_an_error_that_names_those_it_knows(begin: Begin) -> None:
    world = begin(seconds=20)
    with pytest.raises(OperatorError, match=r"rollout x: the journal of endpoint does not know it; it knows: .*-b"):
        story(world, "x")


def test_a_first_release_and_nothing_at_all_have_their_stories_too(world: World) -> None:
    text = read(world)
    assert "release a was promoted" in text
    assert "decided by the update itself, with no trial release v-a (rollout " in text
    assert "on trial" not in text
    assert "nothing to do" in story(world).next
    nothing = replace(world.state, rollout_id="", verdict=None, champion=None, history=())
    assert "nothing was ever released" in explain(nothing, None, 0.0).summary
