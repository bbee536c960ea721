"""What a controller does when the platform, the registry or the journal does not take what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from modelstack.rollout.controller.controller import Progress
from modelstack.rollout.core.endings import MAX_MOVES, Ignored
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.plan import Guard
from modelstack.rollout.core.state import Phase, RolloutState
from tests.rollout.worlds import ALARM, PERSON, PLAN, release, served
from tests.simulator.platform import MemoryJournal, MemoryRegistry, MemoryTraffic, World


@dataclass
class Throttled(MemoryTraffic):
    """Takes no config for some calls."""

    left: int = 0

    def use_config(self, name: str, guard: Guard | None = None) -> bool:
        if self.left:
            self.left -= 1
            raise Busy("UpdateEndpoint is throttled")
        return super().use_config(name, guard)


@dataclass
class Met(Throttled):
    """Takes no config for some calls, in each of which another controller writes the journal."""

    def use_config(self, name: str, guard: Guard | None = None) -> bool:
        if self.left:
            journal = MemoryJournal(self.world)
            journal.write(journal.read())
        return super().use_config(name, guard)


@dataclass
class Unread(MemoryTraffic):
    """Cannot be read in a phase, for some looks."""

    phase: Phase
    left: int = 1000

    def read(self) -> Live:
        if self.world.state.phase is self.phase and self.left:
            self.left -= 1
            raise Unreachable("DescribeEndpoint does not answer")
        return super().read()


class NoRegistry(MemoryRegistry):
    """Somebody deleted the package."""

    def approval(self, package: str) -> Approval:
        raise RolloutError(f"{package} does not exist")


class BusyJournal(MemoryJournal):
    """Is throttled."""

    def write(self, state: RolloutState) -> RolloutState:
        raise Busy("the table is throttled")


@dataclass
class Lapsing(MemoryJournal):
    """Does not take a write now and then: once in a rollback, and once when the next trial begins."""

    lapses: set[Phase] = field(default_factory=lambda: {Phase.IDLE, Phase.PREPARING})

    def write(self, state: RolloutState) -> RolloutState:
        if state.phase in self.lapses:
            self.lapses.remove(state.phase)
            raise Unreachable("the journal does not answer")
        return super().write(state)


def until(world: World, phase: Phase) -> None:
    while world.state.phase is not phase:
        world.controller().tick()
        world.clock.sleep(1)


def baking(world: World) -> None:
    world.controller().release(release("b"), "pair-ab", PLAN)
    until(world, Phase.BAKING)
    world.controller().follow(10)
    assert world.live().shares()["v-b"] > 0


def promoted() -> World:
    world = served()
    world.controller().release(release("b"), "pair-ab", PLAN)
    assert world.controller().follow(1200).champion == release("b")
    return world


def changing(world: World, config: str, *, seconds: float) -> None:
    """Begin a change that somebody else asked for."""
    usual, world.change_seconds = world.change_seconds, seconds
    world.change(config, world.configs[config])
    world.change_seconds = usual


def test_throttled_calls_are_no_attempts_to_bring_the_previous_champion_back() -> None:
    world = promoted()
    throttled = world.controller(traffic=Throttled(world, 20))
    throttled.roll_back(ALARM, variant="v-b", at=world.clock.time())
    assert throttled.follow(120).champion == release("a")
    assert (world.serving, world.approvals["arn:b"]) == ("solo-a", "Rejected")


def test_a_champion_is_not_taken_back_before_the_endpoint_was_asked_for_the_previous_one() -> None:
    world = promoted()
    began = world.clock.time()
    with pytest.raises(Busy, match="has not taken the rollback yet: the endpoint cannot be read; the next tick"):
        world.controller(traffic=Unread(world, Phase.RESTORING)).roll_back(ALARM, variant="v-b", patience=20)
    assert (world.state.phase, world.serving, world.clock.time() - began) == (Phase.RESTORING, "solo-b", 20)
    assert world.controller().follow(60).champion == release("a")


def test_taking_a_champion_back_waits_for_an_endpoint_that_changes_to_something_else() -> None:
    world = promoted()
    changing(world, "pair-ab", seconds=20)
    with pytest.raises(Busy, match="has not taken the rollback yet: the endpoint is changing: changing; the next tick"):
        world.controller().roll_back(ALARM, variant="v-b", patience=10)
    world.change_seconds = 100
    again = world.controller().roll_back(ALARM, variant="v-b")  # delivered again
    assert isinstance(again, Progress)
    assert (again.state.phase, world.live().status, world.state.moves) == (Phase.RESTORING, "changing", 1)
    world.clock.sleep(100)
    assert world.serving == "solo-a"


def test_a_second_alarm_does_not_wait_for_the_previous_champion_that_the_first_has_asked_for() -> None:
    world = promoted()
    world.change_seconds = 300
    for _ in range(2):
        began = world.clock.time()
        assert isinstance(world.controller().roll_back(ALARM, variant="v-b"), Progress)
        assert world.clock.time() - began <= 1
    assert world.state.moves == 1
    assert world.controller().follow(600).champion == release("a")


def test_throttled_calls_fail_no_trial_though_others_write_the_journal_meanwhile() -> None:
    world = served()
    throttled = world.controller(traffic=Met(world, 20))
    throttled.release(release("b"), "pair-ab", PLAN)
    assert throttled.follow(1200).champion == release("b")


@pytest.mark.parametrize("shown_after", [0.0, 45.0])
def test_a_config_that_fails_without_a_reason_is_requested_once_though_the_endpoint_shows_the_request_late(
    shown_after: float,
) -> None:
    world = served(shown_after=shown_after, change_seconds=50.0, silent={"pair-ab"})
    world.controller().release(release("b"), "pair-ab", PLAN)
    state = world.controller().follow(300)
    assert state.verdict is not None
    assert (state.phase, state.verdict.outcome, len(world.guards)) == (Phase.IDLE, "failed", 1)
    assert not state.rejected


def test_a_config_whose_acceptance_cannot_be_recorded_is_requested_again() -> None:
    @dataclass
    class Forgetful(MemoryJournal):
        def write(self, state: RolloutState) -> RolloutState:
            if state.requested is not None and state.requested.accepted_at:
                raise Unreachable("the journal does not answer")
            return super().write(state)

    world = served(silent={"pair-ab"})
    forgetful = world.controller(journal=Forgetful(world))
    forgetful.release(release("b"), "pair-ab", PLAN)
    assert forgetful.follow(300).phase is Phase.IDLE
    assert len(world.guards) == 2 * MAX_MOVES


@pytest.mark.parametrize(
    ("port", "made", "why"),
    [("registry", NoRegistry, "arn:b does not exist"), ("journal", BusyJournal, "the table is throttled")],
)
def test_a_registry_or_a_journal_that_fails_does_not_keep_the_traffic_from_going_back(
    port: str, made: Callable[[World], Any], why: str
) -> None:
    world = served()
    baking(world)
    with pytest.raises(RolloutError, match=why):
        world.controller(**{port: made(world)}).roll_back(ALARM, variant="v-b", at=world.clock.time())
    world.clock.sleep(10)
    assert world.live().shares()["v-b"] == 0


def test_a_release_that_waited_long_for_a_rollback_outlasts_a_moment_without_an_answer() -> None:
    world = served()
    baking(world)
    world.change_seconds = 100
    world.controller().roll_back(ALARM, variant="v-b")
    began, journal = world.clock.time(), Lapsing(world)
    state = world.controller(journal=journal).release(release("c"), "pair-ac", PLAN).state
    assert (state.challenger, journal.lapses) == (release("c"), set[Phase]())
    assert world.clock.time() - began > 100


def test_a_release_does_not_wait_for_ever_for_a_rollback_to_end() -> None:
    world = served()
    baking(world)
    world.change_seconds = 1000
    world.controller().roll_back(ALARM, variant="v-b")
    began = world.clock.time()
    with pytest.raises(Busy, match="the rollout of endpoint is still rolling_back: release again when it is done"):
        world.controller().release(release("c"), "pair-ac", PLAN, patience=90)
    assert world.clock.time() - began == 90


def test_instances_that_do_not_come_up_leave_the_one_variant_its_traffic() -> None:
    world = served()
    world.broken.add("solo-a-large")
    large = replace(release("a"), config_name="solo-a-large")
    guarded = replace(PLAN, guard=Guard("canary", 50, 60, ("alarm",)))
    blind = Unread(world, Phase.ROLLING_BACK, 2)
    world.controller(traffic=blind).release(large, None, guarded)
    state = world.controller(traffic=blind).follow(300)
    assert blind.left == 0
    assert [dict(event.weights) for event in state.history if event.kind == "rolling_back"] == [{"v-a": 100}]
    assert (state.phase, world.live().config, shares(world)) == (Phase.IDLE, "solo-a", {"v-a": 100})


def test_at_rest_a_champion_without_weight_gets_it_back() -> None:
    world = served()
    MemoryTraffic(world).set_weights({"v-a": 0})
    world.clock.sleep(10)
    world.controller().follow(60)
    for _ in range(5):
        world.controller().tick()
        world.clock.sleep(5)
    assert shares(world) == {"v-a": 100}


def test_other_instances_do_not_prolong_the_time_in_which_an_alarm_takes_the_model_back() -> None:
    world = served()
    world.controller().release(release("b"), "pair-ab", PLAN)
    promoted = world.controller().follow(1200).promoted_at
    world.clock.sleep(2 * PLAN.watch_seconds)
    world.configs["solo-b-large"] = {"v-b": 1.0}
    world.controller().release(replace(release("b"), config_name="solo-b-large"), None, PLAN)
    assert world.controller().follow(60).promoted_at == promoted
    assert isinstance(world.controller().roll_back(ALARM, variant="v-b", at=world.clock.time()), Ignored)


def test_a_person_who_meant_a_challenger_does_not_take_back_the_champion_that_won() -> None:
    world = promoted()
    world.controller().release(release("c"), "pair-bc", PLAN)
    world.controller().follow(20)
    world.controller().roll_back(ALARM, variant="v-c", at=world.clock.time())
    world.controller().follow(60)
    assert world.controller().roll_back(PERSON, meant="c") == Ignored(
        "release c was meant, but by now it is b that would be taken back"
    )
    assert world.controller().follow(60).champion == release("b")
    world.controller().roll_back(PERSON, meant="b")
    assert world.controller().follow(60).champion == release("a")


def shares(world: World) -> Mapping[str, float]:
    return world.live().shares()
