"""Bets on days of losses: quiet as long as promised, soon when losses have risen, and only when they really have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from modelstack.monitoring.bulk import usual
from modelstack.monitoring.labels.concept import DAY, MOST, SHIFTS, YEAR, Bets, Tolerated, Usual
from modelstack.monitoring.labels.settling import Labelled
from modelstack.monitoring.statistics.blocks import Cut

EVALUATED = 31
Days = Callable[[Random], float]
"""Draws the mean loss of a day."""


def stormy(source: Random) -> float:
    """As the flights' days: most are alike, some are far worse."""
    return 0.3 + source.expovariate(7)


def steady(source: Random) -> float:
    return source.gauss(0.5, 0.05)


def sealed(source: Random, draw: Days) -> Usual:
    means = [draw(source) for _ in range(EVALUATED)]
    found = Usual.of(means, Cut(DAY, 1), 5.0)
    assert found is not None
    return found


def tolerated(known: Usual, *, share: float = 0.0, false_alarms: float = 0.5) -> Tolerated:
    return Tolerated.of(known, share=share, false_alarms=false_alarms, late_days=0, every=3600)


class Told:
    """Days in order, each judged when the next begins."""

    def __init__(self, against: Tolerated) -> None:
        self.against, self.bets, self.day = against, Bets(), 0

    def lose(self, *means: float) -> float:
        for mean in means:
            self.bets.add(self.against, [Labelled(mean, self.day * DAY, self.day * DAY)])
            self.bets.judge(self.against)
            self.day += 1
        return self.bets.evidence(self.against)

    def until(self, means: Iterable[float]) -> int | None:
        """After how many of these days the alarm fires; None when it never does."""
        return next((place + 1 for place, mean in enumerate(means) if self.lose(mean) >= 1), None)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [stormy, steady])
def test_false_alarms_are_as_rare_as_promised_whatever_the_days_distribution(draw: Days) -> None:
    days, runs = 200, 150
    fired = 0
    for seed in range(runs):
        source = Random(seed)
        told = Told(replace(tolerated(sealed(source, draw)), rise=0.0))
        fired += told.until(draw(source) for _ in range(days)) is not None
    promised = days * 0.5 / (YEAR / DAY)
    assert fired <= runs * promised + 3 * (runs * promised * (1 - promised)) ** 0.5


def test_a_rise_within_what_is_tolerated_breaks_no_promise_and_one_beyond_is_told() -> None:
    within = beyond = 0
    for seed in range(60):
        source = Random(seed)
        known = sealed(source, steady)
        later = [steady(source) + 0.049 for _ in range(100)]
        within += Told(tolerated(known, share=0.1, false_alarms=0.2)).until(later) is not None
        beyond += Told(tolerated(known, share=0.0, false_alarms=0.2)).until(later) is not None
    assert within <= 60 * 100 * 0.2 / 365.25 + 3 * (60 * 0.055) ** 0.5
    assert beyond > 35, "the same days, held against what tolerates nothing"


def test_losses_that_rise_by_two_deviations_are_told_within_two_weeks_and_dated() -> None:
    delays, since = list[int](), list[float]()
    for seed in range(20):
        source = Random(seed)
        told = Told(tolerated(sealed(source, steady), share=0.02, false_alarms=0.1))
        assert told.lose(*(steady(source) for _ in range(40))) < 1
        delays.append(told.until(steady(source) + 0.1 for _ in range(60)) or 60)
        assert told.bets.since is not None
        since.append(told.bets.since / DAY)
    assert sorted(delays)[10] <= 14
    assert abs(sorted(since)[10] - 40) <= 3, "the median estimate of the change point"


def test_losses_that_come_back_to_those_of_the_evaluation_are_no_change_however_low_they_were() -> None:
    fired = 0
    for seed in range(20):
        source = Random(seed)
        told = Told(tolerated(sealed(source, steady), share=0.05))
        assert told.lose(*(steady(source) - 0.3 for _ in range(60))) < 1
        fired += told.until(steady(source) for _ in range(60)) is not None
    assert fired <= 2, "of bets among the days since alone nearly every one would fire"


