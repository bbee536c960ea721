"""What counters counted in each window, from their samples: against processes that are known second by second."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modelstack.platforms.kubernetes.increments import Increment, ScrapeTarget, attribute, steps, surplus

WIDTH, INTERVAL = 10, 5.0


@dataclass(frozen=True)
class World:
    """A process: times of its requests, of its starts, and of its scrapes, each in order.

    The counter has no sample in the scrapes `without`, and is also stated again, between two scrapes, at `again`.
    """

    requests: list[float]
    restarts: list[float]
    scrapes: list[float]
    without: frozenset[float] = frozenset()
    again: tuple[float, ...] = ()

    def target(self) -> ScrapeTarget:
        beats, points = list[tuple[float, float]](), list[tuple[float, float]]()
        for at in self.scrapes:
            born = self.restarts[bisect_right(self.restarts, at) - 1]
            beats.append((at, at - born))
            counted = bisect_right(self.requests, at) - bisect_right(self.requests, born)
            if counted and at not in self.without:  # a series is born with its first count
                points.append((at, float(counted)))
        stated = list[tuple[float, float]]()
        for at in self.again:
            place, after = bisect_right(points, (at, 0.0)), bisect_right(self.scrapes, at)
            lives = {bisect_right(self.restarts, moment) for moment in (at, *self.scrapes[after : after + 1])}
            if place and at not in self.scrapes and lives == {bisect_right(self.restarts, points[place - 1][0])}:
                stated.append((at, points[place - 1][1]))
        return ScrapeTarget(beats, (), [("requests", sorted(points + stated))])

    def seen(self, begin: float, end: float) -> int:
        """How many were counted after one time and until another, and scraped before they were forgotten."""
        total = 0
        for before, at in pairwise([self.restarts[0], *(at for at in self.scrapes if at not in self.without)]):
            if begin < at <= end:
                born = self.restarts[bisect_right(self.restarts, at) - 1]
                total += bisect_right(self.requests, at) - bisect_right(self.requests, max(before, born))
        return total


@st.composite
def worlds(draw: st.DrawFn) -> World:
    times = st.floats(0, 200, allow_nan=False)
    requests = sorted(draw(st.lists(times, max_size=80)))
    phase, scrapes = draw(st.floats(0.5, 4.5)), list[float]()
    for number in range(40):
        if draw(st.integers(0, 9)):  # one in ten fails
            scrapes.append(round(phase + number * INTERVAL + draw(st.floats(-0.3, 0.3)), 3))
    restarts = sorted({-1000.0, *draw(st.lists(times, max_size=3))})
    return World(
        requests,
        restarts,
        scrapes,
        frozenset(draw(st.lists(st.sampled_from(scrapes), max_size=8)) if scrapes else ()),
        tuple(draw(st.lists(times, max_size=3))),
    )


@given(worlds())
def test_no_request_is_counted_twice_or_in_another_window_or_invented(world: World) -> None:
    found = attribute([world.target()], WIDTH, 0.0)
    for number in range(found.closed):
        counts = found.counts.get(number, {})
        if number not in found.hidden:
            begin, end = number * WIDTH, (number + 1) * WIDTH
            scraped = [at for at in world.scrapes if begin <= at < end]
            assert counts.get("requests", 0.0) == world.seen(begin - 1e-9, end - 1e-6), (number, scraped)
    total = sum(counts.get("requests", 0.0) for counts in found.counts.values())
    assert total <= len(world.requests)


@given(worlds())
def test_what_is_told_of_a_closed_window_does_not_change(world: World) -> None:
    whole = attribute([world.target()], WIDTH, 0.0)
    part = replace(
        world, scrapes=[at for at in world.scrapes if at <= 120], again=tuple(at for at in world.again if at <= 120)
    )
    early = attribute([part.target()], WIDTH, 0.0)
    for number in set(range(early.closed)) - early.hidden - whole.hidden:
        assert early.counts.get(number, {}) == whole.counts.get(number, {})


def test_samples_that_lie_between_scrapes_count_with_the_later_one() -> None:
    target = ScrapeTarget([(5, 100), (10, 105)], (), [("n", [(4.9, 3.0), (9.8, 5.0)])])
    assert [step.counts["n"] for step in steps(target)] == [3, 2]


def test_a_counter_that_is_gone_and_back_lower_begins_at_0() -> None:
    target = ScrapeTarget([(5, 100), (10, 105), (15, 110)], (), [("n", [(5, 3.0), (15, 2.0)])])
    assert [step.counts["n"] for step in steps(target)] == [3, 0, 2]


def test_a_missing_sample_is_no_restart() -> None:
    target = ScrapeTarget([(11, 900), (13, 902), (15, 904)], (), [("n", [(11, 5290.0), (15, 5410.0)])])
    assert [(step.begin, step.counts["n"]) for step in steps(target)] == [(-889, 5290), (11, 120)]
    across = ScrapeTarget([(11, 900), (15, 904), (21, 910)], (), [("n", [(11, 5290.0), (21, 5410.0)])])
    assert attribute([across], WIDTH, 0.0).hidden >= {1, 2}


def test_a_counter_that_lacks_its_last_samples_keeps_its_windows_open() -> None:
    beats = [(float(at), 900.0 + at) for at in range(1, 100, 5)]
    counted = [(at, 7.0) for at, _ in beats[:-3]]
    found = attribute([ScrapeTarget(beats, (), [("n", counted)])], WIDTH, 0.0)
    assert (found.closed, found.newest) == (8, 96)


def test_a_counter_that_was_removed_hides_no_window_of_the_others() -> None:
    beats = [(float(at), 900.0 + at) for at in range(1, 100, 5)]
    still = [(at, at) for at, _ in beats]
    found = attribute([ScrapeTarget(beats, (), [("removed", [(1, 7.0), (6, 9.0)]), ("still", still)])], WIDTH, 10.0)
    assert (found.hidden, found.closed) == (frozenset(), 9)
    assert [found.counts[window]["still"] for window in range(1, 9)] == [10.0] * 8


def test_a_difference_counts_from_when_it_stays() -> None:
    def found(*differences: float) -> list[tuple[float, float]]:
        each = [
            Increment(at, at + 1.0, {"whole": max(d, 0.0), "part": max(-d, 0.0)}) for at, d in enumerate(differences)
        ]
        return surplus(each, "whole", "part")

    assert found(0, 1, -1, 0) == []
    assert found(0, -1, 1, 0) == []
    assert found(0, 5, 0, 1, -1, 2) == [(2.0, 5.0), (6.0, 2.0)]


def test_nothing_is_known_of_no_target() -> None:
    found = attribute([ScrapeTarget(())], WIDTH, 0.0)
    assert (dict(found.counts), found.hidden, found.closed) == ({}, frozenset(), 0)
