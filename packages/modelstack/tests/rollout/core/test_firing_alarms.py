"""What follows from the level of an alarm, however its message fared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.rollout.core.firing_alarms import VariantAlarm, heard, matters, withheld
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import ALARM, PLAN, release

WATCH = PLAN.watch_seconds
TRIAL = RolloutState(
    "endpoint", rollout_id="000002-b", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=PLAN,
    step=0, started_at=1000.0, weights={"v-a": 90, "v-b": 10},
)  # fmt: skip
SERVES = replace(
    TRIAL, phase=Phase.IDLE, champion=release("b"), challenger=None, previous=release("a"), promoted_at=500.0
)


def fires(variant: str, since: float) -> tuple[VariantAlarm, ...]:
    return (VariantAlarm(variant, ALARM, since),)


@pytest.mark.parametrize(
    "phase", [Phase.PREPARING, Phase.BAKING, Phase.PAUSED, Phase.HELD, Phase.PROMOTING, Phase.MOVING]
)
def test_a_challenger_whose_alarm_fires_goes_back_in_every_phase(phase: Phase) -> None:
    after = heard(replace(TRIAL, phase=phase), fires("v-b", 1001.0), 1100.0)
    assert (after.phase, after.decided.reason) == (Phase.ROLLING_BACK, ALARM)


def test_a_fire_from_before_the_trial_only_withholds_traffic() -> None:
    older = fires("v-b", 999.0)
    assert heard(TRIAL, older, 1100.0) is TRIAL
    found = withheld(TRIAL, older)
    assert (found.kind, f"alarm {found.name} fires: " in found.text) == (Kind.STILL_FIRING, True)
    assert withheld(TRIAL, fires("v-a", 999.0)) is None
    moves = replace(TRIAL, phase=Phase.MOVING, challenger=replace(release("a"), config_name="solo-a-large"))
    assert withheld(moves, fires("v-a", 999.0)) is None, "the champion gets its traffic back from a trial that it ends"


def test_a_champion_that_fires_stops_no_trial_and_comes_back_after_it() -> None:
    trial = replace(TRIAL, champion=release("b"), challenger=release("c"), previous=release("a"), promoted_at=500.0)
    fire = fires("v-b", 1001.0)
    assert heard(trial, fire, 1100.0) is trial
    ended = replace(trial, phase=Phase.IDLE, challenger=None)
    after = heard(ended, fire, 500.0 + WATCH + 10_000)
    assert (after.phase, after.decided.release, after.previous) == (Phase.RESTORING, "b", release("a"))


@pytest.mark.parametrize(
    ("since", "back"), [(100.0, False), (501.0, True), (500.0 + WATCH, True), (500.1 + WATCH, False)]
)
def test_a_champion_comes_back_when_it_began_to_fire_within_its_watch_time(since: float, back: bool) -> None:
    after = heard(SERVES, fires("v-b", since), 500.0 + WATCH + 60)
    assert (after.phase is Phase.RESTORING) == back


def test_a_previous_champion_that_did_not_come_up_is_not_asked_for_again_by_the_same_fire() -> None:
    vain = replace(SERVES, previous_down_at=700.0)
    assert heard(vain, fires("v-b", 700.0), 800.0) is vain
    assert heard(vain, fires("v-b", 701.0), 800.0).phase is Phase.RESTORING


def test_alarms_are_looked_at_only_where_one_would_change_something() -> None:
    assert matters(TRIAL, 1e9)
    assert not matters(replace(TRIAL, phase=Phase.ROLLING_BACK), 0)
    assert not matters(replace(TRIAL, champion=None, phase=Phase.MOVING), 0)
    day = 86_400
    assert [matters(SERVES, 500.0 + WATCH + day + more) for more in (0, 1)] == [True, False]
    assert not matters(replace(SERVES, previous=None), 600.0)
    later = Verdict("rolled_back", Reason("person", "ada"), "000009-c", "c", "r", "d", 9000.0)
    assert matters(replace(SERVES, verdict=later), 9000.0 + WATCH)


def test_what_fired_while_the_judge_decided_was_left_to_it() -> None:
    verdict = Verdict("promoted", Reason("judge", "errors"), TRIAL.rollout_id, "b", "recipe", "digest", at=1200.0)
    promoting = replace(TRIAL, phase=Phase.PROMOTING, decided=verdict)
    assert heard(promoting, fires("v-b", 1100.0), 1300.0) is promoting
    assert heard(promoting, fires("v-b", 1201.0), 1300.0).phase is Phase.ROLLING_BACK
