"""Has the concept moved? Bets on the mean loss of each day's labelled answers, with a stated rate of false alarms.

    tolerated = Tolerated.of(usual, share=0.05, false_alarms=0.1, late_days=1, every=3600)
    seen = Bets()
    seen.add(tolerated, [Labelled(0.31, about, at), ...])
    seen.judge(tolerated)                       # the days whose labels have come
    seen.evidence(tolerated), seen.since        # 1.0 is an alarm; when the change began, by estimate

Answers of one day share their weather: their losses are not independent of each other, and how much one day's mean
differs from another's is what a change must be held against. So blocks of losses are judged, days where the rows of the
evaluation had times (`monitoring.labels.settling`), and the mean losses of its own blocks are sealed (`Usual`).

**The null hypothesis** is that the mean losses of blocks since, less a rise between 0 and the tolerated one that is the
same for all, are exchangeable with those of the evaluation: in any order, all are equally likely. (A release that does
better than that makes evidence smaller.) Nothing is assumed of their distribution.

**The payment** for a block is that of a conformal bet on its rank (`conformal.payments`: its expectation is 1 whatever
the ties) among the evaluation's blocks and those since, or the one among the evaluation's alone, whichever is less.
The second means that a loss is only high if it is high beside the evaluation, however low it was in between. The lesser
of the two pays at most what the first does. And what is tolerated is taken off each block since: where the rise is
smaller, each of these ranks lower among the evaluation's and as before among the others. The bets take scores to have
moved up, so they pay less for that. So no block's payment exceeds one of a fair game, and the game's bound holds.

**Change at an unknown time**: at every block one more unit is staked, W_n = (1 + W_{n-1}) e_n, the Shiryaev-Roberts
e-detector. With h blocks a year and `false_alarms` = a, the alarm is at a mean wealth of h / a. Then

    P(a false alarm within n blocks) <= a n / h, and false alarms are at least 1 / a years apart on average.

**Waves.** Where rows have only the times of waves, such as one date a year, days cannot be told apart. Blocks are then
cut by rows, within a wave too. One unit is staked for each day since the block before, all at once: a change can only
come with a wave. W_n less the units staked is a martingale all the same, so with h = 365.25 the same bounds hold for
the years since the evaluation's wave. The null hypothesis is then one of rows: those of a wave, in the order in which
labels come, are exchangeable with those of the evaluation, but for the tolerated rise. By how much waves differ by
themselves cannot be known from an evaluation on one; `bench/survey.py` measures what such differences do.

**When the change began**: each bet's CUSUM, C_n = max(1, C_{n-1}) e_n, last began anew where its own likelihood says
that the change is; that of the bet whose CUSUM is greatest is told.

**What it does not say.** Days that follow each other are alike (a storm takes two or three), which is no exchange. What
follows from the day before is not taken off, as drift does it: of a month of days it is known so badly that a lasting
rise would go with it. `max_loss_rise` makes up for that; `bench/concept.py` measures how far, on the flights' days in
clusters. And weeks that are worse than any that the evaluation had are a change, whatever their cause.

When it rings, the evidence is set to four, which is also the most that it can be, and blocks are ranked among the
evaluation's only. Days that are like the evaluation's bring it below 1 again; then all begins anew.

Sources: Vovk et al., "Retrain or not retrain: conformal test martingales for change-point detection", COPA 2021,
arXiv:2102.10439; Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
NEJSDS 2 (2023), arXiv:2203.03532.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from monitoring.labels.settling import Block, Labelled, Settling
from monitoring.statistics.blocks import Cut
from monitoring.statistics.conformal import CELLS, FEWEST, Calibration, dense, payments, sparse
from monitoring.statistics.profile import a_count, a_list, a_number, an_object

SHIFTS = (0.5, 1.5)
"""By how many deviations of the evaluation's blocks the bets take losses to have risen."""
MOST = 4.0  # times the alarm: that far evidence has to fall before it ends, and not by one good day of a bad month
DAY, YEAR = 86_400.0, 365.25 * 86_400
LOSS_RISE, FALSE_ALARMS = 0.05, 0.1
"""What is tolerated by default: a rise, as a share of the evaluation's mean loss, and false alarms a year."""
_LEAST = 1e-3  # of the greatest loss: a model that made no error when it was evaluated may make some


@dataclass(frozen=True)
class Usual:
    """How the mean losses of the evaluation's blocks differ: sealed in the package.

    Attributes:
        cut: How they were cut, and labels since are to be. A span of 0: rows had no times, or those of waves.
        high: The most that a loss can be.
        means: Their mean losses.
        wave: When the newest wave was, epoch seconds, where rows had the times of waves: see `bulk.are_waves`.
    """

    cut: Cut
    high: float
    means: Calibration
    wave: float | None = None

    @classmethod
    def of(cls, means: list[float], cut: Cut, high: float, wave: float | None = None) -> Usual | None:
        """Calibrate on the mean losses of blocks; None when they are too few to judge by."""
        if len(means) < FEWEST:
            return None
        return cls(cut, high, Calibration.of(means, two_sided=False, follows=0.0), wave)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        wave = {} if self.wave is None else {"wave": self.wave}
        return {"cut": self.cut.as_dict(), "high": self.high, "means": self.means.as_dict(), **wave}

    @classmethod
    def from_dict(cls, value: object, name: str = "usual") -> Usual:
        """Read `as_dict`.

        Raises:
            ValueError: It is of another form.
        """
        body = an_object(value, name)
        means = Calibration.from_dict(body.get("means"), f"{name}.means")
        wave = a_number(body["wave"], f"{name}.wave") if "wave" in body else None
        return cls(
            Cut.from_dict(body.get("cut"), f"{name}.cut"), a_number(body.get("high"), f"{name}.high"), means, wave
        )


