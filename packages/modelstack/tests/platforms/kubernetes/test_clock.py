from __future__ import annotations

from email.utils import formatdate

import pytest

from modelstack.platforms.kubernetes.api import ServerClock

NOW = 1764390000.0


@pytest.fixture
def clock() -> ServerClock:
    return ServerClock(now=lambda: NOW)


def date(at: float) -> str:
    return formatdate(at, usegmt=True)


@pytest.mark.parametrize("off", [-3600, -6, 6, 3600])
def test_the_time_is_the_servers(clock: ServerClock, off: float) -> None:
    clock.learn(date(NOW + off), 0.1)
    assert clock.time() == NOW + off


@pytest.mark.parametrize("off", [-5, -1, 0, 1, 5])
def test_about_the_same_is_the_same(clock: ServerClock, off: float) -> None:
    clock.learn(date(NOW + off), 0.1)
    assert clock.time() == NOW


def test_what_only_seems_to_differ_moves_nothing(clock: ServerClock) -> None:
    for seconds in (3600, 3601, 3599, 3602):
        clock.learn(date(NOW + seconds), 0.1)
    assert clock.time() == NOW + 3600


def test_a_clock_that_is_put_right_is_noticed(clock: ServerClock) -> None:
    clock.learn(date(NOW + 3600), 0.1)
    clock.learn(date(NOW + 60), 0.1)
    assert clock.time() == NOW + 60
    clock.learn(date(NOW + 1), 0.1)
    assert clock.time() == NOW


@pytest.mark.parametrize(
    ("told", "took"),
    [(None, 0.1), ("", 0.1), ("yesterday", 0.1), ("Sat, 99 Nov 2025 05:59:42 GMT", 0.1), (date(NOW - 9), 9.0)],
)
def test_an_answer_that_tells_no_time_changes_nothing(clock: ServerClock, told: str | None, took: float) -> None:
    clock.learn(told, took)
    assert clock.time() == NOW
