from __future__ import annotations

from dataclasses import replace

import pytest

from platforms.kubernetes.program.pace import MOVING, REST, WATCHED, after_failures, pause
from rollout.controller.loop import Progress
from rollout.core.event import Event
from rollout.core.state import Phase, RolloutState
from tests.rollout.worlds import PLAN, release

NOW = 1_000_000.0
SERVED = RolloutState("endpoint", phase=Phase.IDLE, champion=release("a"), plan=PLAN)
TRIAL = replace(SERVED, phase=Phase.BAKING, challenger=release("b"), step=0, step_starts=(NOW,))


def seen(state: RolloutState, *, in_time: bool = True) -> Progress:
    return Progress(state, None, "", in_time=in_time)


def test_at_rest_next_to_nothing_is_asked() -> None:
    assert pause(seen(SERVED), NOW, 5.0) == REST
    assert pause(seen(RolloutState("endpoint")), NOW, 5.0) == REST


def test_a_trial_is_looked_at_as_often_as_its_rollout_says() -> None:
    assert pause(seen(TRIAL), NOW, 5.0) == 5.0
    for phase in (Phase.PAUSED, Phase.HELD):
        assert pause(seen(replace(TRIAL, phase=phase)), NOW, 5.0) == 5.0, "an alarm or the judge still takes it back"


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING, Phase.MOVING])
def test_an_endpoint_that_changes_is_not_left_alone_for_a_period(phase: Phase) -> None:
    assert pause(seen(replace(TRIAL, phase=phase)), NOW, 60.0) == MOVING


def test_a_step_that_the_endpoint_has_not_taken_yet_is_looked_at_soon() -> None:
    assert pause(seen(replace(TRIAL, step_starts=())), NOW, 60.0) == MOVING
    assert pause(seen(TRIAL, in_time=False), NOW, 60.0) == 1.0


def test_a_new_champion_is_watched() -> None:
    promoted = replace(SERVED, previous=release("z"), promoted_at=NOW - 10)
    assert pause(seen(promoted), NOW, 5.0) == WATCHED
    assert pause(seen(promoted), NOW + 30 * 86_400, 5.0) == REST


def test_news_that_could_not_be_sent_are_sent_soon_but_hold_no_trial_up() -> None:
    unsent = (Event(NOW, "1-a", "promoted", "a"),)
    assert pause(seen(replace(SERVED, outbox=unsent)), NOW, 5.0) == 11.0
    assert pause(seen(replace(TRIAL, outbox=unsent)), NOW, 5.0) == 5.0


def test_what_could_not_be_recorded_is_tried_again_and_nobody_waits_without_a_store() -> None:
    assert pause(seen(SERVED), NOW, 5.0, unrecorded=True) == WATCHED
    assert pause(seen(TRIAL), NOW, 5.0, unrecorded=True) == 5.0


def test_the_pauses_after_failures_grow_and_have_an_end() -> None:
    assert [after_failures(count, 2.0) for count in (1, 2, 3, 4, 1000)] == [2.0, 4.0, 8.0, 15.0, 15.0]