def test_a_storm_of_three_days_is_no_moved_concept_and_a_month_of_storms_is() -> None:
    source = Random(3)
    told = Told(tolerated(sealed(source, stormy), share=0.05, false_alarms=0.1))
    assert told.until([1.2, 1.0, 0.9, *(stormy(source) for _ in range(20))]) is None
    assert told.until([stormy(source) + 0.4 for _ in range(30)]) is not None


def test_one_good_day_does_not_end_an_alarm() -> None:
    source = Random(4)
    told = Told(tolerated(sealed(source, steady)))
    assert told.until(steady(source) + 0.1 for _ in range(60)) is not None
    assert told.lose(0.45) >= 1


def test_evidence_ends_some_days_after_its_cause_and_begins_anew() -> None:
    source = Random(4)
    told = Told(tolerated(sealed(source, steady)))
    told.lose(*[4.0] * 200)
    assert told.bets.fired
    assert told.bets.evidence(told.against) == MOST
    assert not any(told.bets.learned), "days of the change are not what later ones are ranked among"
    usual_days = [steady(source) for _ in range(60)]
    ended = next(place for place, mean in enumerate(usual_days) if told.lose(mean) < 1)
    assert ended < 30
    assert (told.bets.fired, told.bets.wealth) == (False, [0.0] * len(SHIFTS))


def test_a_model_that_never_erred_may_err_a_little() -> None:
    never = Usual.of([0.0] * EVALUATED, Cut(DAY, 1), 1.0)
    assert never is not None
    assert tolerated(never, share=0.05).rise == pytest.approx(0.001)
    assert Told(tolerated(never)).until([0.0009] * 300) is None
    assert Told(tolerated(never)).until([0.01] * 300) is not None


def test_what_is_promised_follows_from_how_many_blocks_a_year_has() -> None:
    known = sealed(Random(1), steady)
    dated = Tolerated.of(known, share=0.1, false_alarms=0.1, late_days=2, every=60)
    assert (dated.cut, dated.bound, dated.late) == (Cut(DAY, 1), pytest.approx(3652.5), 2 * DAY)
    assert dated.rise == pytest.approx(0.1 * known.means.usual)
    undated = replace(known, cut=Cut(0.0, 25))
    assert Tolerated.of(undated, share=0.1, false_alarms=0.1, late_days=2, every=60) == Tolerated(
        known.means, Cut(60, 25), dated.rise, pytest.approx(YEAR / 60 / 0.1), 0.0
    )


def test_too_few_days_are_nothing_to_judge_by() -> None:
    assert usual(np.full(1900, 0.5), 5.0, np.repeat(np.arange(19) * DAY, 100)) is None
    assert usual(np.full(499 - 25, 0.5), 5.0) is None
    found = usual(np.tile([0.2, 0.6], 1000), 5.0, np.repeat(np.arange(20) * DAY, 100))
    assert (found.cut, found.means.blocks, found.means.usual) == (Cut(DAY, 100), 20, pytest.approx(0.4))
    assert found == Usual.from_dict(json.loads(json.dumps(found.as_dict())))


def test_a_record_that_is_written_and_read_goes_on_as_if_it_had_not_been() -> None:
    source = Random(5)
    against = tolerated(sealed(source, stormy))
    one, other = Told(against), Told(against)
    for _ in range(80):
        mean = stormy(source) + 0.2
        assert one.lose(mean) == other.lose(mean)
        other.bets = Bets.from_dict(json.loads(json.dumps(other.bets.as_dict())))
        assert other.bets == one.bets


@pytest.mark.parametrize("broken", [None, {}, {"blocks": 1, "wealth": [0.0], "runs": [0.0], "began": [0.0]}])
def test_what_is_of_another_form_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="concept"):
        Bets.from_dict(broken)
