from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.statistics.conformal import CELLS, Calibration, Detector, persistence
from modelstack.monitoring.statistics.profile import UnreadableProfile


def noise(number: int, seed: int, follows: float = 0.0) -> list[float]:
    """A stationary first-order autoregression with deviation 1."""
    source = random.Random(seed)
    values = [source.gauss(0, 1)]
    for _ in range(number - 1):
        values.append(follows * values[-1] + (1 - follows**2) ** 0.5 * source.gauss(0, 1))
    return values


def calibration(cells: list[int], *, two_sided: bool = True) -> Calibration:
    return Calibration(0.0, 0.0, 0.0, 1.0, (*cells, *[0] * (CELLS - len(cells))), two_sided)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.booleans())
def test_the_bet_is_fair_whatever_the_ties(cells: list[int], two_sided: bool) -> None:
    # Exchangeable: given all scores with their ties, each is equally likely to be the newest.
    total = sum(cells)
    if total < 2:
        return
    gains = [0.0] * 6
    for cell, count in enumerate(cells):
        if not count:
            continue
        others = list(cells)
        others[cell] -= 1
        detector = Detector(calibration(others, two_sided=two_sided))
        detector.take(score_in(cell))
        for bet, wealth in enumerate(detector.wealth):
            gains[bet] += wealth * count / total
    for gain in gains[: 6 if two_sided else 3]:
        assert gain == pytest.approx(1.0, abs=1e-9)


def score_in(cell: int) -> float:
    lowest = [-65.0, -40.0, -25.0, -20.0, -14.0, -11.0, -9.0, -7.5]
    score = lowest[cell]
    assert calibration([]).cell(score, None) == cell
    return score


def test_a_score_that_is_always_the_same_is_no_evidence() -> None:
    detector = Detector(Calibration.of([0.0] * 59, two_sided=False))
    for _ in range(300):
        detector.take(0.0)
    assert detector.wealth == pytest.approx([300.0] * 3), "what was staked, and nothing gained"


def fires(scores: list[float], known: int, alpha: float) -> bool:
    """Whether the scores after the first `known`, those of training, ever cause a false alarm."""
    detector = Detector(Calibration.of(scores[:known], two_sided=True))
    for score in scores[known:]:
        detector.take(score)
        if detector.mean_wealth >= (len(scores) - known) / alpha:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("heavy", [False, True])
def test_false_alarms_keep_the_promise_whatever_the_distribution(heavy: bool) -> None:
    runs = [[score**5 if heavy else score for score in noise(60 + 200, run)] for run in range(200)]
    assert sum(fires(scores, 60, 0.5) for scores in runs) <= 0.5 * 200


@pytest.mark.slow
def test_days_that_follow_from_the_day_before_do_not_fire_more_often_than_stated() -> None:
    runs = [noise(59 + 365, 1000 + run, follows=0.6) for run in range(150)]
    assert sum(fires(scores, 59, 0.2) for scores in runs) <= 0.2 * 150


@pytest.mark.parametrize("shift", [3.0, -3.0])
def test_a_change_is_found_in_some_blocks(shift: float) -> None:
    scores = noise(160, 7)
    detector = Detector(Calibration.of(scores[:60], two_sided=True))
    for score in scores[60:110]:
        detector.take(score)
    assert detector.mean_wealth < 365 / 0.05
    needed = 0
    for score in scores[110:]:
        needed += 1
        detector.take(score + shift)
        if detector.mean_wealth >= 365 / 0.05:
            break
    assert needed <= 8


def test_scores_with_one_side_do_not_fire_when_they_fall() -> None:
    scores = noise(160, 8)
    detector = Detector(Calibration.of(scores[:60], two_sided=False))
    for score in scores[60:]:
        detector.take(score - 3)
    assert detector.mean_wealth < 10


@pytest.mark.parametrize("follows", [0.0, 0.5, 0.8])
def test_persistence_is_seldom_underrated(follows: float) -> None:
    found = [persistence(noise(60, seed, follows)) for seed in range(60)]
    assert sum(value >= follows for value in found) >= 0.75 * len(found)
    assert fmean(found) <= follows + 0.25


def test_persistence_of_nothing_is_none() -> None:
    assert persistence([]) == persistence([1.0, 2.0]) == persistence([3.0] * 50) == 0.0
    assert persistence([0.0, 1.0] * 30) == 0.0
    assert persistence([float(place) for place in range(50)]) == 0.95


def test_another_form_is_refused() -> None:
    body = Calibration.of(noise(60, 1), two_sided=True).as_dict()
    with pytest.raises(UnreadableProfile, match=r"x\.scale: got 0"):
        Calibration.from_dict({**body, "scale": 0}, "x")
    with pytest.raises(UnreadableProfile, match="got a cell '999'"):
        Calibration.from_dict({**body, "cells": {"999": 1}}, "x")
    with pytest.raises(UnreadableProfile, match=r"x\.wealth: got 1, expected 6"):
        Detector(Calibration.from_dict(body, "x")).read({"wealth": [1.0]}, "x")
