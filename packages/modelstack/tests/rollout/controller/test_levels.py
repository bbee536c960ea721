"""A tick looks at what fires before it does anything: the message of an alarm may have been lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.kinds import Kind
from tests.rollout.worlds import ALARM, PLAN, challenged, release
from tests.simulator.platform import MemoryAlarms, World


@dataclass
class Unread(MemoryAlarms):
    """CloudWatch does not say which alarms fire."""

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        raise Unreachable("DescribeAlarms is throttled")


def fires(world: World, name: str) -> None:
    world.firing = (VariantAlarm(f"v-{name}", ALARM, world.clock.time()),)


def test_a_tick_never_gives_traffic_back_to_a_challenger_whose_alarm_fires() -> None:
    world = challenged()
    assert world.live().shares()["v-b"] == 10
    fires(world, "b")
    world.unwritable = True
    for _ in range(3):  # the alarm's own message, and its two repetitions
        with pytest.raises(RolloutError, match="the journal does not answer"):
            world.controller().roll_back(ALARM, variant="v-b", at=world.clock.time())
        world.clock.sleep(60)
        with pytest.raises(RolloutError, match="the journal does not answer"):
            world.controller().tick()
    assert world.live().shares() == {"v-a": 100.0, "v-b": 0.0}
    world.unwritable = False
    world.controller().tick()
    assert (world.state.phase, world.state.decided.reason) == (Phase.ROLLING_BACK, ALARM)
    assert world.live().shares() == {"v-a": 100.0, "v-b": 0.0}
    assert world.controller().follow(60).verdict.outcome == "rolled_back"


def test_a_tick_gives_the_traffic_back_that_fires_when_no_message_came_and_the_journal_does_not_answer() -> None:
    world = challenged()
    fires(world, "b")
    world.unwritable = True
    with pytest.raises(RolloutError, match="the journal does not answer"):
        world.controller().tick()
    assert world.live().shares(desired=True) == {"v-a": 100.0, "v-b": 0.0}


def test_alarms_that_cannot_be_read_let_nobody_have_more_traffic_and_the_time_runs_out() -> None:
    world = challenged()
    alarms = Unread(world)
    doing: list[str] = []
    world.controller(alarms=alarms).follow(300, progress=lambda seen: doing.append(seen.doing))
    assert (world.state.phase, world.state.step, world.live().shares()["v-b"]) == (Phase.BAKING, 0, 10)
    assert "the alarms cannot be read, so the challenger gets no more traffic: DescribeAlarms is throttled" in doing
    assert world.controller(alarms=alarms).status().doing == doing[-1]
    world.change("pair-ab", {"v-a": 100.0, "v-b": 0.0})  # by somebody else
    world.clock.sleep(5)
    world.controller(alarms=alarms).follow(30)
    assert world.live().shares()["v-b"] == 0
    state = world.controller(alarms=alarms).follow(2 * PLAN.max_seconds, poll=30)
    assert (state.verdict.outcome, state.verdict.reason.kind) == ("rolled_back", Kind.NO_VERDICT)


def test_what_only_alarms_judge_is_not_promoted_while_they_cannot_be_read() -> None:
    world = challenged(plan=Plan(steps=(Step(100, 30),), window_seconds=10, max_seconds=600), seconds=20)
    alarms = Unread(world)
    world.controller(alarms=alarms).follow(400)
    assert world.state.phase is Phase.BAKING
    assert world.controller().follow(60).champion == release("b")
