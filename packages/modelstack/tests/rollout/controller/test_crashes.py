"""A controller is killed, or overtaken by another, at every single effect in turn: the end is always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import pytest

from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.transitions import Rejected
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import ALARM, PLAN, release, served
from tests.simulator.platform import MemoryJournal, MemoryNotify, MemoryRegistry, MemoryTraffic, World

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The process ends here: nothing may catch this."""


def die() -> None:
    raise Killed


def nth(number: int, do: Callable[[], Any]) -> Callable[[int], None]:
    """Does something at one effect."""

    def at(effect: int) -> None:
        if effect == number:
            do()

    return at


@dataclass
class Meddler:
    """Counts the effects of a controller, and does something before or after one of them."""

    before: Callable[[int], None] = lambda _: None
    after: Callable[[int], None] = lambda _: None
    done: list[str] = field(default_factory=list[str])

    def effect(self, name: str, call: Callable[[], Any]) -> Any:
        number = len(self.done)
        self.done.append(name)
        self.before(number)
        result = call()
        self.after(number)
        return result


@dataclass
class Watched:
    """A port some of whose calls are effects, by their names, which go through a meddler."""

    port: Any
    meddler: Meddler
    effects: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)
        if name not in self.effects:
            return method
        return lambda *given: self.meddler.effect(self.effects[name], lambda: method(*given))


def controlled(world: World, meddler: Meddler) -> Controller:
    """A controller with every effect through a meddler."""

    def watched(port: type[Any], **effects: str) -> Any:
        return Watched(port(world), meddler, effects)

    return world.controller(
        traffic=watched(MemoryTraffic, set_weights="weights", use_config="config"),
        journal=watched(MemoryJournal, write="journal"),
        registry=watched(MemoryRegistry, set_approval="approval"),
        notify=watched(MemoryNotify, send="notify"),
    )


Story = Callable[[Controller, World], None]
FAST = Plan(
    steps=(Step(20, 5), Step(50, 5)),
    min_requests=10,
    metrics=(Metric("errors", "rate", 0.1),),
    window_seconds=5,
    max_seconds=600,
)


# Each story goes on from where the world stands: what called a controller that was killed calls again.


def promotion(controller: Controller, world: World) -> None:
    controller.release(release("b"), "pair-ab", FAST)
    controller.follow(300)


def judged_rollback(controller: Controller, world: World) -> None:
    world.error_rates["v-b"] = 0.6
    with suppress(Rejected):
        controller.release(release("b"), "pair-ab", FAST)
    controller.follow(300)


def alarmed_rollback(controller: Controller, world: World) -> None:
    with suppress(Rejected):
        controller.release(release("b"), "pair-ab", FAST)
        controller.follow(10)
        controller.roll_back(ALARM, variant="v-b")
    controller.follow(60)


def superseding(controller: Controller, world: World) -> None:
    if release("c") not in {world.state.champion, world.state.challenger}:
        controller.release(release("b"), "pair-ab", FAST)
        controller.follow(10)
    controller.release(release("c"), "pair-ac", FAST)
    controller.follow(300)


def restoring(controller: Controller, world: World) -> None:
    with suppress(Rejected):
        controller.release(release("b"), "pair-ab", FAST)
        controller.follow(300)
        controller.roll_back(Reason("person", "ada", "looks odd"))
    controller.follow(60)


def quick() -> World:
    """Release a is champion, and everything is over soon."""
    return served(requests_per_second=25, change_seconds=2.0)


STORIES = [promotion, judged_rollback, alarmed_rollback, superseding, restoring]
END = {
    "promotion": ("b", "promoted", "solo-b", {"arn:a": "Approved", "arn:b": "Approved"}),
    "judged_rollback": ("a", "rolled_back", "solo-a", {"arn:a": "Approved", "arn:b": "Rejected"}),
    "alarmed_rollback": ("a", "rolled_back", "solo-a", {"arn:a": "Approved", "arn:b": "Rejected"}),
    "superseding": ("c", "promoted", "solo-c", {"arn:a": "Approved", "arn:c": "Approved"}),
    "restoring": ("a", "rolled_back", "solo-a", {"arn:a": "Approved", "arn:b": "Rejected"}),
}


def check_end(world: World, story: str) -> None:
    champion, outcome, serving, approvals = END[story]
    state = world.state
    assert (state.champion.id, state.verdict.outcome, world.serving) == (champion, outcome, serving)
    assert world.approvals == approvals
    assert (state.phase.value, state.challenger, state.outbox, state.retiring) == ("idle", None, (), ())
    ends = [event for event in state.history if event.kind == outcome and event.rollout_id == state.rollout_id]
    assert story == "restoring" or len(ends) == 1
    assert [event for event in world.sent if event == ends[-1]], "nobody was told"


def worlds(play: Story) -> Iterator[tuple[int, World]]:
    """A new world for each effect of a story, with its number."""
    meddler, world = Meddler(), quick()
    play(controlled(world, meddler), world)
    assert len(meddler.done) > 8
    for at in range(len(meddler.done)):
        yield at, quick()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("play", STORIES, ids=lambda play: play.__name__)
def test_controller_killed_between_any_two_effects_is_finished_by_another(play: Story, when: str) -> None:
    for at, world in worlds(play):
        with pytest.raises(Killed):
            play(controlled(world, Meddler(**{when: nth(at, die)})), world)
        # What called it calls again: the update is run again, the alarm is delivered again, the schedule ticks.
        play(world.controller(), world)
        world.controller().tick()
        check_end(world, play.__name__)