@dataclass(frozen=True)
class Tolerated:
    """What losses are held against.

    Attributes:
        means: The mean losses of the evaluation's blocks.
        cut: How losses since are cut.
        rise: By how much a block's mean loss may be above these.
        bound: The wealth that is an alarm.
        late: How long after the end of a span labels about it still come, seconds.
        wave: When the evaluation's newest wave was, epoch seconds; None where rows had other times than those of waves.
    """

    means: Calibration
    cut: Cut
    rise: float
    bound: float
    late: float
    wave: float | None = None

    @classmethod
    def of(cls, usual: Usual, *, share: float, false_alarms: float, late_days: float, every: float) -> Tolerated:
        """What is tolerated of a release.

        Args:
            usual: What was sealed.
            share: By which share of the evaluation's mean loss the loss may rise.
            false_alarms: How many are tolerated a year.
            late_days: How many days labels take. Where rows had no times, labels are judged as they come.
            every: Seconds a block at least, where rows had no times and so tell no span.
        """
        rise = max(share * usual.means.usual, _LEAST * usual.high)
        timed = usual.cut.span > 0
        cut = usual.cut if timed or usual.wave is not None else Cut(every, usual.cut.rows)
        bound, late = YEAR / (cut.span or DAY) / false_alarms, late_days * DAY if timed else 0.0
        return cls(usual.means, cut, rise, bound, late, usual.wave)


@dataclass
class Bets:
    """What the losses so far have shown.

    Attributes:
        settling: The losses that are not yet judged.
        blocks: How many blocks were judged.
        until: Of waves, the day up to which units were staked, since the epoch; None before the first block.
        learned: How many of them are in each cell, of those that later ones are ranked among.
        rung: Whether the evidence is, and has stayed, 1 or more.
        wealth: Of each bet of `SHIFTS`, with one more unit staked at each block.
        runs: Of each bet, its CUSUM.
        began: Of each bet, the earliest time in the block at which its CUSUM last began anew.
    """

    settling: Settling = field(default_factory=Settling)
    blocks: int = 0
    until: float | None = None
    learned: list[int] = field(default_factory=lambda: [0] * CELLS)
    rung: bool = False
    wealth: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))
    runs: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))
    began: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))

    def add(self, tolerated: Tolerated, losses: Iterable[Labelled]) -> None:
        """Count losses; nothing is judged yet."""
        for loss in losses:
            self.settling.add(loss, tolerated.cut, tolerated.late)

    def judge(self, tolerated: Tolerated) -> None:
        """Bet on the blocks that are full and whose labels have come."""
        for block in self.settling.settled(tolerated.cut, tolerated.late):
            self.bet(tolerated, block)

    def bet(self, tolerated: Tolerated, block: Block) -> None:
        """Bet on the mean loss of a block."""
        evaluated = tolerated.means.cells
        cell = tolerated.means.cell(block.mean - tolerated.rise, None)
        every = [before + since for before, since in zip(evaluated, self.learned, strict=True)]
        most = MOST * tolerated.bound
        both = zip(payments(every, cell, SHIFTS), payments(evaluated, cell, SHIFTS), strict=True)
        staked = self._staked(tolerated, block)
        for place, paid in enumerate(map(min, both)):
            self.wealth[place] = min((staked + self.wealth[place]) * paid, most)
            if self.runs[place] <= 1.0:
                self.runs[place], self.began[place] = 1.0, block.since
            self.runs[place] = min(self.runs[place] * paid, most)
        self.blocks += 1
        if not self.rung:
            self.learned[cell] += 1
        rings = self.evidence(tolerated) >= 1
        if rings != self.rung:
            self.rung, self.learned = rings, [0] * CELLS
            self.wealth = [most if rings else 0.0] * len(SHIFTS)

    def _staked(self, tolerated: Tolerated, block: Block) -> float:
        """How many units: one, or of waves one for each day since the block before, and of a year at most."""
        if tolerated.wave is None:
            return 1.0
        now = math.floor(block.until / DAY)
        before = math.floor(tolerated.wave / DAY) if self.until is None else self.until
        self.until = max(now, before)
        return min(self.until - before, YEAR / DAY)

    def evidence(self, tolerated: Tolerated) -> float:
        """That the loss has risen above the tolerated one: 1 and more is an alarm."""
        return fmean(self.wealth) / tolerated.bound

    @property
    def since(self) -> float | None:
        """When the change began, if there was one: epoch seconds; None when nothing speaks for one."""
        best = max(range(len(self.runs)), key=self.runs.__getitem__)
        return self.began[best] if self.runs[best] > 1.0 else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "settling": self.settling.as_dict(),
            "blocks": self.blocks,
            "until": self.until,
            "learned": sparse(self.learned),
            "rung": self.rung,
            **{"wealth": [*self.wealth], "runs": [*self.runs], "began": [*self.began]},
        }

    @classmethod
    def from_dict(cls, value: object, name: str = "concept") -> Bets:
        """Read `as_dict`.

        Raises:
            ValueError: It is of another form.
        """
        body = an_object(value, name)
        numbers = {
            key: [a_number(item, f"{name}.{key}") for item in a_list(body.get(key), f"{name}.{key}")]
            for key in ("wealth", "runs", "began")
        }
        if {len(item) for item in numbers.values()} != {len(SHIFTS)}:
            raise ValueError(f"{name}: expected {len(SHIFTS)} numbers of each kind, one a bet")
        return cls(
            Settling.from_dict(body.get("settling"), f"{name}.settling"),
            a_count(body.get("blocks"), f"{name}.blocks"),
            None if body.get("until") is None else a_number(body["until"], f"{name}.until"),
            dense(body.get("learned"), f"{name}.learned"),
            body.get("rung") is True,
            **numbers,
        )
