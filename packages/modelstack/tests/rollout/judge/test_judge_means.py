from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.judge.evidence import Evidence
from modelstack.rollout.judge.means import Means, log_e_value
from modelstack.rollout.judge.metrics import Tally

unit = st.floats(0, 1)
spread = st.lists(st.tuples(unit, st.floats(0.01, 1)), min_size=1, max_size=3)  # values and how likely they are


def tally(values: list[float] | np.ndarray) -> Tally:
    return Tally(len(values), float(sum(values)), float(sum(value**2 for value in values)))


def blocks(source: list[tuple[float, float]], size: int) -> list[tuple[list[float], float]]:
    """Every block of that size, with its probability."""
    whole = sum(chance for _, chance in source)
    return [
        ([value for value, _ in drawn], math.prod(chance / whole for _, chance in drawn))
        for drawn in itertools.product(source, repeat=size)
    ]


def mean(source: list[tuple[float, float]]) -> float:
    return sum(value * chance for value, chance in source) / sum(chance for _, chance in source)


@given(champion=spread, challenger=spread, slack=unit, m0=unit, m1=unit, part=st.floats(0, 0.99), above=st.booleans(),
       n0=st.integers(1, 3), n1=st.integers(1, 3))  # fmt: skip
def test_the_expected_evidence_is_at_most_one_under_the_null_hypothesis(
    *,
    champion: list[tuple[float, float]],
    challenger: list[tuple[float, float]],
    slack: float,
    m0: float,
    m1: float,
    part: float,
    above: bool,
    n0: int,
    n1: int,
) -> None:
    scale = max(m1, n1 / n0 * (1 - m0)) if above else max(1 - m1, n1 / n0 * m0)
    bet = part * min(1 / scale if scale else math.inf, 1e3)
    difference = mean(challenger) - mean(champion)
    margin = difference + slack if above else difference - slack
    expected = sum(
        chance0 * chance1 * math.exp(log_e_value(bet if above else -bet, margin, (m0, m1), tally(one), tally(other)))
        for one, chance0 in blocks(champion, n0)
        for other, chance1 in blocks(challenger, n1)
    )
    assert expected <= 1 + 1e-9


ends = st.one_of(unit, st.sampled_from([0.0, 1.0]))


@given(x=ends, m0=unit, m1=unit, part=st.floats(0, 0.99), sign=st.sampled_from([1, -1]), of=st.booleans())
def test_a_single_value_never_wins_more_than_its_distance_from_the_guess(
    *, x: float, m0: float, m1: float, part: float, sign: int, of: bool
) -> None:
    # exp(l y - psi y^2) <= 1 + l y: the other version answers just what was guessed, and the margin is the difference
    # of the guesses, so that only y, the distance of one value from its guess, counts.
    scale = max(m1, 1 - m0) if sign > 0 else max(1 - m1, m0)
    bet = sign * part / max(scale, 0.01)
    champion, challenger = (m0, x) if of else (x, m1)
    y = x - m1 if of else m0 - x
    log = log_e_value(bet, m1 - m0, (m0, m1), tally([champion]), tally([challenger]))
    assert math.exp(log) <= (1 + bet * y) * (1 + 1e-6) + 1e-12


def test_a_bet_beyond_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a bet of 2 on values up to 0\.5 from their guess; expected less than 2"):
        log_e_value(2.0, 0.0, (0.5, 0.5), Tally(10, 5, 3), Tally(10, 5, 3))


def by_single_values(
    windows: list[tuple[np.ndarray, np.ndarray]], margin: float, *, segments: int
) -> tuple[float, float]:
    """Evidence for worse and not worse, value by value in numpy; every window is taken to be a block of its own."""
    excess = 0.5 * margin * 1.6 ** np.arange(60)
    excess = excess[excess < 1]
    shares = 1 / np.arange(2, len(excess) + 2)
    lack = margin * np.array([0.5, 1.0, 1.5])
    log_worse, log_well = np.zeros(len(excess)), np.zeros(3)
    begun: list[tuple[float, np.ndarray]] = []  # of each block: the stake, and what was known before it
    weights = [np.array([]), np.array([])]
    values = [np.array([]), np.array([])]
    peak = 1.0
    for at, window in enumerate(windows):
        begun.append((0.5 / segments / (at * (at + 1) or 1), log_worse.copy()))
        guess = []
        for which in (0, 1):
            # One value of mean 1/2 and standard deviation 1/4 stands before the first.
            count = 1 + sum(0.95 ** weights[which])
            middle = (0.5 + sum(0.95 ** weights[which] * values[which])) / count
            square = (0.3125 + sum(0.95 ** weights[which] * values[which] ** 2)) / count
            guess.append((middle, square - middle**2 + 1e-6))
        (m0, v0), (m1, v1) = guess
        ratio = len(window[1]) / len(window[0])
        for logs, grid, sign in ((log_worse, excess, 1.0), (log_well, lack, -1.0)):
            c0, c1 = (1 - m0, m1) if sign > 0 else (m0, 1 - m1)
            for place, item in enumerate(grid):
                bet = min(item / (v1 + ratio * v0), 0.75 / max(c1, ratio * c0))
                for value in window[1]:
                    psi = (-np.log(1 - c1 * bet) - c1 * bet) / c1**2
                    logs[place] += sign * bet * (value - margin) - psi * (value - m1) ** 2
                for value in window[0]:
                    psi = (-np.log(1 - c0 * bet * ratio) - c0 * bet * ratio) / c0**2
                    logs[place] -= sign * bet * ratio * value + psi * (value - m0) ** 2
        won = sum(stake * float(np.exp(log_worse - before) @ shares / shares.sum()) for stake, before in begun)
        peak = max(peak, won + 1 - sum(stake for stake, _ in begun))
        for which in (0, 1):
            weights[which] = np.concatenate([weights[which] + 1, np.zeros(len(window[which]))])
            values[which] = np.concatenate([values[which], window[which]])
    return peak, float(np.exp(log_well).mean())


@pytest.mark.parametrize("worse_by", [0.0, 0.3])
def test_sums_and_squares_give_the_evidence_that_the_single_values_give(worse_by: float) -> None:
    source = np.random.default_rng(11)
    windows = [(source.beta(1, 5, 60), np.minimum(source.beta(1, 5, 20) + worse_by, 1)) for _ in range(12)]
    evidence = Evidence(Means(0.1), segments=2)
    for champion, challenger in windows:
        evidence.bet(tally(champion), tally(challenger))
    worse, well = by_single_values(windows, 0.1, segments=2)
    assert math.exp(evidence.worse) == pytest.approx(worse, rel=1e-6)
    assert math.exp(evidence.whole.not_worse) == pytest.approx(well, rel=1e-6)


pair = st.tuples(st.lists(unit, min_size=1, max_size=30), st.lists(unit, min_size=1, max_size=30))


@given(st.lists(pair, max_size=8), st.floats(0, 0.9), st.booleans())
def test_whatever_is_seen_the_bets_stay_within_the_range(
    seen: list[tuple[list[float], list[float]]], margin: float, better: bool
) -> None:
    evidence = Evidence(Means(margin, better=better), segments=2)
    for champion, challenger in seen:
        evidence.bet(tally(champion), tally(challenger))
    evidence.restart(1)
    assert all(math.isfinite(log) for log in (evidence.worse, evidence.whole.not_worse, evidence.whole.better))
