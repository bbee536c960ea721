from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.rollout.core.endings import Ignored
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.plan import LONGEST
from modelstack.rollout.core.state import Phase
from tests.rollout.worlds import ALARM, PERSON, PLAN, challenged, fresh, release, served
from tests.simulator.platform import World


def outcome(world: World) -> str:
    return world.state.verdict.outcome if world.state.verdict else ""


def held() -> World:
    """A world whose trial ran out of time without a request."""
    world = challenged(plan=replace(PLAN, on_timeout="hold"), seconds=2000, requests_per_second=0)
    assert world.state.phase is Phase.HELD
    return world


@pytest.mark.slow
def test_a_held_trial_gets_as_much_time_again_from_a_person_and_is_promoted_only_by_the_judge() -> None:
    world = held()
    progress = world.controller().approve(PERSON)
    assert (progress.state.phase, world.live().shares()) == (Phase.BAKING, {"v-a": 90.0, "v-b": 10.0})
    approved = world.state.history[-1]
    assert (approved.kind, approved.text.partition(": ")[0]) == (
        "approved",
        "the trial of b goes on for another 1200 s",
    )
    world.controller().follow(PLAN.max_seconds - 60)
    assert world.state.phase is Phase.BAKING, "its time is counted from the approval"
    world.controller().follow(120)
    assert world.state.phase is Phase.HELD, "no traffic is never a pass, however often a person gives it time"

    world.controller().approve(PERSON)
    world.requests_per_second = 60
    assert world.controller().follow(1100).champion == release("b")


@pytest.mark.slow
def test_a_held_trial_gets_no_more_time_than_its_metrics_are_kept() -> None:
    world = held()
    world.clock.sleep(LONGEST - (world.clock.time() - world.state.started_at) - PLAN.max_seconds + 1)
    before = world.state
    with pytest.raises(RolloutError, match=f"would last {LONGEST + 1} s in all, allowed is at most {LONGEST} s"):
        world.controller().approve(PERSON)
    assert world.state == before


def test_asking_again_for_what_is_on_trial_changes_nothing() -> None:
    world = challenged()
    before = world.state
    world.controller().release(release("b"), "pair-ab", PLAN)
    assert world.state == before


def test_a_rollback_with_nothing_to_go_back_to_says_so() -> None:
    with pytest.raises(RolloutError, match="nothing to roll back to on endpoint endpoint: no release was ever"):
        fresh().controller().roll_back(PERSON)
    with pytest.raises(RolloutError, match="there is no previous champion to bring back"):
        served().controller().roll_back(PERSON)
    assert served().controller().roll_back(ALARM, variant="v-a") == Ignored(
        "there is no previous champion to bring back"
    )


def test_a_previous_champion_that_does_not_come_up_leaves_the_present_one() -> None:
    world = challenged(seconds=1000)
    world.broken.add("solo-a")
    world.controller().roll_back(PERSON)
    state = world.controller().follow(120)
    assert (state.phase, state.champion, outcome(world)) == (Phase.IDLE, release("b"), "failed")


def test_wanting_the_champion_again_withdraws_the_challenger_without_rejecting_it() -> None:
    world = challenged()
    world.controller().release(release("a"), None, PLAN)
    state = world.controller().follow(60)
    assert (outcome(world), state.rejected, world.serving) == ("withdrawn", {}, "solo-a")
    assert "arn:b" not in world.approvals


def test_a_challenger_without_a_pair_config_is_refused_before_anything_changes() -> None:
    world = served()
    before = world.state
    with pytest.raises(RolloutError, match="pair_config: got None, expected the endpoint config that serves"):
        world.controller().release(release("b"), None, PLAN)
    assert world.state == before


def test_status_has_no_effect() -> None:
    world = challenged()
    before, sent = world.state, len(world.sent)
    progress = world.controller().status()
    assert (world.state, len(world.sent)) == (before, sent)
    assert progress.decision is not None
    assert progress.live.shares() == {"v-a": 90.0, "v-b": 10.0}


def test_a_release_planned_beside_a_champion_that_an_alarm_took_back_since_moves_nothing() -> None:
    world = challenged(seconds=1000)
    assert world.state.champion == release("b")
    world.controller().roll_back(ALARM, variant="v-b")
    world.controller().follow(60, poll=1)
    assert world.state.champion == release("a")
    with pytest.raises(
        RolloutError, match=r"the champion is now a \(config solo-a\).*planned beside another \(config solo-b\)"
    ):
        world.controller().release(release("c"), "pair-bc", PLAN, beside="solo-b")
    assert (world.serving, world.state.challenger) == ("solo-a", None)
    world.controller().release(release("c"), "pair-ac", PLAN, beside="solo-a")
    assert world.state.challenger == release("c")


class Outage:
    """The journal takes no writes until some time has passed on the world's clock."""

    def __init__(self, world: World, seconds: float) -> None:
        self._world, self._until = world, world.clock.time() + seconds
        world.unwritable = True
        world.clock.watchers.append(self)

    def pass_time(self, now: float, _: float) -> None:
        self._world.unwritable = now < self._until


def test_a_release_outlasts_a_short_outage_and_says_of_a_long_one_what_does_not_answer() -> None:
    world = served()
    Outage(world, 20)
    assert world.controller().release(release("b"), "pair-ab", PLAN).state.challenger == release("b")
    assert world.controller().follow(900).champion == release("b")

    Outage(world, 500)
    with pytest.raises(Unreachable, match="the journal does not answer"):
        world.controller().release(release("c"), "pair-bc", PLAN)
    assert world.state.challenger is None
