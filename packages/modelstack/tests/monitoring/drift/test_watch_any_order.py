from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.bulk import DAY
from modelstack.monitoring.measurements import Datum, Values
from modelstack.services.drift_record import DriftRecord
from tests.monitoring.shelf import REFERENCE, START, Killed, Shelf, line, measured, swept, watch


class Blameless(DriftRecord):
    """A record that never blames a file for a killed call."""

    def begins(self, variant: str) -> int:
        return 1


class Chaos:
    """Files arrive in any order; events come late, twice, concurrently or never; calls are killed anywhere."""

    def __init__(self, source: Random, files: int) -> None:
        self.source, self.depth = source, 0
        self.coming = [f"v-a/{place:02}" for place in range(files)]
        source.shuffle(self.coming)
        self.events: list[str] = []

        @dataclass
        class Interrupted(Shelf):
            def lines(shelf, key: str) -> Iterable[bytes]:
                self.happens()
                return shelf.files[key]

            @property
            def record(shelf) -> DriftRecord:
                return Blameless(shelf.documents)

            def put(shelf, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
                self.happens()
                super().put(data, values, once)

        self.world = Interrupted()

    def happens(self) -> None:
        """During a call: another call, or a kill."""
        if self.source.random() < 0.15:
            raise Killed
        if self.depth < 3 and self.source.random() < 0.5:
            self.step()

    def step(self) -> None:
        """A file arrives, or a call with some events."""
        if self.coming and self.source.random() < 0.5:
            key = self.coming.pop()
            self.world.files[key] = [line({"x": 0.0, "code": "a", "gust": 3.0}, START) for _ in range(int(key[4:]) + 1)]
            self.events += [key] * self.source.randint(0, 3)
            self.source.shuffle(self.events)
            return
        some = [self.events.pop() for _ in range(min(len(self.events), self.source.randint(1, 4)))]
        self.depth += 1
        try:
            found = watch(self.world).measure({"v-a": REFERENCE}, START + DAY, {"v-a": some})["v-a"]
            assert (found.failure, found.unfinished) == (None, False)
        except Killed:
            self.events += some  # the queue gives them again
        self.depth -= 1


@pytest.mark.slow
@given(seed=st.integers(0, 2**32), files=st.integers(1, 12))
def test_each_row_counts_once_whatever_comes_twice_late_out_of_order_at_once_or_never(seed: int, files: int) -> None:
    chaos = Chaos(Random(seed), files)
    while chaos.coming or chaos.events:
        chaos.step()
    world, rows = Shelf(**vars(chaos.world)), files * (files + 1) // 2
    swept(world, START + DAY)
    assert (measured(world, now=START + DAY).waiting, len(world.marked)) == (rows, files)
    swept(world, START + DAY + 3600)
    assert (sum(world.values("CaptureRows")), world.unsent()) == (rows, [])
