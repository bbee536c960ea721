"""A yearly survey of people whose concept moves: when that is told, how often falsely, and what was said of it before.

    python -m bench concept

Some thousand people are asked each year. The model is evaluated on one year, later ones follow. Scores are drawn, and
labels by them, so that the evaluation has a log-loss of 0.379 and an AUC of 0.905, and the years after the change 0.43
and 0.82. (Half of that rise can be seen in the scores: the people got harder to tell apart.) All of a year have one
date, as in most surveys, or dates are spread over the year.

Without a change, years are alike; or each year's losses are higher or lower by a share that is its own, as weather does
it, of the standard deviation `WEATHER`. That is what nobody can know from an evaluation on one year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, sized
from modelstack.monitoring.bulk import are_waves, usual
from modelstack.monitoring.labels.concept import FALSE_ALARMS, LOSS_RISE, YEAR, Bets, Tolerated
from modelstack.monitoring.labels.quality import WORST_LOG_LOSS
from modelstack.monitoring.labels.reach import told
from modelstack.monitoring.labels.settling import Labelled

BEFORE, AFTER = (-0.812, 2.663, 1.0), (-1.705, 1.684, 0.9)
"""Mean and deviation of the scores' logits, and what of a logit is true."""
RISEN = 0.051
EVALUATED = 47  # the year of the evaluation, since the epoch
WEATHER = 0.025
_TOGETHER = 50  # labels that come together
Losses = NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """What is asked.

    Attributes:
        people: How many a year.
        spread: Whether their dates are spread over the year.
        quiet: Years without a change after the evaluation.
        moved: Years with it after these.
        weather: By which share years differ by themselves, a standard deviation.
    """

    people: int
    spread: bool
    quiet: int = 0
    moved: int = 0
    weather: float = 0.0

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.people:,} people a year, {'dates spread over it' if self.spread else 'one date each'}"

    def losses(self, source: np.random.Generator, *, moved: bool) -> Losses:
        """The log-losses of a year, shape (people,)."""
        mean, deviation, true = AFTER if moved else BEFORE
        logit = source.normal(mean, deviation, self.people)
        label = source.random(self.people) < 1 / (1 + np.exp(-true * logit))
        return np.minimum(np.logaddexp(0, np.where(label, -logit, logit)), WORST_LOG_LOSS)

    def dates(self, source: np.random.Generator, year: int) -> NDArray[np.float64]:
        """When they were asked, epoch seconds, shape (people,)."""
        within = np.sort(source.random(self.people)) if self.spread else np.zeros(self.people)
        return np.floor((year + within) * YEAR)

    def sealed(self, source: np.random.Generator) -> Tolerated:
        """What an evaluation on one year seals, held against by default."""
        times = self.dates(source, EVALUATED)
        waves = are_waves(times, self.dates(source, EVALUATED - 1))
        found = usual(self.losses(source, moved=False), WORST_LOG_LOSS, times, waves=waves)
        if found is None:
            raise ValueError(f"{self.name}: got no blocks to calibrate on")
        return Tolerated.of(found, share=LOSS_RISE, false_alarms=FALSE_ALARMS, late_days=1, every=3600)

    def fired(self, source: np.random.Generator, tolerated: Tolerated) -> int | None:
        """After how many labels the alarm fires; None when it never does. All labels of a year come after it."""
        bets, asked = Bets(), 0
        for place in range(self.quiet + self.moved):
            shift = 1 + self.weather * source.standard_normal()
            losses = self.losses(source, moved=place >= self.quiet) * shift
            dates = self.dates(source, EVALUATED + 1 + place)
            for start in range(0, self.people, _TOGETHER):
                part = zip(losses[start : start + _TOGETHER].tolist(), dates[start:].tolist(), strict=False)
                bets.add(tolerated, [Labelled(loss, about, about) for loss, about in part])
                bets.judge(tolerated)
                asked += min(_TOGETHER, self.people - start)
                if bets.evidence(tolerated) >= 1:
                    return asked
        return None


SURVEYS = tuple(Survey(people, spread) for people in (4000, 10_000) for spread in (False, True))


def rows() -> list[Row]:
    """Everything that is measured of surveys."""
    return [*_quiet(sized(60)), *_seen(sized(30))]


def _quiet(runs: int) -> Sequence[Row]:
    """Alarms a year: of years that use up the tolerated rise, and by default of years that differ by themselves."""
    alike = {each.name: _share(replace(each, quiet=3), runs, edge=True) for each in SURVEYS}
    apart = {each.name: _share(replace(each, quiet=3, weather=WEATHER), runs) for each in SURVEYS}
    goal, of = f"<= {FALSE_ALARMS}", f"{runs} runs of 3 years"
    return [
        Row(f"concept_false_alarms_survey{name}", max(shares.values()), "alarms a year", goal, f"{_told(shares)}; {of}")
        for name, shares in (("", alike), ("_weather", apart))
    ]


def _told(shares: Mapping[str, float]) -> str:
    return "; ".join(f"{name}: {share:.3f}" for name, share in shares.items())


def _share(survey: Survey, runs: int, *, edge: bool = False) -> float:
    """Alarms a year without a change.

    Args:
        survey: What is asked.
        runs: How many.
        edge: Whether all of the tolerated rise is used up: the most that the promise is about.
    """
    fired = 0
    for seed in range(runs):
        source = np.random.default_rng(seed)
        tolerated = survey.sealed(source)
        fired += survey.fired(source, replace(tolerated, rise=0.0) if edge else tolerated) is not None
    return round(fired / runs / survey.quiet, 4)


def _seen(runs: int) -> Sequence[Row]:
    """After how many labels 0.43 for 0.379 is told; and how often within what was computed from the evaluation."""
    lines, kept, told_of = list[str](), 0, 0
    for survey in (replace(each, moved=4) for each in SURVEYS):
        delays, computed = list[int](), list[int]()
        for seed in range(runs):
            source = np.random.default_rng(1000 + seed)
            tolerated = survey.sealed(source)
            delays.append(survey.fired(source, tolerated) or survey.people * survey.moved)
            blocks = told(tolerated, RISEN)
            if blocks is not None:
                computed.append(round(blocks * survey.people / tolerated.means.blocks))
                kept, told_of = kept + (delays[-1] <= computed[-1]), told_of + 1
        said = f"{sorted(computed)[len(computed) // 2]:,}" if computed else "never"
        missed = sum(each >= survey.people * survey.moved for each in delays)
        lines.append(
            f"{survey.name}: {sorted(delays)[runs // 2]:,} labels in half of {runs} runs, computed: "
            f"{said}, not told within {survey.moved} years: {missed}"
        )
    share = round(kept / told_of, 3) if told_of else 1.0
    return [Row("concept_survey_told_as_computed", share, "share of runs", ">= 0.8", "; ".join(lines))]
