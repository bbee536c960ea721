"""A backlog of ours: it is named, gives a trial more time, and is no verdict on a release."""

from __future__ import annotations

from typing import Any

import pytest

from modelstack.rollout.controller.notice import lack
from modelstack.rollout.core.behind import Behind, behind
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout import worlds
from tests.simulator.platform import World

ACCURACY = Metric("accuracy", "rate", 0.05, better="higher", namespace="modelstack", metric="Accuracy")
PLAN = Plan(
    steps=(Step(10, 30), Step(50, 30)), metrics=(Metric("errors", "rate", 0.02), ACCURACY),
    min_requests=50, window_seconds=10, max_seconds=600,
)  # fmt: skip


def test_answers_are_as_late_as_the_oldest_that_is_not_counted() -> None:
    given = [Window(100 + 10 * n, 10, {}, {"errors": Tally(50, 5)}) for n in range(30)]
    assert behind(given, 30 * 45, 400) is None
    assert behind(given, 18 * 45, 400) == Behind(120, 12 * 45)
    assert behind(given, 9 * 45 + 1, 400) == Behind(400 - 190, 21 * 45 - 1)
    assert behind(given, 0, 400) == Behind(300, 30 * 45)
    assert behind([], 0, 400) is None


def on_trial(seconds: float = 500, **changes: Any) -> World:
    world = worlds.served(**{"correct": {"v-a": 0.9, "v-b": 0.9}, **changes})
    world.controller().release(worlds.release("b"), "pair-ab", PLAN, beside="solo-a")
    world.controller().follow(seconds, poll=10)
    return world


def test_what_a_trial_waits_for_is_named_as_it_is() -> None:
    world = on_trial(count_seconds=1500.0, requests_per_second=20)
    decision = world.controller().status().decision
    assert decision is not None
    late, answers = decision.reason.numbers["seconds"], decision.reason.numbers["answers"]
    told = (
        f"answers are counted {late / 60:.0f} minutes late, {answers:,.0f} of the challenger's are uncounted; not yet"
    )
    assert decision.reason.text.startswith(told)
    assert (400 < late < 500, 600 < answers < 1200, decision.more_seconds) == (True, True, late)


def test_a_backlog_gives_a_trial_more_time_and_a_good_release_is_promoted() -> None:
    world = on_trial(count_seconds=290.0, requests_per_second=40)
    world.controller().follow(700, poll=10)
    assert world.state.verdict is not None and world.state.verdict.outcome == "promoted"
    assert world.state.verdict.at - world.state.started_at > PLAN.max_seconds
    assert world.state.champion == worlds.release("b")


def test_a_delay_that_is_usual_is_not_worth_a_word_and_its_time_is_given_all_the_same() -> None:
    world = on_trial(90, count_seconds=30.0)
    decision = world.controller().status().decision
    assert decision is not None and 20 < decision.more_seconds < 50
    assert decision.reason.kind is not Kind.COUNTED_LATE


@pytest.mark.parametrize("late", [57.0, 89.0, 110.0])
def test_a_trial_whose_missing_answers_were_given_long_ago_says_so(late: float) -> None:
    world = on_trial(60 + late, count_seconds=late, requests_per_second=65)
    decision = world.controller().status().decision
    while decision is not None and decision.reason.kind is not Kind.COUNTED_LATE:  # until the step's bake is over
        world.controller().follow(10, poll=10)
        decision = world.controller().status().decision
    assert decision is not None
    assert decision.reason.numbers["answers"] > 250
    assert decision.reason.text.startswith("answers are counted ") and " s late, " in decision.reason.text
    assert lack(decision) is None, "more requests help nothing"


def test_a_trial_that_lacks_more_than_is_uncounted_waits_for_that() -> None:
    def known(lacking: float) -> Reason:
        return Reason("judge", "accuracy", numbers={"lacking": lacking}, kind=Kind.NOT_YET_KNOWN)

    assert Behind(57, 500).matters(known(1500), 10)
    assert not Behind(57, 499).matters(known(1500), 10)
    assert not Behind(57, 500).matters(known(1500), 60), "where windows are a minute, that is usual"
    assert Behind(121, 1).matters(known(1500), 60), "such a delay is always told"


@pytest.mark.slow
def test_a_release_that_is_not_shown_to_be_as_good_in_its_time_is_rejected_however_late_it_was_counted() -> None:
    near = {"v-a": 0.9, "v-b": 0.86}  # the margin is 5%: there is no evidence for either
    world = on_trial(900, correct=near, count_seconds=200.0, requests_per_second=15)
    verdict = world.state.verdict
    assert verdict is not None and (verdict.outcome, verdict.reason.source) == ("rolled_back", "timeout")
    assert verdict.at - world.state.started_at > PLAN.max_seconds + 150, "as much was counted as the plan allows for"
    assert "counted" not in verdict.reason.text


def test_a_release_without_traffic_has_no_more_time_however_late_answers_are_counted() -> None:
    world = on_trial(count_seconds=1e6, requests_per_second=0.0)
    world.controller().follow(200, poll=10)
    assert world.state.verdict is not None and world.state.verdict.outcome == "rolled_back"
