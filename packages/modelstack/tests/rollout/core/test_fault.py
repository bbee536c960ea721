"""Whose instance failed, told from what the platform says; and what becomes of the release that was to be tried."""

from __future__ import annotations

import pytest

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.fault import at_fault
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import PLAN, challenge, challenged, release, served
from tests.simulator.platform import World

PING = "The primary container for production variant {} did not pass the ping health check."
EXTRACT = 'Failed to extract model data archive for container "container_1" from URL: "{}". Please ensure that'
PERSON = Reason("person", "ada", "ada skipped the trial: the champion's archive is lost")


def failed(world: World) -> RolloutState:
    assert world.state.verdict.outcome == "failed"
    return world.state


@pytest.mark.parametrize(
    ("words", "whose"),
    [
        (PING.format("v-a"), "a"),
        (PING.format("v-b"), "b"),
        (EXTRACT.format("s3://bucket/packages/a/model.tar.gz"), "a"),
        (EXTRACT.format("s3://bucket/packages/b/model.tar.gz"), "b"),
        (PING.format("v-b") + " Last output: could not reach v-a", "b"),
        (PING.format("v-abc"), None),
        (PING.format("my-v-a"), None),
        ("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.", None),
        ("", None),
    ],
)
def test_the_release_that_the_platform_names_first_is_at_fault(words: str, whose: str | None) -> None:
    found = at_fault(words, (release("b"), release("a")))
    assert (found.id if found else None) == whose


def test_a_failure_that_names_nobody_rejects_nobody() -> None:
    world = challenged(seconds=200, broken={"pair-ab"})
    state = failed(world)
    assert (state.rejected, "arn:b" in world.approvals) == ({}, False)
    assert "does not tell whose instance failed: " in state.verdict.reason.text
    assert "no capacity" in state.verdict.reason.text


def test_a_release_that_skips_its_trial_and_does_not_come_up_is_rejected_and_the_champion_serves_on() -> None:
    world = challenged(seconds=200, unstartable={"v-a"})
    world.controller().skip_trial("b-recipe", PERSON)
    world.unstartable.add("v-b")
    challenge(world, seconds=200)
    assert (world.serving, world.state.champion, "b" in world.state.rejected) == ("solo-a", release("a"), True)
    assert world.approvals["arn:b"] == "Rejected"


def test_leave_to_skip_a_trial_is_used_up_by_the_next_rollout_whosever_it_is() -> None:
    world = challenged(seconds=200, unstartable={"v-a"})
    world.controller().skip_trial("b", PERSON)
    challenge(world, "c", seconds=200)
    challenge(world, seconds=200)
    failed(world)
    assert (world.serving, world.state.skip_trial) == ("solo-a", None)


def test_only_a_release_that_was_not_tried_may_skip_its_trial() -> None:
    world = served()
    with pytest.raises(RolloutError, match="b cannot skip its trial: only a release that failed to come up through no"):
        world.controller().skip_trial("b", PERSON)
    world.unstartable.add("v-a")
    challenge(world, seconds=200)
    with pytest.raises(RolloutError, match="c cannot skip its trial: the one that was not tried is b"):
        world.controller().skip_trial("c", PERSON)
    world.unstartable = {"v-b"}
    challenge(world, seconds=200)
    with pytest.raises(RolloutError, match="the last verdict is: b rolled back"):
        world.controller().skip_trial("b", PERSON)
    assert world.state.skip_trial is None


def test_leave_to_skip_a_trial_does_not_outlive_the_champion_that_it_was_given_beside() -> None:
    world = challenged(seconds=200, unstartable={"v-a"})
    world.controller().skip_trial("b", PERSON)
    with pytest.raises(RolloutError, match="the champion is now a"):
        world.controller().release(release("b"), "pair-cb", PLAN, beside="solo-c")
    assert world.serving == "solo-a"


def test_a_state_in_which_a_trial_may_be_skipped_survives_json() -> None:
    world = challenged(seconds=200, unstartable={"v-a"})
    state = world.controller().skip_trial("b", PERSON)
    assert RolloutState.from_json(state.to_json()) == state
