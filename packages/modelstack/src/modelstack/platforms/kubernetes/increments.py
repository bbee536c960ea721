"""Counter increments by window, from the samples of scrapes. Pure.

A counter is 0 before its first sample and after a restart: of its process by the uptime, or of itself by a lower value.
The increments between two scrapes belong to the window of the later one: each request is in one window, at most one
scrape late, and all counters of a process agree on which. A scrape without a sample of a counter that continues counts
as missing. If one is missing across the edge of a window, the windows of the gap are *hidden*: unknown, which is not 0.
A counter that stays away for longer than scrapes are late was removed: Envoy forgets a cluster that no route has.
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
_OLD = 5.0  # seconds that an uptime may be too old
_GONE = 3  # a target without a scrape, or a counter without a sample, for this many intervals is gone


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
    for at, uptime in _whole(target):
        restarted = before is None or _restarted(before, (at, uptime))
        begin = at - uptime if before is None else max(before[0], at - uptime) if restarted else before[0]
        found.append((Increment(begin, at, defaultdict(float)), restarted))
        before = (at, uptime)
    for key, points in target.series:
        place, value = 0, 0.0
        for step, restarted in found:
            last = value = 0.0 if restarted else value
            while place < len(points) and points[place][0] <= step.end:
                value = points[place][1]
                place += 1
            step.counts[key] += value if value < last else value - last
    return [step for step, _ in found]


def _restarted(before: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether a process is another one than at the scrape before, by its uptime."""
    return after[1] < before[1] or after[0] - after[1] > before[0] + _OLD


def _whole(target: ScrapeTarget) -> list[tuple[float, float]]:
    """The scrapes, without those that lack a sample of a counter that the same process had before.

    A counter that is back with a lower value began again, so it did not exist meanwhile.
    """
    lacking = set[int]()
    for _, points in target.series:
        place, known = 0, -1  # the last scrape with a sample, by this process
        for number, beat in enumerate(target.beats):
            if known >= 0 and _restarted(target.beats[number - 1], beat):
                lacking.update(range(known + 1, number))
                known = -1
            first = place
            while place < len(points) and points[place][0] <= beat[0]:
                place += 1
            if place > first:
                if known >= 0 and points[place - 1][1] >= points[first - 1][1]:
                    lacking.update(range(known + 1, number))
                known = number
        if known >= 0 and len(target.beats) - 1 - known <= _GONE:
            lacking.update(range(known + 1, len(target.beats)))
    return [beat for number, beat in enumerate(target.beats) if number not in lacking]


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
    hidden, kept, ends = set[int](), list[list[Increment]](), list[float]()
    for target in known:
        clear, found = list[Increment](), steps(target)
        for step in found:
            first, last = int(step.begin // width), int(step.end // width)
            if first < last and step.end - step.begin > late:
                hidden.update(range(max(first, least), last + 1))
                continue
            clear.append(step)
            for key, count in step.counts.items():
                counts[last][key] += count
        kept.append(clear)
        end = found[-1].end
        ends.append(end)
        unseen = max([target.beats[-1][0], *target.failed])
        if unseen > end + bridged:
            hidden.update(range(int(end // width), int(unseen // width) + 1))
    newest = max((target.beats[-1][0] for target in known), default=-math.inf)
    live = [end for end in ends if end >= newest - _GONE * interval]
    closed = int(min(live, default=newest) // width) if ends else 0
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
