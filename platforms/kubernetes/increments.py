"""Counter increments by window, from the samples of scrapes. Pure.

A counter is 0 before its first sample and after a restart. The increments between two scrapes belong to the window of
the later one: each request is in one window, at most one scrape late, and all counters of a process agree on which.
If a scrape is missing across the edge of a window, the windows of the gap are *hidden*: unknown, which is not 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

Points = Sequence[tuple[float, float]]  # epoch seconds and values, in order
Key = Hashable
_LATE = 1.5  # a gap of more than this many intervals has a missing scrape
_GONE = 3.0  # a target without a scrape for this many intervals is gone


@dataclass(frozen=True)
class ScrapeTarget:
    """A scraped process, or several that had an address one after the other.

    `beats` are the times of scrapes with the uptime in seconds, `failed` the times of failed ones.
    """

    beats: Points
    failed: Sequence[float] = ()
    series: Sequence[tuple[Key, Points]] = ()


@dataclass(frozen=True)
class Increment:
    """Increments of a target's counters between two times, epoch seconds: scrapes, or the start of the process."""

    begin: float
    end: float
    counts: dict[Key, float]


@dataclass(frozen=True)
class Attributed:
    """Increments by window; a window is identified by its number since 1970.

    Attributes:
        hidden: Windows with unknown counts.
        closed: Windows before this number do not change any more.
        newest: The newest scrape, epoch seconds; minus infinity without one.
        steps: Steps of each target, without those that belong to no window.
    """

    counts: Mapping[int, Mapping[Key, float]]
    hidden: frozenset[int]
    closed: int
    newest: float
    steps: Sequence[Sequence[Increment]] = field(default=())


def steps(target: ScrapeTarget) -> list[Increment]:
    """Increments of a target from scrape to scrape, and from its start to its first scrape."""
    found: list[tuple[Increment, bool]] = []
    before: tuple[float, float] | None = None
    for at, uptime in target.beats:
        restarted = before is None or uptime < before[1]
        begin = at - uptime if before is None else max(before[0], at - uptime) if restarted else before[0]
        found.append((Increment(begin, at, defaultdict(float)), restarted))
        before = (at, uptime)
    for key, points in target.series:
        place, value = 0, 0.0
        for step, restarted in found:
            last, value = value, 0.0  # a counter without a sample does not exist yet, or is gone
            while place < len(points) and points[place][0] <= step.end:
                value = points[place][1]
                place += 1
            step.counts[key] += value if restarted or value < last else value - last
    return [step for step, _ in found]


def attribute(targets: Iterable[ScrapeTarget], width: int, since: float, bridged: float = 0.0) -> Attributed:
    """Assign the increments to windows of `width` seconds, the first of which begins at `since`, epoch seconds.

    The increments of a gap of up to `bridged` seconds belong to the window at its end, for comparisons of counters at
    the same scrapes. The targets have to begin some time before the first window.
    """
    least = int(since // width)
    known = [target for target in targets if target.beats]
    gaps = [after - at for target in known for (at, _), (after, _) in pairwise(target.beats)]
    interval = median(gaps) if gaps else 0.0
    late = max(_LATE * interval, bridged)
    counts: dict[int, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
    hidden, kept = set[int](), list[list[Increment]]()
    for target in known:
        clear: list[Increment] = []
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
    return Attributed(counts, frozenset(hidden), closed, newest, kept)


def surplus(found: Sequence[Increment], whole: Key, part: Key) -> list[tuple[float, float]]:
    """By how much one counter of a process permanently exceeds another, and at which scrapes.

    A scrape may fall between the two increments of a request, so a difference counts once it stays.
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
