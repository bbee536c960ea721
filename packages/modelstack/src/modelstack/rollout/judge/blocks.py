"""Gathers windows into blocks, whose length is chosen by the counts of earlier windows, never by their own outcome."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress

from modelstack.rollout.judge.dependence import Block
from modelstack.rollout.judge.metrics import Tally

_BLOCK = 5  # the expected observations of each version in a block
_GROWTH = 0.04  # and this share of the segment's so far: a long trial is judged in a few hundred blocks


@dataclass(frozen=True)
class Column:
    """Counts, sums and sums of squares of one version in consecutive windows."""

    counts: Sequence[int]
    totals: Sequence[float]
    squares: Sequence[float]

    @classmethod
    def of(cls, tallies: Sequence[Tally]) -> Column:
        """The column of some tallies."""
        return cls(
            [tally.count for tally in tallies], [tally.total for tally in tallies], [tally.squares for tally in tallies]
        )

    def tallies(self) -> Iterator[Tally]:
        """The tallies of the column."""
        return map(Tally, self.counts, self.totals, self.squares)

    def only(self, chosen: Sequence[bool]) -> Column:
        """The chosen windows."""
        kept = list(compress(self.totals, chosen)), list(compress(self.squares, chosen))
        return Column(list(compress(self.counts, chosen)), *kept)

    def sum(self, begin: int = 0, end: int | None = None) -> Tally:
        """The tally of the windows from `begin` to before `end`."""
        return Tally(sum(self.counts[begin:end]), sum(self.totals[begin:end]), sum(self.squares[begin:end]))


def blocks(champion: Column, challenger: Column, *, ended: bool) -> Iterator[Block]:
    """The blocks of one segment, in which each version keeps its share of traffic.

    Every window is in a block, and its own counts close no block but the first: where clients repeat failed requests,
    the counts depend on the failures. A block without an observation of both versions is extended. If the segment has
    `ended`, the remainder is a block too, if it has observations of both versions.
    """
    old, new = [0, *accumulate(champion.counts)], [0, *accumulate(challenger.counts)]
    begin, last = 0, len(old) - 1
    while begin < last:
        least = max(_BLOCK, math.ceil(_GROWTH * new[begin]))
        if begin:
            end = begin + math.ceil(begin * max(_BLOCK / old[begin], least / new[begin]))
            end = max(end, bisect_left(old, old[begin] + 1), bisect_left(new, new[begin] + 1))
        else:
            end = max(bisect_left(old, _BLOCK), bisect_left(new, _BLOCK))
        if end > last and not (ended and old[last] > old[begin] and new[last] > new[begin]):
            return
        yield Block(champion.sum(begin, end), challenger.sum(begin, end), min(end, last) - begin)
        begin = end
