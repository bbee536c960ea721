"""The detection power of the concept alarm: after how many labels or days it reports a rise of the loss.

It is simulated: `COURSES` courses of bets on blocks drawn from the evaluation's, with higher losses from the first
block on. Each course also draws an error of the evaluation's mean. The answer is the time in which `OF_THESE` of them
fire; chance has a fixed seed. Later blocks are assumed independent, as large as the evaluation's, and waves a year
apart. `python -m bench concept` compares it with measured times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any

from modelstack.monitoring.labels.concept import DAY, YEAR, Bets, Tolerated
from modelstack.monitoring.labels.scores import UNIT
from modelstack.monitoring.labels.settling import Block
from modelstack.monitoring.statistics.conformal import BOUNDS, Calibration
from modelstack.monitoring.statistics.profile import a_count, an_object

RISES = (0.1, 0.15, 0.25, 0.5, 1.0)
MOST = 400  # blocks; a rise that takes longer counts as not detected
COURSES, OF_THESE = 20, 18


@dataclass(frozen=True)
class Reach:
    """Rises as shares of the evaluation's loss -> time to detection, None beyond `most`.

    `unit` is `days`; with waves `labels`; for rows without times `blocks`.
    """

    unit: str
    most: int
    after: Mapping[float, int | None]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"unit": self.unit, "most": self.most, "after": {str(share): few for share, few in self.after.items()}}

    @classmethod
    def from_dict(cls, value: object) -> Reach:
        """Read `as_dict`; ValueError for another format."""
        body = an_object(value, "reach")
        after = {
            float(share): None if few is None else a_count(few, f"reach.after.{share}")
            for share, few in an_object(body.get("after"), "reach.after").items()
        }
        return cls(str(body.get("unit")), a_count(body.get("most"), "reach.most"), after)


@lru_cache(maxsize=8)
def reach(tolerated: Tolerated) -> Reach:
    """The detection power against rises of several sizes."""
    cut = tolerated.cut
    unit, size = ("days", round(cut.span / DAY)) if cut.span >= DAY else ("blocks", 1)
    if tolerated.wave is not None:
        unit, size = "labels", cut.rows
    found = {share: told(tolerated, share * tolerated.means.usual) for share in RISES}
    return Reach(
        unit,
        MOST * size,
        {share: None if blocks is None else blocks * size for share, blocks in found.items()},
    )


def in_words(seen: Reach) -> str:
    """The same as a sentence, with numbers of two digits."""
    soon = [f"by {share:.0%} after about {_short(few)}" for share, few in seen.after.items() if few is not None]
    never = " or ".join(f"{share:.0%}" for share, few in seen.after.items() if few is None)
    silent = f"may not see a rise of the loss by {never} within {_short(seen.most)} {seen.unit}"
    if not soon:
        return f"the concept alarm {silent}"
    sees = f"the concept alarm sees a rise of the loss {', '.join(soon)} {seen.unit}"
    return f"{sees}; it {silent}" if never else sees


def _short(number: int) -> str:
    return f"{float(f'{number:.2g}'):,.0f}"


def told(tolerated: Tolerated, rise: float) -> int | None:
    """Number of blocks in which most courses detect a rise; None if not detected."""
    sources = map(Random, range(COURSES))  # chance with a fixed seed
    taken = sorted(_course(tolerated, rise, source) for source in sources)[OF_THESE - 1]
    return taken if taken < MOST else None


def _course(tolerated: Tolerated, rise: float, source: Random) -> int:
    bets, means = Bets(), tolerated.means
    rise += source.gauss(0.0, means.scale / math.sqrt(means.blocks))
    for place in range(MOST):
        at = place * tolerated.cut.span
        if tolerated.wave is not None:
            at = tolerated.wave + YEAR * (1 + place // means.blocks)
        loss = _drawn(means, source.random()) + rise
        bets.bet(tolerated, Block(1, round(loss * UNIT), at, at))
        if bets.evidence(tolerated) >= 1:
            return place + 1
    return MOST


def _drawn(means: Calibration, share: float) -> float:
    """The quantile of the evaluation's blocks, uniform within a cell."""
    rank = share * means.blocks
    place = next(cell for cell, below in enumerate(accumulate(means.cells)) if below > rank)
    low, high = BOUNDS[max(place - 1, 0)], BOUNDS[min(place, len(BOUNDS) - 1)]
    within = (rank - sum(means.cells[:place])) / means.cells[place]
    return means.centre + means.scale * (low + within * (high - low))
