from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.platforms.kubernetes.moving import Move, MoveStatus, decided
from modelstack.rollout.core.plan import Guard

ALARM = "flight-delay-test-v-a-5xx"
MOVE = Move.begun("w-large", Guard("canary", 20, 60, (ALARM,), 1800), 2, 1000.0)
FIRST = replace(MOVE, step=0, at=1010.0)
LAST = replace(MOVE, step=1, at=1080.0)
WELL = MoveStatus(wanted=True, old=2, new=2, of=2)


def test_a_move_is_read_back_as_it_was_written_and_anything_else_is_refused() -> None:
    assert Move.from_json(FIRST.to_json()) == FIRST
    for text in ("", "{}", "[]", FIRST.to_json().replace('"step": 0', '"step": 7'), MOVE.to_json().replace("20", "0")):
        with pytest.raises(ValueError, match=r"move|Expecting"):
            Move.from_json(text)


def test_each_step_waits_before_the_next_and_so_does_the_last_before_the_old_pods_are_let_go() -> None:
    assert MOVE.share == 0
    assert decided(MOVE, WELL, 1005.0) == replace(MOVE, step=0, at=1005.0)
    assert FIRST.share == 20
    assert decided(FIRST, WELL, 1069.0) == FIRST
    assert decided(FIRST, WELL, 1070.0) == replace(FIRST, step=1, at=1070.0)
    assert LAST.share == 100
    assert decided(LAST, WELL, 1139.0) == LAST
    assert decided(LAST, WELL, 1140.0) == "arrived"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(WELL, gateway="Accepted is not told yet"), "Accepted is not told yet"),
        (replace(WELL, new=1), "1 of 2 new pods are ready"),
        (replace(WELL, firing=None), "nobody can say whether an alarm fires"),
    ],
)
@pytest.mark.parametrize("move", [MOVE, FIRST, LAST])
def test_what_is_unknown_or_not_ready_lets_nothing_go_on_and_ends_the_move_when_its_time_is_over(
    move: Move, seen: MoveStatus, why: str
) -> None:
    assert decided(move, seen, 2800.0) == move
    taken_back = decided(move, seen, 2801.0)
    assert isinstance(taken_back, Move)
    assert taken_back.failure == f"The move to w-large exceeded 1800 s: {why}."
    assert (taken_back.share, taken_back.under_way) == (0, False)


@pytest.mark.parametrize("move", [MOVE, FIRST, LAST])
def test_an_alarm_takes_the_move_back_at_any_time_in_the_words_that_sagemaker_uses(move: Move) -> None:
    taken_back = decided(move, replace(WELL, firing=(ALARM,)), 1100.0)
    assert isinstance(taken_back, Move)
    assert taken_back.failure.startswith(f"One or more alarms are in ALARM state: {ALARM}.")


@pytest.mark.parametrize("move", [MOVE, FIRST, LAST])
def test_new_pods_that_answer_nobody_lose_their_traffic_at_once_in_their_own_words(move: Move) -> None:
    taken_back = decided(move, replace(WELL, new=0, lacking="v-a does not come up: no column"), 1020.0)
    assert isinstance(taken_back, Move)
    assert taken_back.failure == "v-a does not come up: no column"


@pytest.mark.parametrize("fires", [(), (ALARM,), None])
@pytest.mark.parametrize("wanted", [True, False])
def test_nothing_goes_back_to_pods_that_answer_nobody(fires: tuple[str, ...] | None, wanted: bool) -> None:
    alone = MoveStatus(wanted=wanted, old=0, new=1, of=2, firing=fires)
    after = decided(FIRST, alone, 1020.0)
    assert after == (replace(FIRST, step=1, at=1020.0) if wanted else "arrived")
    assert decided(LAST, alone, 1090.0) == (LAST if wanted else "arrived")
    assert decided(LAST, alone, 3000.0) == "arrived"


@pytest.mark.parametrize("move", [MOVE, FIRST, LAST])
def test_when_nobody_answers_the_traffic_stays_where_it_is(move: Move) -> None:
    assert decided(move, replace(WELL, old=0, new=0), 3000.0) == move


def test_what_the_journal_does_not_want_any_more_is_called_off_without_a_wait() -> None:
    assert decided(FIRST, replace(WELL, wanted=False, firing=None, gateway="behind"), 1011.0) == "called off"
