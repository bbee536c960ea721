"""Distributions and the statistics of them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cloudwatch.distribution import EXACT, RELATIVE_ERROR, Distribution
from localcloud.cloudwatch.statistics import parse

values = st.lists(st.floats(0, 1e12).map(lambda value: round(value, 6)), min_size=1, max_size=300)
shares = st.sampled_from([1, 10, 25, 50, 75, 90, 95, 99, 99.9, 100])


def filled(numbers) -> Distribution:
    made = Distribution()
    for number in numbers:
        made.add(number)
    return made


def exact(numbers, percent) -> float:
    ordered = sorted(numbers)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered) - 1e-9) - 1)]


@given(values, shares)
def test_a_percentile_is_exact_while_there_are_few_values_and_within_the_stated_error_beyond(numbers, percent):
    found = parse(f"p{percent}").of(filled(numbers))
    expected = exact(numbers, percent)
    if len(set(numbers)) <= EXACT:
        assert found == expected
    else:
        assert found == pytest.approx(expected, rel=RELATIVE_ERROR * 1.001, abs=1e-149)


@pytest.mark.parametrize("seed", range(5))
def test_a_percentile_of_many_values_is_within_the_stated_error_and_merging_adds_none(seed):
    generator = random.Random(seed)
    numbers = [generator.lognormvariate(seed, 3) for _ in range(2000)] + [0.0] * 20
    whole, merged = filled(numbers), filled(numbers[:50])
    merged.merge(filled(numbers[50:90]))
    merged.merge(filled(numbers[90:]))
    for percent in (0.5, 1, 10, 25, 50, 75, 90, 95, 99, 99.9):
        expected = exact(numbers, percent)
        for made in (whole, merged):
            assert parse(f"p{percent}").of(made) == pytest.approx(expected, rel=RELATIVE_ERROR * 1.001)


@given(values, st.floats(1e-3, 1e12))
def test_a_rank_is_exact_while_there_are_few_values_and_beyond_as_of_a_bound_within_the_stated_error(numbers, bound):
    found = parse(f"PR(:{bound:.10f})").of(filled(numbers))

    def rank(at: float) -> float:
        return 100 * sum(number <= at for number in numbers) / len(numbers)

    if len(set(numbers)) <= EXACT:
        assert found == pytest.approx(rank(float(f"{bound:.10f}")))
    else:
        off = RELATIVE_ERROR * 1.01
        assert rank(bound * (1 - off)) - 1e-9 <= found <= rank(bound * (1 + off)) + 1e-9


@given(values, values, shares)
def test_merged_distributions_are_as_good_as_one(left, right, percent):
    merged = filled(left)
    merged.merge(filled(right))
    assert merged.count == len(left) + len(right)
    found = parse(f"p{percent}").of(merged)
    assert found == pytest.approx(exact(left + right, percent), rel=RELATIVE_ERROR * 1.001, abs=1e-149)


@given(values)
def test_packing_loses_nothing(numbers):
    made = filled(numbers)
    back = Distribution.unpack(made.count, made.total, made.low, made.high, made.pack())
    assert back.ranked() == made.ranked()
    assert (back.count, back.total, back.low, back.high) == (made.count, made.total, made.low, made.high)


def test_a_hundred_thousand_latencies_take_a_few_kilobytes():
    generator = random.Random(1)
    made = filled(generator.lognormvariate(9, 1) for _ in range(100_000))
    assert len(made.pack()) < 4096
    assert len(made.ranked()) < 1200


def test_a_copy_does_not_follow_its_original():
    made = filled([1.0])
    twin = made.copy()
    made.add(2.0)
    assert twin.ranked() == [(1.0, 1.0)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SampleCount", 100),
        ("Sum", 2550),
        ("Average", 25.5),
        ("Minimum", 1),
        ("Maximum", 50),
        ("p99", 50),
        ("p98", 49),
        ("p50", 25),
        ("p100", 50),
        ("tm90", 23),
        ("tc90", 90),
        ("ts90", 2070),
        ("wm90", (2070 + 10 * 45) / 100),
        ("IQM", 25.5),
        ("TM(10%:90%)", 25.5),
        ("TC(10%:90%)", 80),
        ("TM(10:20)", 15.5),
        ("TS(10:20)", 310),
        ("WM(10:20)", (20 * 10 + 310 + 60 * 20) / 100),
        ("PR(:30)", 60),
        ("PR(40:)", 20),
        ("PR(10:30)", 40),
    ],
)
def test_statistics_of_one_to_fifty_twice_each(name, expected):
    assert parse(name).of(filled(float(number) for number in [*range(1, 51)] * 2)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["p101", "p", "q90", "PR(1%:2%)", "TM(5:1)", "TM(:)", "TM(1:2%)", "TM(90%:110%)", "sum", "", "p-1", "tm0"]
)
def test_a_statistic_that_there_is_none_of_is_refused(name):
    with pytest.raises(ValueError, match="statistic"):
        parse(name)


def test_no_statistic_of_no_values():
    assert all(parse(name).of(Distribution()) is None for name in ("Sum", "SampleCount", "p99", "tm90"))


def test_statistic_sets_have_no_percentiles_unless_all_their_values_are_the_same():
    made = Distribution()
    made.add_statistics(10, 100.0, 5.0, 20.0)
    assert parse("Average").of(made) == 10
    assert parse("p99").of(made) is None
    same = Distribution()
    same.add_statistics(10, 50.0, 5.0, 5.0)
    assert parse("p99").of(same) == 5.0


def test_negative_values_have_no_percentiles_as_on_aws():
    made = filled([1.0, -1.0])
    assert parse("p50").of(made) is None
    assert parse("Minimum").of(made) == -1.0
    later = filled(float(number) for number in range(EXACT + 10))
    later.add(-1.0)
    assert parse("p50").of(later) is None


def test_values_may_occur_in_weights():
    made = Distribution()
    made.add(1.0, 99)
    made.add(100.0, 1)
    assert parse("p99").of(made) == 1.0
    assert parse("p99.5").of(made) == 100.0


@pytest.mark.parametrize(("name", "least"), [("p99", 1000), ("p90", 100), ("p50", 20), ("p10", 100)])
def test_a_percentile_is_significant_from_as_many_samples_on_as_aws_says(name, least):
    assert parse(name).significant(least)
    assert not parse(name).significant(least - 1)
