"""Several controllers tell people what happened: as a rule once, and never not at all."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.event import Event
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import ALARM, challenge, challenged, release, served
from tests.simulator.platform import MemoryJournal, MemoryNotify

BOTH_FAIL = Reason("alarm", "v-b-5xx", "both fail")


def test_two_controllers_that_end_a_rollout_together_tell_of_it_once() -> None:
    world = challenged()
    other, sending = world.controller(), MemoryNotify.send

    def meanwhile(notify: MemoryNotify, event: Event) -> None:
        sending(notify, event)
        other.tick()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryNotify, "send", meanwhile)
        world.controller().roll_back(ALARM, variant="v-b")
        world.controller().follow(60)
    kinds = [event.kind for event in world.sent]
    assert (kinds.count("rolling_back"), kinds.count("rolled_back"), world.state.outbox) == (1, 1, ())


def test_a_topic_that_refuses_the_news_stops_no_rollout() -> None:
    world = served()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryNotify, "send", Mock(side_effect=RolloutError("Publish: AuthorizationError")))
        challenge(world)
        assert world.controller().follow(1200).champion == release("b")
    assert world.state.outbox[-1].kind == "promoted"  # it is told once the topic takes it
    world.controller().tick()
    assert world.state.outbox == ()


def test_news_that_change_nothing_are_told_once_and_only_of_the_present_rollout() -> None:
    world = challenged()
    box = Outbox(MemoryJournal(world), MemoryNotify(world), world.clock)
    before, trial = world.state, world.state.rollout_id
    for rollout_id in (trial, trial, "000000-older"):
        box.note(rollout_id, "left_to_judge", "b", BOTH_FAIL)
    assert [event.reason for event in world.sent if event.kind == "left_to_judge"] == [BOTH_FAIL]
    assert (world.state.phase, world.state.weights) == (before.phase, before.weights)
