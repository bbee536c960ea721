"""What variants answered in a simulated world, per second, and the labels of it.

Answers are counts, because a simulated day has millions; latencies are drawn when they are read.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from modelstack.rollout.judge.metrics import Metric, Tally

_SPREAD = 0.3  # of the logarithms of latencies


@dataclass(frozen=True)
class Batch:
    """Answers of one variant within a second; latencies are log-normal around `median`, in ms."""

    count: int
    failed: int
    median: float
    seed: int

    @cached_property
    def milliseconds(self) -> list[float]:
        source = random.Random(self.seed)
        return [self.median * source.lognormvariate(0.0, _SPREAD) for _ in range(self.count)]


_Item = TypeVar("_Item")


class _InTime(Generic[_Item]):
    def __init__(self) -> None:
        self._seconds, self._items = list[int](), list[_Item]()

    def add(self, at: float, item: _Item) -> None:
        place = bisect_right(self._seconds, int(at))
        self._seconds.insert(place, int(at))
        self._items.insert(place, item)

    def between(self, start: float, end: float) -> list[_Item]:
        """Those from one time to before another."""
        return self._items[bisect_left(self._seconds, int(start)) : bisect_left(self._seconds, int(end))]


class Answered:
    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._batches: defaultdict[str, _InTime[Batch]] = defaultdict(_InTime)
        self._labels: defaultdict[str, _InTime[Tally]] = defaultdict(_InTime)

    def add(self, variant: str, at: float, count: int, *, failing: float, median: float) -> int:
        """Note answers of a variant; how many of them failed."""
        batch = Batch(count, self.some_of(count, failing), median, self._random.getrandbits(32))
        self._batches[variant].add(at, batch)
        return batch.failed

    def label(self, variant: str, at: float, count: int, *, right: float) -> None:
        """Note that labels come at a time, by which a share of the answers is right."""
        self._labels[variant].add(at, Tally(count, self.some_of(count, right)))

    def some_of(self, count: int, share: float) -> int:
        """How many of a count are among a share, by chance."""
        return sum(self._random.random() < share for _ in range(count)) if share > 0 else 0

    def count(self, variant: str, start: float, end: float) -> int:
        return sum(batch.count for batch in self._batches[variant].between(start, end))

    def milliseconds(self, variant: str, start: float, end: float) -> list[float]:
        return [one for batch in self._batches[variant].between(start, end) for one in batch.milliseconds]

    def tally(self, metric: Metric, variant: str, start: float, end: float, cut: float | None) -> Tally:
        """What a variant did on a metric between two times; `cut` is where its latencies are cut, ms."""
        if metric.name == "accuracy":
            found = self._labels[variant].between(start, end)
            return Tally(sum(item.count for item in found), sum(item.total for item in found))
        if metric.kind == "quantile":
            taken = self.milliseconds(variant, start, end) if cut is not None else []
            return Tally(len(taken), sum(one > (cut or 0.0) for one in taken))
        batches = self._batches[variant].between(start, end)
        if metric.expected:  # every answer is captured, and none breaks the model's contract
            return Tally(sum(batch.count - batch.failed for batch in batches))
        if metric.name != "errors":
            return Tally()
        return Tally(sum(batch.count for batch in batches), sum(batch.failed for batch in batches))
