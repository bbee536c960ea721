"""How a trial went: what was found at each time, by what the controller found then, and what it costs to look again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelstack.cli.console import trial as figures
from modelstack.cli.view import trial_history
from modelstack.cli.view.trial import MetricView, evidence_of
from modelstack.cli.view.trial_history import Memory, Pair, asked, ended, outcome, pair, times
from modelstack.rollout.controller.look import trial_query
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.signals import CountedSignals
from tests.cli.conftest import METRICS, plan
from tests.rollout.worlds import ALARM, release
from tests.simulator.platform import MemoryCounters, World


def seen_of(world: World) -> TrialObservations:
    state, both = world.state, pair(world.state)
    end = ended(state) or world.clock.time()
    return CountedSignals(MemoryCounters(world)).read(
        trial_query(state, state.plan, both.champion, both.challenger, end)
    )


def found_now(world: World) -> tuple[MetricView, ...]:
    decision, state = world.controller().status().decision, world.state
    if decision is None or decision.findings is None:
        return ()
    return evidence_of((item.reason for item in decision.findings.each), state.plan.metrics, state.pivots)


def strengths(evidence: tuple[MetricView, ...]) -> list[float]:
    return [value for item in evidence for value in (item.worse.have, item.not_worse.have)]


@pytest.mark.slow
def test_what_was_found_at_each_time_is_what_the_controller_found_then(begin: Callable[..., World]) -> None:
    world, then = begin(plan(metrics=METRICS)), dict[float, list[float]]()
    controller = world.controller()
    while len(world.state.step_starts) < 2 or len(then) < 100:
        controller.tick()
        world.clock.sleep(2)
        if world.state.step_starts and world.state.on_trial:
            then[world.clock.time()] = strengths(found_now(world))
    assert len(world.state.step_starts) == 2, "the world has a change of step in it"
    again = {
        one.at: strengths(one.evidence) for one in Memory().course(world.state, seen_of(world), world.clock.time())
    }
    both = {at: (again[at], then[at]) for at in again.keys() & then.keys()}
    assert len(both) > 5
    assert {at for at, (now, before) in both.items() if now != pytest.approx(before)} == set()


def test_a_trial_that_ended_is_still_told(begin: Callable[..., World]) -> None:
    world = begin(seconds=40)
    world.error_rates["v-b"] = 0.5
    world.controller().follow(600)
    assert world.state.verdict.outcome == "rolled_back"
    assert pair(world.state) == Pair("v-a", "v-b")
    found = Memory().course(world.state, seen_of(world), world.state.verdict.at)
    (errors,) = [item for item in found[-1].evidence if item.metric == "errors"]
    assert errors.worse.have >= errors.worse.need, "what rolled it back"
    assert [item.percent for item in asked(world.state, "v-b")][-1] == 0


def test_where_a_step_was_left_the_evidence_stands_at_what_was_needed(begin: Callable[..., World]) -> None:
    world = begin(seconds=1500)
    left = [event.at for event in world.state.history if event.kind in {"weights", "promoting"}][1:]
    assert len(left) == 2
    found = {one.at: one.evidence for one in Memory().course(world.state, seen_of(world), world.state.verdict.at)}
    for at in left:
        (errors,) = found[at]
        assert errors.not_worse.have >= errors.not_worse.need


def test_looking_again_judges_only_the_times_that_are_new(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, memory, judged = begin(seconds=100), Memory(), list[float]()
    real = trial_history.judged
    monkeypatch.setattr(
        trial_history, "judged", lambda plan, state, seen: (judged.append(1.0), real(plan, state, seen))[1]
    )
    first = memory.course(world.state, seen_of(world), world.clock.time())
    assert len(judged) == len(first) > 3
    assert memory.course(world.state, seen_of(world), world.clock.time()) == first
    assert len(judged) == len(first)
    world.clock.sleep(10)
    memory.course(world.state, seen_of(world), world.clock.time())
    assert len(judged) == len(first) + 1


def test_a_long_trial_is_judged_at_few_times_and_mostly_at_those_of_before() -> None:
    week = 7 * 86400.0
    before, after = times(0, week, 30), times(0, week + 3600, 30)
    assert trial_history.MOST / 2 <= len(before) <= trial_history.MOST
    assert set(before) <= set(after), "what was found stays found"
    assert set(times(0, 2 * week, 30)) <= {*before, *(at for at in times(0, 2 * week, 30) if at > week)}
    assert times(0, 5, 10) == []


def test_without_windows_or_a_trial_there_is_nothing_to_tell(begin: Callable[..., World]) -> None:
    assert Memory().course(RolloutState("e"), TrialObservations(()), 1.0) == []
    world = begin(seconds=60)
    assert Memory().course(world.state, TrialObservations.unknown("CloudWatch is away"), world.clock.time()) == []


def test_a_trial_is_not_mixed_up_with_a_champion_that_is_rolled_back_after_it(begin: Callable[..., World]) -> None:
    world = begin(plan(Step(50, 20)), 600)
    world.controller().release(release("c"), "pair-bc", plan(Step(10, 20), Step(30, 600), Step(50, 20)))
    world.controller().follow(300)
    world.controller().roll_back(ALARM)
    world.controller().follow(60)
    then = ended(world.state)
    world.controller().roll_back(ALARM)
    world.controller().follow(60)
    state = world.state
    assert (state.champion.id, state.verdict.release) == ("a", "b")
    assert (pair(state), ended(state), outcome(state)) == (Pair("v-b", "v-c"), then, "rolled_back")
    assert [item.percent for item in asked(state, "v-c")] == [0, 10, 30, 0, 0]
    assert [step.state for step in figures.steps(state)] == ["done", "failed", "not reached"]


def test_a_step_has_failed_as_soon_as_its_rollback_is_requested(begin: Callable[..., World]) -> None:
    world = begin(plan(Step(10, 20), Step(30, 600), Step(50, 20)), 700)
    assert [step.state for step in figures.steps(world.state)] == ["done", "now", "ahead"]
    world.controller().roll_back(ALARM)
    assert (world.state.phase, world.state.challenger is None) == (Phase.ROLLING_BACK, False), "not confirmed yet"
    assert [step.state for step in figures.steps(world.state)] == ["done", "failed", "not reached"]


def test_a_champion_that_is_rolled_back_has_passed_the_steps_of_its_trial(begin: Callable[..., World]) -> None:
    world = begin(plan(Step(50, 20)), 600)
    world.controller().roll_back(ALARM)
    world.controller().follow(60)
    assert (pair(world.state), outcome(world.state)) == (Pair("v-a", "v-b"), "promoted")
    assert [step.state for step in figures.steps(world.state)] == ["done"]


# --- as figures


def test_weights_are_steps_over_time_that_add_up_to_all_requests(begin: Callable[..., World]) -> None:
    world = begin(seconds=1500)
    state = world.state
    both, end = pair(state), ended(state)
    shown = figures.weights(both, asked(state, both.challenger), figures.span(state, end, end), end)
    champion, challenger = shown.curves
    assert [value for _, value in challenger.points][:3] == [0, 10, 50]
    assert {value for _, value in challenger.points} == {0, 10, 50, 100}
    assert all(one + other == 100 for (_, one), (_, other) in zip(champion.points, challenger.points, strict=True))
    assert shown.step
    assert [step.state for step in figures.steps(state)] == ["done", "done"]


def test_evidence_is_drawn_against_what_is_needed_on_a_log_scale(begin: Callable[..., World]) -> None:
    world = begin(plan(metrics=METRICS), seconds=90)
    end = world.clock.time()
    found = Memory().course(world.state, seen_of(world), end)
    shown = figures.evidence(found, figures.span(world.state, end, None), ())
    assert list(shown) == ["errors", "latency_p99", "accuracy"]
    errors = shown["errors"]
    newest = next(item for item in found[-1].evidence if item.metric == "errors")
    assert errors.log
    assert {limit.value for limit in errors.limits} == {newest.worse.need, newest.not_worse.need}
    assert [curve.points[-1][1] for curve in errors.curves] == [newest.worse.have, newest.not_worse.have]
