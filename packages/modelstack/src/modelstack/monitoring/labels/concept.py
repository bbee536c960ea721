"""The concept alarm: a sequential test of daily mean losses with a bounded rate of false alarms.

    seen = Bets()
    seen.add(tolerated, [Labelled(0.31, about, at), ...])
    seen.judge(tolerated)                       # the days whose labels have come
    seen.evidence(tolerated), seen.since        # 1.0 is an alarm; the estimated start of the change

Losses of one day are dependent, so the test is on mean losses of blocks: days where the evaluation's rows had times
(`modelstack.monitoring.labels.settling`). The package seals the mean losses of the evaluation's blocks (`Usual`).

**Null hypothesis**: the later block means, less one rise for all between 0 and the tolerated one, are exchangeable with
those of the evaluation. No distribution is assumed. A release that does better makes evidence smaller.

**Payment** for a block: the lesser of two conformal bets on its rank (`conformal.payments`, of expectation 1), among
all blocks and among the evaluation's alone. The second makes a loss high only compared with the evaluation. The
tolerated rise is subtracted from later blocks. If the true rise is smaller, they rank lower, and the bets, which are on
high ranks, pay less. So a block's payment never exceeds that of a fair game.

**Change at an unknown time**: each block stakes one more unit, W_n = (1 + W_{n-1}) e_n, the Shiryaev-Roberts
e-detector. With h blocks a year and `false_alarms` = a, the alarm is at a mean wealth of h / a. Then

    P(a false alarm within n blocks) <= a n / h, and false alarms are at least 1 / a years apart on average.

**Waves**: where rows have only the times of waves, such as one date a year, blocks are cut by rows. A block stakes one
unit for each day since the one before, since a change can only come with a wave. W_n less the units staked is still a
martingale, so with h = 365.25 the same bounds hold. Rows are then assumed exchangeable. An evaluation on one wave can't
know how much waves differ; `bench/survey.py` measures the effect.

**Start of the change**: the last restart of the largest CUSUM, C_n = max(1, C_{n-1}) e_n.

**Limits**: consecutive days are correlated and therefore not exchangeable. Unlike drift, this test does not subtract a
dependence on the day before, which a month of days estimates too badly. `max_loss_rise` compensates for it, as
`bench/concept.py` measures.

An alarm sets the evidence to its maximum, four, and further blocks are ranked among the evaluation's only. Days like
the evaluation's bring it below 1; then everything restarts.

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

from modelstack.monitoring.labels.settling import Block, Labelled, Settling
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.conformal import CELLS, FEWEST, Calibration, dense, payments, sparse
from modelstack.monitoring.statistics.profile import a_count, a_list, a_number, an_object

SHIFTS = (0.5, 1.5)
"""Alternatives that the bets are on: rises in deviations of the evaluation's blocks."""
MOST = 4.0  # times the alarm: so that one good day of a bad month does not end it
DAY, YEAR = 86_400.0, 365.25 * 86_400
LOSS_RISE, FALSE_ALARMS = 0.05, 0.1
"""Defaults: tolerated rise as a share of the evaluation's mean loss, and false alarms a year."""
_LEAST = 1e-3  # of the greatest loss: a model without errors in its evaluation may make some


@dataclass(frozen=True)
class Usual:
    """The block losses of the evaluation, sealed in the package; `high` is the largest possible loss.

    Attributes:
        cut: How blocks were cut, also for later labels. A span of 0: rows had no times, or those of waves.
        wave: Epoch seconds of the newest wave, if rows had times of waves: see `bulk.are_waves`.
    """

    cut: Cut
    high: float
    means: Calibration
    wave: float | None = None

    @classmethod
    def of(cls, means: list[float], cut: Cut, high: float, wave: float | None = None) -> Usual | None:
        """Calibrate on the mean losses of blocks; None for too few blocks."""
        if len(means) < FEWEST:
            return None
        return cls(cut, high, Calibration.of(means, two_sided=False, follows=0.0), wave)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        wave = {} if self.wave is None else {"wave": self.wave}
        return {"cut": self.cut.as_dict(), "high": self.high, "means": self.means.as_dict(), **wave}

    @classmethod
    def from_dict(cls, value: object, name: str = "usual") -> Usual:
        """Read `as_dict`; ValueError for another format."""
        body = an_object(value, name)
        means = Calibration.from_dict(body.get("means"), f"{name}.means")
        wave = a_number(body["wave"], f"{name}.wave") if "wave" in body else None
        return cls(
            Cut.from_dict(body.get("cut"), f"{name}.cut"), a_number(body.get("high"), f"{name}.high"), means, wave
        )


