"""Cuts losses of labelled answers into blocks once their labels have come, in any order, each counted once.

A span of time (a day) is settled when a label has come for a request about a time `late` seconds or more after its
end. Later labels count in the next block, and a span with too few labels is merged into the next. Time is that
which requests are about (`modelstack.monitoring.captured.when`), up to the newest labelled answer. A larger step back
than late labels explain means that a replay of the past restarted.

Sums are integers, so between two calls of `settled` the order does not matter. With spans of 0 blocks are cut by rows
as labels come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstack.monitoring.labels.scores import UNIT, units
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.profile import a_count, a_list, a_number, an_object

MOST_OPEN = 400  # spans; beyond that the oldest count as settled


@dataclass(frozen=True)
class Labelled:
    """The loss of a labelled answer, the time that its request is about, and that of the answer (epoch seconds)."""

    loss: float
    about: float
    at: float


@dataclass
class Block:
    """Summed losses, and the range of the times they are about; `total` is in units."""

    rows: int = 0
    total: int = 0
    since: float = math.inf
    until: float = -math.inf

    def add(self, loss: float, about: float) -> None:
        """Add a loss."""
        self.merge(Block(1, units(loss), about, about))

    def merge(self, other: Block) -> None:
        """Add another's losses."""
        self.rows, self.total = self.rows + other.rows, self.total + other.total
        self.since, self.until = min(self.since, other.since), max(self.until, other.until)

    @property
    def mean(self) -> float:
        """The mean loss, of at least one."""
        return self.total / UNIT / self.rows

    def as_list(self) -> list[Any]:
        """JSON values."""
        return [self.rows, self.total, *((self.since, self.until) if self.rows else ())]

    @classmethod
    def from_list(cls, value: object, name: str) -> Block:
        """Read `as_list`; ValueError for another format."""
        rows, total, *times = (*a_list(value, name), None, None)
        found = cls(a_count(rows, name), a_count(total, name))
        if found.rows:
            found.since, found.until = (a_number(at, name) for at in times[:2])
        return found


@dataclass
class Settling:
    """The spans whose labels still come.

    Attributes:
        opened: Start of each span, epoch seconds -> its losses.
        filling: The block for settled spans and late labels.
        clock: The time that the newest answer is about, epoch seconds; None before the first.
        newest: When that was answered.
        ended: Full and settled blocks, oldest first.
    """

    opened: dict[int, Block] = field(default_factory=dict[int, Block])
    filling: Block = field(default_factory=Block)
    clock: float | None = None
    newest: float = 0.0
    ended: list[Block] = field(default_factory=list[Block])

    def add(self, item: Labelled, cut: Cut, late: float) -> None:
        """Add a loss. `late` is how many seconds after the end of a span its labels still come."""
        if not cut.span:
            self._fill(Block(1, units(item.loss), item.about, item.about), cut)
            return
        start = math.floor(item.about / cut.span) * cut.span
        if self.clock is None:
            self.clock, self.newest = item.about, item.at
        elif item.at >= self.newest:
            if item.at > self.newest and start + 2 * cut.span + late <= self.clock:
                self._close(len(self.opened), cut)
                self.clock = item.about
            self.clock, self.newest = max(self.clock, item.about), item.at
        key = int(start)
        if key in self.opened or start + cut.span + late > self.clock:
            self.opened.setdefault(key, Block()).add(item.loss, item.about)
        else:
            self.filling.add(item.loss, item.about)
        self._close(len(self.opened) - MOST_OPEN, cut)

    def settled(self, cut: Cut, late: float) -> list[Block]:
        """Remove and return the full and settled blocks, oldest first."""
        if self.clock is not None:
            self._close(sum(start + cut.span + late <= self.clock for start in self.opened), cut)
        ended, self.ended = self.ended, []
        return ended

    def _close(self, spans: int, cut: Cut) -> None:
        for start in sorted(self.opened)[: max(spans, 0)]:
            self._fill(self.opened.pop(start), cut)

    def _fill(self, block: Block, cut: Cut) -> None:
        self.filling.merge(block)
        if self.filling.rows >= cut.rows:
            self.ended.append(self.filling)
            self.filling = Block()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "opened": {str(start): block.as_list() for start, block in sorted(self.opened.items())},
            "filling": self.filling.as_list(),
            "clock": self.clock,
            "newest": self.newest,
            "ended": [block.as_list() for block in self.ended],
        }

    @classmethod
    def from_dict(cls, value: object, name: str) -> Settling:
        """Read `as_dict`; ValueError for another format."""
        body = an_object(value, name)
        spans: Mapping[str, Any] = an_object(body.get("opened"), f"{name}.opened")
        return cls(
            {int(start): Block.from_list(each, f"{name}.opened.{start}") for start, each in spans.items()},
            Block.from_list(body.get("filling"), f"{name}.filling"),
            None if body.get("clock") is None else a_number(body["clock"], f"{name}.clock"),
            a_number(body.get("newest"), f"{name}.newest"),
            [Block.from_list(each, f"{name}.ended") for each in a_list(body.get("ended"), f"{name}.ended")],
        )
