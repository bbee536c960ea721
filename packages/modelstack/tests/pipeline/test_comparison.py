from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from modelstack.pipeline.comparison import Comparison, compare, student

DAY = np.datetime64("2013-06-01T10:00:00", "s")
losses = st.integers(2, 40).flatmap(
    lambda rows: st.tuples(*(arrays(np.float64, rows, elements=st.floats(0, 5)) for _ in range(2)))
)


def on_days(rows: list[int]) -> np.ndarray:
    return DAY + np.repeat(np.arange(len(rows)), rows) * np.timedelta64(86400, "s")


def simulated(rng: np.random.Generator, rows: list[int], gain: float, shared: float) -> Comparison:
    """Losses whose differences have a mean, a part that a day shares, and individual noise."""
    day = np.repeat(rng.normal(0, shared, len(rows)), rows)
    champion = rng.exponential(0.5, sum(rows))
    challenger = champion - gain - day - rng.normal(0, 0.3, sum(rows))
    return compare("log_loss", champion=champion, challenger=challenger, times=on_days(rows))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [[300] * 14, [40, 900, 300, 20, 700, 310, 500, 80, 600, 200, 900, 30, 450, 250]])
def test_the_interval_holds_the_gain_in_95_of_100_cases_though_rows_of_a_day_go_together(rows: list[int]):
    rng = np.random.default_rng(20130601)
    held = [one.low <= 0.01 <= one.high for one in (simulated(rng, rows, 0.01, shared=0.05) for _ in range(2000))]
    assert 0.935 <= np.mean(held) <= 0.965  # 2,000 cases of a true 95%, three standard deviations to each side


@pytest.mark.slow
def test_an_equally_good_challenger_is_taken_for_better_in_one_of_forty_cases_and_no_more():
    rng = np.random.default_rng(7)
    taken = [simulated(rng, [100] * 14, 0.0, shared=0.05).better() for _ in range(2000)]
    assert np.mean(taken) < 0.025 + 3 * np.sqrt(0.025 * 0.975 / 2000)


def test_days_of_one_size_give_the_interval_of_a_sample_of_their_means():
    rng = np.random.default_rng(3)
    champion, challenger = rng.exponential(1, 70), rng.exponential(1, 70)
    found = compare("log_loss", champion=champion, challenger=challenger, times=on_days([5] * 14))
    means = (champion - challenger).reshape(14, 5).mean(axis=1)
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_rows_without_a_time_are_counted_each():
    rng = np.random.default_rng(4)
    champion, challenger = rng.exponential(1, 30), rng.exponential(1, 30)
    found = compare("error", champion=champion, challenger=challenger)
    expected = stats.ttest_rel(champion, challenger).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.days, found.since, found.until) == (None, None, None)


def test_of_one_day_or_one_row_nothing_is_sure_so_the_challenger_is_not_better():
    one_day = compare("log_loss", champion=np.full(900, 2.0), challenger=np.full(900, 0.1), times=on_days([900]))
    one_row = compare("log_loss", champion=np.array([2.0]), challenger=np.array([0.1]))
    for found in (one_day, one_row):
        assert found.gain == pytest.approx(1.9)
        assert (found.low, found.high) == (None, None)
        assert not found.better(-10)


def test_better_is_more_than_the_gain_that_is_asked_for():
    champion, challenger = np.tile([0.5, 0.6], 7), np.tile([0.4, 0.5], 7)
    found = compare("log_loss", champion=champion, challenger=challenger, times=on_days([2] * 7))
    assert found.low == pytest.approx(0.1)
    assert found.better(0.09)
    assert not found.better(0.11)
    same = compare("log_loss", champion=champion, challenger=champion, times=on_days([2] * 7))
    assert (same.low, same.high, same.better()) == (0, 0, False)


def test_what_is_reported_names_the_days():
    same = np.tile([0.5, 0.6], 7)
    found = compare("log_loss", champion=same + 0.1, challenger=same, times=on_days([2] * 7)).as_dict()
    assert found == {
        "loss": "log_loss",
        **{"champion": pytest.approx(0.65), "challenger": pytest.approx(0.55), "gain": pytest.approx(0.1)},
        **{"low": pytest.approx(0.1), "high": pytest.approx(0.1), "rows": 14, "days": 7},
        **{"from": "2013-06-01", "until": "2013-06-08"},
    }


@given(losses, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_exchanging_the_models_turns_the_sign(given, random):
    champion, challenger = given
    times = on_days([1] * len(champion)) - np.arange(len(champion)) % 3 * np.timedelta64(86400, "s")
    found = compare("log_loss", champion=champion, challenger=challenger, times=times)
    order = list(range(len(champion)))
    random.shuffle(order)
    shuffled = compare("log_loss", champion=champion[order], challenger=challenger[order], times=times[order])
    turned = compare("log_loss", champion=challenger, challenger=champion, times=times)
    if found.low is None or found.high is None:
        assert (shuffled.low, turned.low) == (None, None)
        return
    close = {"rel": 1e-9, "abs": 1e-9}
    assert (shuffled.gain, shuffled.low) == (pytest.approx(found.gain, **close), pytest.approx(found.low, **close))
    assert (turned.low, turned.high) == (pytest.approx(-found.high, **close), pytest.approx(-found.low, **close))
    assert found.low <= found.gain <= found.high


@pytest.mark.parametrize(
    ("champion", "challenger", "times"),
    [([], [], None), ([1.0], [1.0, 2.0], None), ([np.nan], [1.0], None), ([1.0], [np.inf], None), ([1.0], [1.0], [])],
)
def test_losses_that_are_not_of_the_same_rows_or_no_numbers_are_refused(champion, challenger, times):
    with pytest.raises(ValueError, match="cannot compare"):
        compare(
            "log_loss",
            champion=np.array(champion, float),
            challenger=np.array(challenger, float),
            times=None if times is None else np.array(times, "datetime64[s]"),
        )


@given(st.floats(0.01, 0.999), st.integers(1, 400))
def test_students_quantile_is_that_of_scipy(level: float, freedom: int):
    assert student(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-6)


def test_students_quantile_for_many_rows_is_wider_and_close():
    assert 0 < student(0.95, 10**6) - stats.t.ppf(0.975, 10**6) < 1e-3


@pytest.mark.parametrize(("days", "unit"), [(1, "day"), (None, "row")])
def test_a_comparison_of_which_nothing_is_sure_says_what_it_takes(days: int | None, unit: str):
    found = Comparison("error", 0.5, 0.2, 0.3, None, None, rows=1, days=days)
    assert found.in_words(0.0).endswith(f": gain 0.3000, of which nothing is sure: it takes more than one {unit}")
