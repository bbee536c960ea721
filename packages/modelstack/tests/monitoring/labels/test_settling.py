"""Which block a late label counts in: each in one, whatever came when."""

from __future__ import annotations

import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.labels.concept import DAY
from modelstack.monitoring.labels.settling import MOST_OPEN, Block, Labelled, Settling
from modelstack.monitoring.statistics.blocks import Cut

CUT = Cut(DAY, 2)
ONE_DAY = DAY


def at(day: float, loss: float = 1.0, *, answered: float | None = None) -> Labelled:
    return Labelled(loss, day * DAY, day * DAY if answered is None else answered)


def settled(settling: Settling, *items: Labelled, late: float = ONE_DAY, cut: Cut = CUT) -> list[tuple[int, float]]:
    """Rows and mean of each settled block."""
    for item in items:
        settling.add(item, cut, late)
    return [(block.rows, block.mean) for block in settling.settled(cut, late)]


def test_a_day_is_settled_when_labels_are_about_requests_that_were_asked_long_enough_after_it() -> None:
    settling = Settling()
    assert settled(settling, at(5.1, 1.0), at(5.9, 2.0), at(6.9, 9.0)) == [], "labels of day 5 may still come"
    assert settled(settling, at(5.2, 3.0, answered=6.9 * DAY)) == []
    assert settled(settling, at(7.0, 9.0)) == [(3, 2.0)]
    assert settled(Settling(), at(5.1, 1.0), at(5.9, 2.0), at(6.0), late=0.0) == [(2, 1.5)], "labels are not late there"


def test_a_label_that_comes_after_its_day_was_settled_counts_in_the_next_block() -> None:
    settling = Settling()
    assert settled(settling, at(5), at(5.5), at(7.1, 3.0), at(7.2, 3.0)) == [(2, 1.0)]
    assert settled(settling, at(5.7, 9.0, answered=5.7 * DAY)) == []
    assert settled(settling, at(9.0)) == [(3, 5.0)], "those of day 7 and the late one"


def test_a_day_with_too_few_labels_goes_on_into_the_next() -> None:
    settling = Settling()
    assert settled(settling, at(5, 1.0), at(6, 2.0), at(6, 3.0), at(9)) == [(3, 2.0)]
    assert (settling.filling.rows, settling.filling.since) == (0, math.inf)


def test_a_replay_of_the_past_that_is_begun_again_ends_what_was_open_and_begins_anew() -> None:
    settling = Settling()
    assert settled(settling, at(300, answered=1), at(300, answered=1)) == []
    assert settled(settling, at(60, 2.0, answered=2), at(60, 4.0, answered=2)) == [(2, 1.0)], "day 300 ended"
    assert settled(settling, at(62, answered=3)) == [(2, 3.0)], "and day 60 goes on from there"


def test_a_late_label_of_an_old_answer_begins_nothing_anew() -> None:
    settling = Settling()
    settled(settling, at(300), at(300))
    assert settled(settling, at(60, 5.0)) == []
    assert (settling.clock, settling.filling.rows) == (300 * DAY, 1)


def test_days_that_a_replay_asked_within_one_second_are_no_replay_begun_again() -> None:
    settling = Settling()
    first = [at(day, answered=1.0) for day in range(60, 70)]
    for item in (*first, *first):
        settling.add(item, CUT, DAY)
    assert [block.rows for block in settling.settled(CUT, DAY)] == [2] * 8


def test_what_is_kept_does_not_grow_with_labels_nor_with_days_of_which_no_label_is_late() -> None:
    settling = Settling()
    for day in range(500):
        settled(settling, *(at(day) for _ in range(50)))
    assert len(settling.opened) <= 3
    scattered = Settling()
    for day in range(2000):
        scattered.add(Labelled(1.0, (5000 - day) * DAY, 1.0), CUT, 1e9)
    assert len(scattered.opened) == MOST_OPEN


days = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=40)


@given(days, st.randoms(use_true_random=False))
def test_what_comes_together_gives_the_same_blocks_in_any_order_and_survives_being_written(
    given_days: list[tuple[int, int]], source: Random
) -> None:
    items = [at(day, float(loss)) for day, loss in given_days]
    shuffled = list(items)
    source.shuffle(shuffled)
    one, other = Settling(), Settling()
    for item in items:
        one.add(item, CUT, 20 * DAY)
    for item in shuffled:
        other.add(item, CUT, 20 * DAY)
        other = Settling.from_dict(json.loads(json.dumps(other.as_dict())), "settling")
    last = at(40)
    assert settled(one, last, late=20 * DAY) == settled(other, last, late=20 * DAY)
    assert one == other


@given(days)
def test_every_label_counts_once(given_days: list[tuple[int, int]]) -> None:
    settling, rows, total = Settling(), 0, 0
    for day, loss in given_days:
        settling.add(at(day, float(loss)), CUT, DAY)
        for block in settling.settled(CUT, DAY):
            rows, total = rows + block.rows, total + block.total
    for block in (*settling.opened.values(), settling.filling):
        rows, total = rows + block.rows, total + block.total
    assert (rows, total / 2**40) == (len(given_days), sum(loss for _, loss in given_days))


@pytest.mark.parametrize(
    "broken",
    [None, {}, {"opened": {"0": [1, 2, "x"]}}, {"opened": {}, "filling": [1]}, {"opened": {}, "filling": [-1, 0, 0]}],
)
def test_what_is_of_another_form_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="settling"):
        Settling.from_dict(broken, "settling")


def test_blocks_that_ended_are_kept_until_they_are_judged() -> None:
    settling = Settling()
    for item in (at(300, answered=1), at(300, answered=1), at(60, answered=2)):
        settling.add(item, CUT, DAY)
    again = Settling.from_dict(json.loads(json.dumps(settling.as_dict())), "settling")
    assert again.settled(CUT, DAY) == settling.settled(CUT, DAY) == [Block(2, 2 * 2**40, 300 * DAY, 300 * DAY)]
