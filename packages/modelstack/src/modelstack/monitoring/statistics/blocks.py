"""Cuts rows into blocks: one per day of traffic, or one per fixed number of rows.

Rows of one day share their weather and their hours, so drift must be compared with how much days differ. Blocks are
whole time spans, cut at the same clock time as training's. A block with too few rows continues into the next span:
with less traffic (a canary's share) blocks take longer but are no noisier. With much more traffic they are calmer than
training's, so drift is found later, not falsely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.statistics.profile import Profile, UnreadableProfile, a_count, a_number, an_object
from modelstack.monitoring.statistics.statistic import Statistic

_LATE_S = 300.0  # how late a row may arrive


@dataclass(frozen=True)
class Cut:
    """A block ends at a multiple of `span` seconds since the epoch (0: any time), and with at least `rows` rows."""

    span: float
    rows: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"span": self.span, "rows": self.rows}

    @classmethod
    def from_dict(cls, value: object, name: str) -> Cut:
        """Read `as_dict`; raises UnreadableProfile if it has another form."""
        body = an_object(value, name)
        span, rows = a_number(body.get("span"), f"{name}.span"), a_count(body.get("rows"), f"{name}.rows")
        if span < 0 or rows < 1:
            raise UnreadableProfile(f"{name}: got span {span} and rows {rows}, expected 0 or more and 1 or more")
        return cls(span, rows)


class Cutter:
    """Fills the open block, `seen`."""

    def __init__(self, profile: Profile, cut: Cut) -> None:
        self._profile, self._cut = profile, cut
        self.seen = Statistic(profile)
        self._span: int | None = None
        self._told = False

    def add(self, row: object, at: float, *, told: bool = False) -> Statistic | None:
        """Count a row; returns the completed block, which contains this row only if the number of rows ended it.

        Args:
            row: The requested instance.
            at: Epoch seconds, at most now: a future time would end the block early. Late rows count in the open block.
            told: Whether the sender set the time. One before the preceding span then means that a replay starts over.
                Without it the row is only late, since no clock is that wrong.
        """
        full = None
        if self._cut.span:
            span = math.floor(at / self._cut.span)
            if self._span is None:
                self._span = span
            elif span > self._span or (told and span < self._span - 1):
                self._span = span
                full = self._ended()
            self._told = told
            self.seen.add(row)
            return full
        self.seen.add(row)
        return self._ended()

    def due(self, now: float) -> Statistic | None:
        """The open block, if its time is over and late rows have arrived; never while senders set the time."""
        if self._span is None or self._told or (self._span + 1) * self._cut.span > now - _LATE_S:
            return None
        return self._ended()

    def _ended(self) -> Statistic | None:
        if self.seen.rows < self._cut.rows:
            return None
        full, self.seen = self.seen, Statistic(self._profile)
        return full

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `since` is the start of the newest span, epoch seconds."""
        since = None if self._span is None else self._span * self._cut.span
        return {"seen": self.seen.as_dict(), "since": since, "told": self._told}

    def read(self, value: object) -> None:
        """Restore `as_dict`, also of a cut with another span; raises ValueError for another form or profile."""
        body = an_object(value, "open block")
        self.seen = Statistic.from_dict(self._profile, body.get("seen"))
        since = None if body.get("since") is None else a_number(body["since"], "open block.since")
        self._span = None if since is None or not self._cut.span else math.floor(since / self._cut.span)
        self._told = body.get("told") is True
