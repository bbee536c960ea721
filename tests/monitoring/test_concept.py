"""Bets on losses: quiet as long as promised, soon when the labels turn, and the same in whatever order files came."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.concept import FRACTIONS, MOST, Bets, Tolerated
from monitoring.performance import Outcome, Performance
from monitoring.quality import Form

LATE = Form("classification", (False, True), "late", "p")


def loss(source: Random, flipped: float = 0.0) -> float:
    """The log-loss of a calibrated score, whose label is turned with some probability."""
    score = source.betavariate(2, 4)
    hit = (source.random() < score) != (source.random() < flipped)
    return LATE.losses({"decision": score >= 0.5, "probability": score}, hit)["LogLoss"]


def mean(flipped: float = 0.0) -> float:
    source = Random(0)
    return sum(loss(source, flipped) for _ in range(100_000)) / 100_000


SEALED = mean()


def test_false_alarms_are_as_rare_as_promised_at_the_very_edge_of_what_is_tolerated() -> None:
    tolerated = Tolerated("LogLoss", SEALED, 5.0, labels=500)  # nothing above the true mean
    rung = 0
    for seed in range(100):
        source, seen = Random(seed), Bets()
        for _ in range(50):
            seen = seen.take(tolerated, [(loss(source), 0.0)])
            if seen.evidence(tolerated) >= 1:
                rung += 1
                break
    assert rung <= 100 * 50 / 500 + 3 * (100 * 0.1 * 0.9) ** 0.5, "P(within n) <= n / labels"


def test_mean_time_to_a_false_alarm_is_at_least_as_long_as_promised() -> None:
    tolerated, times = Tolerated("LogLoss", SEALED, 5.0, labels=100), list[int]()
    for seed in range(60):
        source, seen = Random(seed), Bets()
        while seen.evidence(tolerated) < 1 and seen.taken < 5000:
            seen = seen.take(tolerated, [(loss(source), 0.0)])
        times.append(seen.taken)
    assert sum(times) / len(times) >= 100


def test_a_flip_of_a_tenth_of_the_labels_is_found_and_dated() -> None:
    tolerated = Tolerated("LogLoss", SEALED * 1.01, 5.0, labels=10_000)
    found: list[tuple[int, float]] = []
    for seed in range(20):
        source, seen = Random(seed), Bets()
        seen = seen.take(tolerated, [(loss(source), float(n)) for n in range(1000)])
        assert seen.evidence(tolerated) < 1
        while seen.evidence(tolerated) < 1 and seen.taken < 8000:
            seen = seen.take(tolerated, [(loss(source, 0.1), float(seen.taken))])
        assert seen.since is not None
        found.append((seen.taken - 1000, seen.since))
    delays, since = sorted(delay for delay, _ in found), sorted(at for _, at in found)
    assert delays[10] < 2500
    assert abs(since[10] - 1000) < 300, "the median estimate of the change point"


def test_evidence_falls_soon_after_the_cause_has_gone() -> None:
    tolerated = Tolerated("LogLoss", SEALED * 1.1, 5.0, labels=10_000)
    seen = Bets().take(tolerated, [(4.0, 0.0)] * 200)
    assert seen.evidence(tolerated) == MOST
    source = Random(3)
    seen = seen.take(tolerated, [(loss(source), 1.0) for _ in range(2000)])
    assert seen.evidence(tolerated) < 1


def test_a_model_that_never_erred_has_a_tolerance_all_the_same() -> None:
    sealed = Performance()
    sealed.add(Outcome({"Accuracy": 1.0, "LogLoss": 0.0}))
    tolerated = Tolerated.of(LATE, sealed, rise=0.2, labels=1000)
    assert tolerated == Tolerated("LogLoss", pytest.approx(0.005), 5.0, 1000)
    assert Tolerated.of(LATE, Performance(), 0.2, 1000) is None
    decides = Form("classification", (False, True), "late")
    sealed.add(Outcome({"Accuracy": 0.0}))
    assert Tolerated.of(decides, sealed, 0.2, 1000) == Tolerated("Error", pytest.approx(0.6), 1.0, 1000)


losses = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2e9)), max_size=30)


@given(losses, losses)
def test_parts_taken_one_after_the_other_are_as_the_whole_and_survive_being_written(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    tolerated = Tolerated("LogLoss", 0.5, 5.0, labels=1000)
    half = Bets.from_dict(json.loads(json.dumps(Bets().take(tolerated, one).as_dict())))
    assert half.take(tolerated, other) == Bets().take(tolerated, one + other)


@given(st.floats(0.001, 4.9), st.sampled_from(FRACTIONS))
def test_a_bet_never_loses_more_than_its_stake_and_is_fair_at_the_tolerated_mean(tolerated: float, part: float) -> None:
    place = FRACTIONS.index(part)
    edge = Tolerated("LogLoss", tolerated, 5.0, labels=1e12)
    lowest, highest = (Bets().take(edge, [(loss, 0.0)]).wealth[place] for loss in (0.0, 5.0))
    share = tolerated / 5.0  # the mean of 0 and 5 in these shares is the tolerated one
    assert lowest >= 0
    assert (1 - share) * lowest + share * highest == pytest.approx(1.0)


@pytest.mark.parametrize("broken", [None, {}, {"taken": 1, "wealth": [0.0], "runs": [0.0], "began": [0.0]}])
def test_what_is_of_another_form_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="concept"):
        Bets.from_dict(broken)
