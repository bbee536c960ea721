"""How much did counters count in each window, when all that is known are the samples of their scrapes? Pure.

    found = attribute([Target(beats, failed, series)], width=10)
    found.counts[3][key], found.hidden, found.closed

A counter is 0 before its first sample, and after a restart of its process. What it counted between two scrapes belongs
to the window of the later one: each request is in one window, at most one scrape late, and all counters of a process
agree on which. Where two scrapes lie further apart than scrapes do, and an edge of a window lies between them, nobody
can say which window it was: these windows are *hidden*. They hold nothing, which is not 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

Points = Sequence[tuple[float, float]]
"""Epoch seconds and values, in order."""
Key = Hashable
"""What a counter counts."""
_LATE = 1.5
"""Scrapes that lie further apart than so many intervals had one between them that failed."""
_GONE = 3.0
"""A target without a scrape for so many intervals is gone."""


@dataclass(frozen=True)
class Target:
    """What is scraped: a process, which may be followed by another one at the same address.

    Attributes:
        beats: When it was scraped, and for how many seconds the process ran then.
        failed: When a scrape failed.
        series: Its counters: what each counts, and its samples. Several may count the same.
    """

    beats: Points
    failed: Sequence[float] = ()
    series: Sequence[tuple[Key, Points]] = ()


@dataclass(frozen=True)
class Step:
    """What the counters of a target counted after one time and until another one.

    Attributes:
        begin: Epoch seconds: the scrape before, or the start of the process.
        end: Epoch seconds: a scrape.
        counts: What was counted -> how often.
    """

    begin: float
    end: float
    counts: Mapping[Key, float]


@dataclass(frozen=True)
class Attributed:
    """What was counted, window by window; a window is named by its number since 1970.

    Attributes:
        counts: Number -> what was counted -> how often.
        hidden: Windows of which nobody can say what was counted in them.
        closed: Windows before this number do not change any more.
        newest: The newest scrape, epoch seconds; minus infinity without one.
        interval: How far scrapes lie apart, in seconds; 0 when that is not known.
        steps: What was counted, target by target, without what belongs to no window.
    """

    counts: Mapping[int, Mapping[Key, float]]
    hidden: frozenset[int]
    closed: int
    newest: float
    interval: float
    steps: Sequence[Sequence[Step]] = field(default=())


def steps(target: Target) -> list[Step]:
    """What a target counted from scrape to scrape, and from its start to its first scrape."""
    readers = [(key, _Reader(points)) for key, points in target.series]
    found: list[Step] = []
    before: tuple[float, float] | None = None
    for at, uptime in target.beats:
        restarted = before is None or uptime < before[1]
        counts: dict[Key, float] = defaultdict(float)
        for key, reader in readers:
            counts[key] += reader.counted(at, restarted=restarted)
        begin = at - uptime if before is None else max(before[0], at - uptime) if restarted else before[0]
        found.append(Step(begin, at, counts))
        before = (at, uptime)
    return found


class _Reader:
    """Reads a counter scrape by scrape."""

    def __init__(self, points: Points) -> None:
        self._points, self._next, self._value = points, 0, 0.0

    def counted(self, at: float, *, restarted: bool) -> float:
        """How much it counted since the scrape before; a counter without a sample is not born, or gone."""
        value = 0.0
        while self._next < len(self._points) and self._points[self._next][0] <= at:
            value = self._points[self._next][1]
            self._next += 1
        before, self._value = self._value, value
        return value if restarted or value < before else value - before


def attribute(targets: Iterable[Target], width: int, since: float, bridged: float = 0.0) -> Attributed:
    """What was counted in each window.

    Args:
        targets: What was scraped, from some time before the first window.
        width: Of a window, in seconds.
        since: Epoch seconds; nobody asks for windows before.
        bridged: Seconds. What was counted in a gap of up to so many belongs to the window at its end: of use to who
            compares what one process counted at the same times, and need not know when exactly that was.
    """
    least = int(since // width)
    known = [target for target in targets if target.beats]
    gaps = [after - at for target in known for (at, _), (after, _) in pairwise(target.beats)]
    interval = median(gaps) if gaps else 0.0
    late = max(_LATE * interval, bridged)
    counts: dict[int, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
    hidden, kept = set[int](), list[list[Step]]()
    for target in known:
        clear: list[Step] = []
        for step in steps(target):
            first, last = int(step.begin // width), int(step.end // width)
            if first < last and step.end - step.begin > late:
                hidden.update(range(max(first, least), last + 1))
                continue
            clear.append(step)
            for key, count in step.counts.items():
                counts[last][key] += count
        kept.append(clear)
        end = target.beats[-1][0]
        unseen = max((at for at in target.failed if at > end), default=None)
        if unseen is not None and unseen - end > bridged:
            hidden.update(range(int(end // width), int(unseen // width) + 1))
    ends = [target.beats[-1][0] for target in known]
    newest = max(ends, default=-math.inf)
    live = [end for end in ends if end >= newest - _GONE * interval]
    closed = int(min(live) // width) if live else 0
    return Attributed(counts, frozenset(hidden), closed, newest, interval, kept)


def surplus(found: Sequence[Step], whole: Key, part: Key) -> list[tuple[float, float]]:
    """By how much one counter of a process counted more than another, for good, and at which scrapes.

    A scrape may catch a request between the two counters. So a difference counts only from when it stays.

    Args:
        found: What the process counted.
        whole: What counts all.
        part: What counts a part of it.
    """
    total, sums = 0.0, list[float]()
    for step in found:
        total += step.counts.get(whole, 0.0) - step.counts.get(part, 0.0)
        sums.append(total)
    for place in range(len(sums) - 2, -1, -1):
        sums[place] = min(sums[place], sums[place + 1])
    level, risen = 0.0, list[tuple[float, float]]()
    for step, stays in zip(found, sums, strict=True):
        if stays > level:
            risen.append((step.end, stays - level))
            level = stays
    return risen
