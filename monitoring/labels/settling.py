"""Cuts the losses of labelled answers into blocks once their labels have come: late, in any order, each counted once.

    settling = Settling()
    settling.add(Labelled(0.31, about, at), cut, late)
    for block in settling.settled(cut, late):     # Block(rows=952, ...), that of a day
        block.mean

A span of time (a day) is settled when a label has come about a request that was asked `late` seconds or more after its
end. A label that comes later still counts in the next block, so none is left out. A settled span with too few labels
goes on into the next one. So what is kept grows with how late labels are, and not with how many there are.

Time is that which requests are about, see `monitoring.captured.when`; it is as late as that of the newest answer whose
label came. When it goes back by more than late labels explain, a replay of the past was begun again.

Sums are of whole units: between two calls of `settled` the order makes no difference, to the last bit. (Where spans are
0, blocks are cut by rows as labels come, within a time too: which label is in which block depends on their order.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitoring.labels.scores import UNIT, units
from monitoring.statistics.blocks import Cut
from monitoring.statistics.profile import a_count, a_list, a_number, an_object

MOST_OPEN = 400  # spans; of more the oldest are taken for settled


@dataclass(frozen=True)
class Labelled:
    """The loss of an answer whose label is known.

    Attributes:
        loss: The loss.
        about: The time that the request was about, epoch seconds.
        at: When it was answered, epoch seconds.
    """

    loss: float
    about: float
    at: float


@dataclass
class Block:
    """Losses, summed up.

    Attributes:
        rows: How many.
        total: Their sum, in units.
        since: The earliest time that one of them is about; inf without any.
        until: The latest; -inf without any.
    """

    rows: int = 0
    total: int = 0
    since: float = math.inf
    until: float = -math.inf

    def add(self, loss: float, about: float) -> None:
        """Count one."""
        self.merge(Block(1, units(loss), about, about))

    def merge(self, other: Block) -> None:
        """Count another's too."""
        self.rows, self.total = self.rows + other.rows, self.total + other.total
        self.since, self.until = min(self.since, other.since), max(self.until, other.until)

    @property
    def mean(self) -> float:
        """The mean loss of at least one."""
        return self.total / UNIT / self.rows

    def as_list(self) -> list[Any]:
        """As JSON values."""
        return [self.rows, self.total, *((self.since, self.until) if self.rows else ())]

    @classmethod
    def from_list(cls, value: object, name: str) -> Block:
        """Read `as_list`.

        Raises:
            ValueError: It is of another form.
        """
        rows, total, *times = (*a_list(value, name), None, None)
        found = cls(a_count(rows, name), a_count(total, name))
        if found.rows:
            found.since, found.until = (a_number(at, name) for at in times[:2])
        return found


@dataclass
class Settling:
    """The spans whose labels still come.

    Attributes:
        opened: The start of each, epoch seconds -> its losses.
        filling: The block that settled spans, and labels that came too late, are put into.
        clock: The time that the newest answer was about, epoch seconds; None before the first.
        newest: When that was answered.
        ended: Blocks that are full and settled, oldest first.
    """

    opened: dict[int, Block] = field(default_factory=dict[int, Block])
    filling: Block = field(default_factory=Block)
    clock: float | None = None
    newest: float = 0.0
    ended: list[Block] = field(default_factory=list[Block])

    def add(self, item: Labelled, cut: Cut, late: float) -> None:
        """Count a loss.

        Args:
            item: The loss.
            cut: Where blocks end; with a span of 0 as soon as there are enough rows.
            late: How long after the end of a span labels about it still come, seconds.
        """
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
        """Take out the blocks that are full and settled, oldest first; `cut` and `late` as for `add`."""
        if self.clock is not None:
            self._close(sum(start + cut.span + late <= self.clock for start in self.opened), cut)
        ended, self.ended = self.ended, []
        return ended

    def _close(self, spans: int, cut: Cut) -> None:
        """Settle the oldest spans."""
        for start in sorted(self.opened)[: max(spans, 0)]:
            self._fill(self.opened.pop(start), cut)

    def _fill(self, block: Block, cut: Cut) -> None:
        self.filling.merge(block)
        if self.filling.rows >= cut.rows:
            self.ended.append(self.filling)
            self.filling = Block()

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "opened": {str(start): block.as_list() for start, block in sorted(self.opened.items())},
            "filling": self.filling.as_list(),
            "clock": self.clock,
            "newest": self.newest,
            "ended": [block.as_list() for block in self.ended],
        }

    @classmethod
    def from_dict(cls, value: object, name: str) -> Settling:
        """Read `as_dict`.

        Raises:
            ValueError: It is of another form.
        """
        body = an_object(value, name)
        spans: Mapping[str, Any] = an_object(body.get("opened"), f"{name}.opened")
        return cls(
            {int(start): Block.from_list(each, f"{name}.opened.{start}") for start, each in spans.items()},
            Block.from_list(body.get("filling"), f"{name}.filling"),
            None if body.get("clock") is None else a_number(body["clock"], f"{name}.clock"),
            a_number(body.get("newest"), f"{name}.newest"),
            [Block.from_list(each, f"{name}.ended") for each in a_list(body.get("ended"), f"{name}.ended")],
        )