@pytest.mark.parametrize("play", [judged_rollback, alarmed_rollback], ids=lambda play: play.__name__)
def test_a_rollback_that_was_decided_is_finished_by_scheduled_ticks_alone(play: Story) -> None:
    finished = 0
    for at, world in worlds(play):
        with pytest.raises(Killed):
            play(controlled(world, Meddler(after=nth(at, die))), world)
        if world.state.phase.value == "rolling_back" or world.state.verdict != quick().state.verdict:
            world.controller().follow(60)
            world.controller().tick()
            check_end(world, play.__name__)
            finished += 1
    assert finished >= 5


@pytest.mark.parametrize("play", STORIES, ids=lambda play: play.__name__)
def test_another_controller_that_ticks_before_any_effect_changes_no_end(play: Story) -> None:
    for at, world in worlds(play):
        try:
            play(controlled(world, Meddler(before=nth(at, world.controller().tick))), world)
        except (Busy, Conflict):
            world.controller().follow(600)
        world.controller().tick()
        check_end(world, play.__name__)


def test_an_alarm_before_any_effect_of_a_running_trial_wins() -> None:
    # The controller that steps forward was overtaken: its stale weights and configs must not stay.
    count = rolled_back = 0
    for at, world in worlds(promotion):
        count += 1

        def alarm(number: int, at: int = at, world: World = world) -> None:
            if number == at and world.state.challenger is not None:
                world.controller().roll_back(ALARM, variant="v-b")

        promotion(controlled(world, Meddler(before=alarm)), world)
        world.controller().tick()
        if world.state.rejected:
            check_end(world, "alarmed_rollback")
            rolled_back += 1
    assert rolled_back >= count - 6  # not before the trial was recorded, nor after its end


@pytest.mark.parametrize("gone", [False, True], ids=["config-kept", "config-gone"])
def test_a_rollback_that_ends_before_any_effect_of_another_controller_is_its_verdict_too(gone: bool) -> None:
    # The variant that was to get weight, or the config that was to serve, is not there any more: SageMaker refuses.
    refusable, overtaken = {"weights", "config", "journal", "approval"}, set[str]()
    for at, world in worlds(promotion):
        meddler = Meddler()

        def finish(number: int, at: int = at, world: World = world, meddler: Meddler = meddler) -> None:
            if number == at and meddler.done[number] in refusable and world.state.challenger is not None:
                overtaken.add(meddler.done[number])
                world.controller().roll_back(ALARM, variant="v-b")
                world.controller().follow(60)
                if gone:
                    del world.configs["pair-ab"]

        meddler.before = finish
        before = set(overtaken)
        promotion(controlled(world, meddler), world)
        if world.state.rejected:
            check_end(world, "alarmed_rollback")
        else:
            assert overtaken == before, "the rollback was lost"
    assert overtaken == refusable


def test_an_effect_that_is_refused_though_nothing_has_changed_is_an_error_at_once() -> None:
    meddler, world = Meddler(), quick()
    del world.configs["pair-ab"]
    with pytest.raises(RolloutError, match="no endpoint config pair-ab"):
        controlled(world, meddler).release(release("b"), "pair-ab", FAST)
    assert meddler.done.count("config") == 1


def test_an_endpoint_that_refuses_whatever_changes_is_an_error_after_a_few_looks() -> None:
    world = quick()
    meddler = Meddler()

    def refuse(number: int) -> None:
        if meddler.done[number] == "weights":
            MemoryJournal(world).write(world.state)  # somebody else
            raise RolloutError("no")

    meddler.before = refuse
    controller = controlled(world, meddler)
    controller.release(release("b"), "pair-ab", FAST)
    with pytest.raises(RolloutError, match="no"):
        controller.follow(60)
    assert 1 < meddler.done.count("weights") < 10


@pytest.mark.parametrize("play", STORIES, ids=lambda play: play.__name__)
def test_throttled_calls_at_any_effect_change_no_end(play: Story) -> None:
    for at, world in worlds(play):
        refuse = Mock(side_effect=(Busy, Unreachable)[at % 2]("throttled"))
        controller = controlled(world, Meddler(before=nth(at, refuse)))
        try:
            play(controller, world)
        except (Busy, Unreachable):
            play(controller, world)
        world.controller().tick()
        check_end(world, play.__name__)


def test_an_endpoint_that_cannot_be_read_does_not_stop_a_rollback() -> None:
    world = quick()
    world.controller().release(release("b"), "pair-ab", FAST)
    world.controller().follow(20, poll=1)

    class Blind(MemoryTraffic):
        def read(self) -> Live:
            raise Unreachable("DescribeEndpoint does not answer")

    with pytest.raises(Busy):
        world.controller(traffic=Blind(world)).roll_back(ALARM, variant="v-b", patience=2)
    world.clock.sleep(3)
    assert world.live().shares() == {"v-a": 100.0, "v-b": 0.0}


def test_a_journal_that_does_not_answer_for_a_while_does_not_end_an_update_that_waits() -> None:
    world = served()
    world.controller().release(release("b"), "pair-ab", PLAN)
    reading, failures = MemoryJournal.read, iter([False, False, True, True, True, True, True])

    def unsteady(journal: MemoryJournal) -> RolloutState:
        if next(failures, False):
            raise Unreachable("the journal does not answer")
        return reading(journal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryJournal, "read", unsteady)
        state = world.controller().follow(900)
    assert state.verdict.outcome == "promoted"
    assert not next(failures, False), "the journal never failed"