@dataclass(frozen=True)
class Tolerated:
    """The null hypothesis that losses are tested against: `rise` is tolerated, a wealth of `bound` is an alarm.

    Attributes:
        late: Seconds after the end of a span in which its labels still come.
        wave: Epoch seconds of the evaluation's newest wave; None without waves.
    """

    means: Calibration
    cut: Cut
    rise: float
    bound: float
    late: float
    wave: float | None = None

    @classmethod
    def of(cls, usual: Usual, *, share: float, false_alarms: float, late_days: float, every: float) -> Tolerated:
        """The tolerated losses of a release.

        `share` is the tolerated rise relative to the evaluation's mean loss, `false_alarms` a number per year,
        `late_days` the delay of labels. Rows without times are judged as they come, in blocks of `every` seconds or
        more.
        """
        rise = max(share * usual.means.usual, _LEAST * usual.high)
        timed = usual.cut.span > 0
        cut = usual.cut if timed or usual.wave is not None else Cut(every, usual.cut.rows)
        bound, late = YEAR / (cut.span or DAY) / false_alarms, late_days * DAY if timed else 0.0
        return cls(usual.means, cut, rise, bound, late, usual.wave)


@dataclass
class Bets:
    """The state of the bets.

    Attributes:
        blocks: Number of judged blocks.
        until: With waves, the day since the epoch up to which units were staked; None before the first block.
        learned: Later blocks by cell, which further ones are ranked among.
        fired: Whether the alarm is firing.
        wealth: Of each bet of `SHIFTS`, with one more unit staked at each block.
        runs: CUSUM of each bet.
        began: Of each bet, the start of the block at which its CUSUM last restarted, epoch seconds.
    """

    settling: Settling = field(default_factory=Settling)
    blocks: int = 0
    until: float | None = None
    learned: list[int] = field(default_factory=lambda: [0] * CELLS)
    fired: bool = False
    wealth: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))
    runs: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))
    began: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))

    def add(self, tolerated: Tolerated, losses: Iterable[Labelled]) -> None:
        """Collect losses for later blocks."""
        for loss in losses:
            self.settling.add(loss, tolerated.cut, tolerated.late)

    def judge(self, tolerated: Tolerated) -> None:
        """Bet on the full blocks whose labels have come."""
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
        if not self.fired:
            self.learned[cell] += 1
        fires = self.evidence(tolerated) >= 1
        if fires != self.fired:
            self.fired, self.learned = fires, [0] * CELLS
            self.wealth = [most if fires else 0.0] * len(SHIFTS)

    def _staked(self, tolerated: Tolerated, block: Block) -> float:
        if tolerated.wave is None:
            return 1.0
        now = math.floor(block.until / DAY)
        before = math.floor(tolerated.wave / DAY) if self.until is None else self.until
        self.until = max(now, before)
        return min(self.until - before, YEAR / DAY)

    def evidence(self, tolerated: Tolerated) -> float:
        """Evidence that the loss has risen above the tolerated one; an alarm from 1."""
        return fmean(self.wealth) / tolerated.bound

    @property
    def since(self) -> float | None:
        """Estimated start of the change, epoch seconds; None without evidence for one."""
        best = max(range(len(self.runs)), key=self.runs.__getitem__)
        return self.began[best] if self.runs[best] > 1.0 else None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "settling": self.settling.as_dict(),
            "blocks": self.blocks,
            "until": self.until,
            "learned": sparse(self.learned),
            "rung": self.fired,
            **{"wealth": [*self.wealth], "runs": [*self.runs], "began": [*self.began]},
        }

    @classmethod
    def from_dict(cls, value: object, name: str = "concept") -> Bets:
        """Read `as_dict`; ValueError for another format."""
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
