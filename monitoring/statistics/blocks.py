"""Cuts rows into blocks: one for each day of traffic, or one for every so many rows.

    cut = Cutter(profile, Cut(span=86_400, rows=700))
    cut.add(row, at)         # the Statistic of the block that this row ended, or None

Rows of one day share their weather and their hours; how much a day differs from another is what drift must be held
against. So blocks are whole spans of time, cut at the same clock time as training's, and a block with too few rows
goes on into the next span: with less traffic (a canary's share) blocks take longer, and are no noisier. With much more
traffic they have more rows, and are calmer than training's; then drift is found later, not falsely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from monitoring.statistics.profile import Profile, UnreadableProfile, a_count, a_number, an_object
from monitoring.statistics.statistic import Statistic

_LATE_S = 300.0  # how long a row may be under way


@dataclass(frozen=True)
class Cut:
    """Where a block ends.

    Attributes:
        span: Seconds; a block ends at a multiple of it since the epoch. 0: at any time.
        rows: And when it has this many rows, at least 1.
    """

    span: float
    rows: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"span": self.span, "rows": self.rows}

    @classmethod
    def from_dict(cls, value: object, name: str) -> Cut:
        """Read `as_dict`.

        Raises:
            UnreadableProfile: It is of another form.
        """
        body = an_object(value, name)
        span, rows = a_number(body.get("span"), f"{name}.span"), a_count(body.get("rows"), f"{name}.rows")
        if span < 0 or rows < 1:
            raise UnreadableProfile(f"{name}: got span {span} and rows {rows}, expected 0 or more and 1 or more")
        return cls(span, rows)


class Cutter:
    """The block that is being filled.

    Attributes:
        seen: What it holds so far.
    """

    def __init__(self, profile: Profile, cut: Cut) -> None:
        self._profile, self._cut = profile, cut
        self.seen = Statistic(profile)
        self._span: int | None = None
        self._told = False

    def add(self, row: object, at: float, *, told: bool = False) -> Statistic | None:
        """Count a row.

        Args:
            row: What was asked.
            at: When, epoch seconds. A row that comes late, of a span that has ended, counts in the open block; a time
                in the future would end it early, so the caller takes "now" for it.
            told: Whether the sender told the time. Then one before the span that preceded the open block's begins anew:
                a replay of the past that is begun again. No clock is that wrong by itself, so another row is late.

        Returns:
            The block that has ended: before this row when time ended it, with this row when their number did.
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
        """The open block, if its time is over by the clock and rows that take a while would have come by now.

        Of rows whose sender tells the time, another day has come only when one of its rows has.
        """
        if self._span is None or self._told or (self._span + 1) * self._cut.span > now - _LATE_S:
            return None
        return self._ended()

    def _ended(self) -> Statistic | None:
        if self.seen.rows < self._cut.rows:
            return None
        full, self.seen = self.seen, Statistic(self._profile)
        return full

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `since` is when the newest span of its rows began, epoch seconds."""
        since = None if self._span is None else self._span * self._cut.span
        return {"seen": self.seen.as_dict(), "since": since, "told": self._told}

    def read(self, value: object) -> None:
        """Take over `as_dict`, also of a cut with another span.

        Raises:
            ValueError: It is of another form, or of another profile.
        """
        body = an_object(value, "open block")
        self.seen = Statistic.from_dict(self._profile, body.get("seen"))
        since = None if body.get("since") is None else a_number(body["since"], "open block.since")
        self._span = None if since is None or not self._cut.span else math.floor(since / self._cut.span)
        self._told = body.get("told") is True
