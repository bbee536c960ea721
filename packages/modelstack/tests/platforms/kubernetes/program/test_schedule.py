from __future__ import annotations

import threading

from modelstack.platforms.kubernetes.program.schedule import Schedule
from tests.platforms.kubernetes.world import TestClock


def test_the_longest_overdue_comes_first_and_nothing_before_its_time() -> None:
    clock = TestClock()
    schedule = Schedule(now=clock.time)
    schedule.add("late", 3.0)
    schedule.add("early", 1.0)
    clock.now += 5
    assert [schedule.take(), schedule.take()] == ["early", "late"]
    schedule.done("early", 10.0)
    clock.now += 10
    assert schedule.take() == "early"


def test_what_is_taken_is_not_given_to_a_second_thread() -> None:
    schedule = Schedule()
    schedule.add("a")
    assert schedule.take() == "a"
    schedule.add("a")
    assert schedule.take(most=0.01) is None
    schedule.done("a", 60.0)
    assert schedule.take(most=0.01) == "a", "it was asked for while it was taken"


def test_asking_again_brings_it_forward_and_never_puts_it_off() -> None:
    schedule = Schedule()
    schedule.add("a", 60.0)
    schedule.add("a", 90.0)
    schedule.add("a")
    assert schedule.take(most=0.01) == "a"


def test_many_that_ask_within_the_spacing_get_one_more_turn_after_it() -> None:
    clock = TestClock()
    schedule = Schedule(now=clock.time)

    def ask() -> None:
        for _ in range(500):
            schedule.add("a", spacing=10.0)

    ask()
    assert schedule.take() == "a"
    ask()  # while it is taken
    schedule.done("a", None)
    assert schedule.behind("a") == 0
    clock.now += 9
    ask()  # while it waits
    assert schedule.behind("a") == 0
    clock.now += 1.5
    assert (schedule.behind("a"), schedule.take()) == (0.5, "a")
    schedule.done("a", None)
    clock.now += 2
    ask()  # while nobody waits
    clock.now += 8.5
    assert (schedule.behind("a"), schedule.take()) == (0.5, "a")


def test_one_that_waits_is_told_of_what_is_added() -> None:
    schedule = Schedule()
    threading.Timer(0.1, schedule.add, ["a"]).start()
    assert schedule.take(most=1e9) == "a"


def test_what_is_held_is_not_due_until_it_is_let_go() -> None:
    schedule = Schedule(held=True)
    schedule.add("a")
    assert schedule.take(most=0.01) is None
    schedule.hold(False)
    assert schedule.take(most=0.01) == "a"


def test_what_is_done_for_good_is_forgotten_unless_it_was_asked_for() -> None:
    schedule = Schedule()
    schedule.add("a")
    schedule.take()
    schedule.add("a")
    schedule.done("a", None)
    assert schedule.take(most=0.01) == "a"
    schedule.done("a", None)
    assert schedule.take(most=0.01) is None
    assert schedule.taken == 0


def test_what_was_dropped_while_it_was_taken_does_not_come_back() -> None:
    schedule = Schedule()
    schedule.add("a")
    schedule.take()
    schedule.drop("a")
    schedule.done("a", 0.0)
    assert schedule.take(most=0.01) is None


def test_after_the_end_nothing_is_due_and_nobody_waits() -> None:
    schedule = Schedule()
    schedule.add("a")
    schedule.close()
    assert schedule.take(most=1e9) is None


def test_it_tells_for_how_long_something_has_been_due() -> None:
    clock = TestClock()
    schedule = Schedule(now=clock.time)
    schedule.add("a", 10.0)
    assert (schedule.behind("a"), schedule.behind("b")) == (0.0, float("inf"))
    clock.now += 12
    assert schedule.behind("a") == 2.0
    schedule.take()
    clock.now += 5
    assert schedule.behind("a") == 7.0, "and not done yet"
    schedule.done("a", 60.0)
    assert schedule.behind("a") == 0.0
