"""A yearly survey of people: too few a day for blocks of days, or one date a year. Its moved concept is told too."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from bench.survey import Survey
from modelstack.monitoring.bulk import are_waves, sealed, usual
from modelstack.monitoring.labels.concept import DAY, YEAR, Bets, Tolerated, Usual
from modelstack.monitoring.labels.reach import MOST, Reach, in_words, reach, told
from modelstack.monitoring.labels.settling import Labelled
from modelstack.monitoring.statistics.blocks import Cut

ONE_DATE, SPREAD = Survey(4000, spread=False), Survey(4000, spread=True)
SEEDS = range(8)


def fired(survey: Survey) -> int:
    sources = [np.random.default_rng(seed) for seed in SEEDS]
    return sum(survey.fired(source, survey.sealed(source)) is not None for source in sources)


@pytest.mark.parametrize("survey", [ONE_DATE, SPREAD, Survey(10_000, spread=False)])
def test_a_log_loss_that_rises_from_0379_to_043_is_told_within_two_years_as_a_rule(survey: Survey) -> None:
    assert fired(replace(survey, moved=2)) > len(SEEDS) / 2


@pytest.mark.slow
@pytest.mark.parametrize("survey", [ONE_DATE, SPREAD])
def test_years_that_are_alike_or_differ_a_little_by_themselves_do_not_fire(survey: Survey) -> None:
    assert fired(replace(survey, quiet=3, weather=0.025)) <= 1


def test_days_with_few_rows_are_judged_some_together_and_not_those_alone_that_have_many() -> None:
    source = np.random.default_rng(1)
    times = np.sort(source.integers(0, 365, 4000)) * DAY
    found = usual(SPREAD.losses(source, moved=False), 5.0, times)
    assert found is not None
    assert (found.cut.span, found.cut.rows >= 25, found.means.blocks >= 100) == (3 * DAY, True, True)
    bound = Tolerated.of(found, share=0.05, false_alarms=0.1, late_days=1, every=3600).bound
    assert bound == pytest.approx(YEAR / (3 * DAY) / 0.1)
    _, null = sealed({"x": source.normal(size=4000)}, times)
    assert null.cut.span == 3 * DAY, "and drift too"
    assert null.scores


def test_waves_are_weeks_apart_and_a_single_date_is_none() -> None:
    months, days = np.arange(12) * 28 * DAY, np.arange(12) * DAY
    assert are_waves(np.repeat(months, 500))
    assert not are_waves(np.repeat(days, 500))
    assert are_waves(np.zeros(500), months)
    assert not are_waves(np.zeros(500), np.array([DAY]))
    assert not are_waves(np.zeros(500))
    assert not are_waves(np.arange(24) * 28 * DAY), "so many can be held against each other"


def wave(year: int, losses: list[float], seen: Bets, tolerated: Tolerated) -> None:
    seen.add(tolerated, [Labelled(loss, year * YEAR, year * YEAR) for loss in losses])
    seen.judge(tolerated)


def of_waves() -> Tolerated:
    source = Random(1)
    known = Usual.of([source.gauss(0.4, 0.05) for _ in range(64)], Cut(0.0, 50), 5.0, wave=10 * YEAR)
    assert known is not None
    return Tolerated.of(known, share=0.05, false_alarms=0.1, late_days=1, every=3600)


def test_labels_of_one_wave_are_judged_as_they_come_in_blocks_of_as_many_as_the_evaluations() -> None:
    tolerated, seen = of_waves(), Bets()
    assert (tolerated.cut, tolerated.late, tolerated.bound) == (Cut(0.0, 50), 0.0, pytest.approx(3652.5))
    wave(11, [0.4] * 120, seen, tolerated)
    assert (seen.blocks, seen.settling.filling.rows) == (2, 20)
    again = Bets.from_dict(json.loads(json.dumps(seen.as_dict())))
    for one in (seen, again):
        wave(11, [0.4] * 30, one, tolerated)
    assert again == seen
    assert seen.blocks == 3


def test_what_is_staked_on_a_wave_is_the_time_since_the_one_before_and_a_year_at_most() -> None:
    staked: list[float] = []
    for years in ([11], [11, 11], [10.5], [18], [12, 11, 12]):
        seen, tolerated = Bets(), of_waves()
        for year in years:
            before = seen.wealth[0]
            seen.add(tolerated, [Labelled(0.4, year * YEAR, 0)] * 50)
            seen.judge(tolerated)
        staked.append(seen.wealth[0] / before if before else seen.wealth[0])
    first, again, half, late, back = staked
    assert first / half == pytest.approx(2, rel=0.01)
    assert late == pytest.approx(first, rel=0.01)
    assert again == pytest.approx(first / 365, rel=0.05), "within a wave nothing more is staked"
    assert back == pytest.approx(again, rel=0.05), "nor for labels of an earlier one that come between"


@pytest.mark.slow
def test_what_can_be_seen_is_computed_before_it_matters() -> None:
    source = np.random.default_rng(3)
    few, many = (Survey(people, spread=False).sealed(source) for people in (2000, 20_000))
    assert told(few, 0.051) is None or told(few, 0.051) > 40
    assert told(many, 0.051) < 40
    seen = reach(many)
    assert (seen.unit, seen.most) == ("labels", MOST * many.cut.rows)
    assert seen.after[0.5] <= seen.after[0.25] <= seen.after[0.15]
    assert Reach.from_dict(json.loads(json.dumps(seen.as_dict()))) == seen
    assert reach(SPREAD.sealed(source)).unit == "days"
    assert reach(replace(many, cut=Cut(3600.0, 25), wave=None)).unit == "blocks"


def test_what_can_be_seen_is_said_in_a_sentence() -> None:
    some = Reach("days", 1200, {0.1: None, 0.25: 543, 0.5: 24})
    assert in_words(some) == (
        "the concept alarm sees a rise of the loss by 25% after about 540, by 50% after about 24 days; "
        "it may not see a rise of the loss by 10% within 1,200 days"
    )
    assert in_words(Reach("labels", 400, {0.1: None, 0.5: None})) == (
        "the concept alarm may not see a rise of the loss by 10% or 50% within 400 labels"
    )
