"""Windows are gathered column by column; window by window comes out the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.blocks import Column, blocks
from modelstack.rollout.judge.dependence import Block, Dependence
from modelstack.rollout.judge.evidence import Evidence
from modelstack.rollout.judge.means import Means
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.judge.rates import Rates
from modelstack.rollout.judge.scale import fit, scaled, unfit
from modelstack.rollout.judge.verdict import judge

ERRORS, LOSS = KNOWN["errors"], KNOWN["log_loss"]
SCORE = Metric("score", "mean", margin=0.1, better="higher", low=-1, high=3)

Pair = tuple[Tally, Tally]


def one_by_one(windows: Sequence[Pair], *, ended: bool) -> list[Block]:
    found: list[Block] = []
    old, new, count, due = Tally(), Tally(), 0, 0
    before, given, asked = 0, 0, 0
    for champion, challenger in windows:
        old, new, count = plus(old, champion), plus(new, challenger), count + 1
        if (count >= due if before else old.count >= 5 and new.count >= 5) and old.count and new.count:
            found.append(Block(old, new, count))
            before, given, asked = before + count, given + old.count, asked + new.count
            due = math.ceil(before * max(5 / given, max(5, math.ceil(0.04 * asked)) / asked))
            old, new, count = Tally(), Tally(), 0
    if ended and old.count and new.count:
        found.append(Block(old, new, count))
    return found


def plus(one: Tally, other: Tally) -> Tally:
    return Tally(one.count + other.count, one.total + other.total, one.squares + other.squares)


counts = st.one_of(st.integers(0, 8), st.integers(0, 300), st.just(0))
ones = st.builds(lambda count, part: Tally(count, round(count * part)), counts, st.floats(0, 1))
segment = st.lists(st.tuples(ones, ones), max_size=60)


@given(segment, st.booleans())
def test_blocks_are_closed_by_earlier_counts_and_at_the_same_windows_as_one_by_one(
    seen: list[Pair], ended: bool
) -> None:
    columns = (Column.of([pair[side] for pair in seen]) for side in (0, 1))
    assert list(blocks(*columns, ended=ended)) == one_by_one(seen, ended=ended)


@given(segment)
def test_every_window_of_an_ended_segment_is_in_a_block_whatever_was_counted_in_it(seen: list[Pair]) -> None:
    columns = [Column.of([pair[side] for pair in seen]) for side in (0, 1)]
    closed = list(blocks(*columns, ended=True))
    whole = sum(block.windows for block in closed)
    rest = columns[0].sum(whole), columns[1].sum(whole)
    assert 0 in (rest[0].count, rest[1].count)
    for side in (0, 1):
        assert sum(block[side].count for block in closed) == columns[side].sum(0, whole).count


def test_a_long_segment_has_a_few_hundred_blocks() -> None:
    column = Column.of([Tally(100, 1)] * 20_160)
    closed = list(blocks(column, column, ended=True))
    assert len(closed) < 400
    assert sum(block.champion.count for block in closed) == 20_160 * 100


def values(metric: Metric) -> st.SearchStrategy[Tally]:
    one = st.floats(metric.low, metric.high)
    return st.lists(one, max_size=12).map(lambda seen: Tally(len(seen), sum(seen), sum(value**2 for value in seen)))


@pytest.mark.slow
@pytest.mark.parametrize("metric", [ERRORS, LOSS, SCORE], ids=lambda metric: metric.name)
@given(data=st.data())
def test_the_judge_finds_what_it_finds_window_by_window(metric: Metric, data: st.DataObject) -> None:
    tallies = ones if metric is ERRORS else values(metric)
    steps = data.draw(st.lists(st.lists(st.tuples(tallies, tallies), max_size=25), min_size=1, max_size=3))
    better = data.draw(st.booleans())

    bettor = Rates(metric.margin, better=better)
    if metric.kind == "mean":
        bettor = Means(metric.margin / (metric.high - metric.low), better=better)
    slow = Evidence(bettor, segments=3, most=(1 / 0.05) ** 0.85, run=(1 / 0.05) ** 0.5)
    dependence = Dependence(metric.kind)
    for number, step in enumerate(steps):
        if number:
            slow.restart(number)
            dependence.restart()
        in_range = [(scaled(metric, one), scaled(metric, other)) for one, other in step]
        for block in one_by_one(in_range, ended=number < len(steps) - 1):
            slow.bet(block.champion, block.challenger, dependence.worth(block), windows=block.windows)
            dependence.learn(block)

    windows = [
        Window(1000 * number + at, 1, {metric.name: one}, {metric.name: other})
        for number, step in enumerate(steps)
        for at, (one, other) in enumerate(step)
    ]
    starts = [1000.0 * number for number in range(len(steps))]
    found = judge(
        windows,
        metrics=[metric],
        alpha=0.05,
        starts=starts,
        segments=3,
        promote_when="better" if better else "not_worse",
    )
    numbers = found.each[0].reason.numbers
    expected = {"worse": slow.worse, "not_worse": min(slow.whole.not_worse, slow.here.not_worse)} | (
        {"better": slow.whole.better} if better else {}
    )
    for name, log in expected.items():
        assert math.log(numbers[f"evidence_{name}"]) == pytest.approx(min(log, 300), rel=1e-6, abs=1e-6)


odd = st.one_of(st.floats(-5, 60), st.sampled_from([0.0, 10.0, math.nan, math.inf, -math.inf]))
any_tallies = st.builds(Tally, st.integers(-1, 20), odd, odd)


@given(st.sampled_from([ERRORS, LOSS, SCORE]), st.lists(st.one_of(any_tallies, ones), max_size=5))
def test_a_column_fits_only_if_every_window_does(metric: Metric, seen: list[Tally]) -> None:
    if fit(metric, Column.of(seen)):
        assert [unfit(metric, tally) for tally in seen] == [{}] * len(seen)


@pytest.mark.parametrize("metric", [ERRORS, LOSS, SCORE], ids=lambda metric: metric.name)
@given(data=st.data())
def test_a_column_of_values_within_the_range_fits(metric: Metric, data: st.DataObject) -> None:
    tallies = ones if metric is ERRORS else values(metric)
    assert fit(metric, Column.of(data.draw(st.lists(tallies, max_size=8))))
