"""In-memory captures, drift record and metrics, with rows for tests."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from modelstack.monitoring.bulk import DAY, sealed
from modelstack.monitoring.captured import Malformed, Recorded
from modelstack.monitoring.drift.record import Reading
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.drift.watch import DriftWatch, Measured
from modelstack.monitoring.exchanges import traffic
from modelstack.monitoring.measurements import Datum, Values
from modelstack.services.drift_record import DriftRecord
from tests import captured
from tests.services.memory import MemoryDocuments

ROWS = 30  # a day
START = 20_000 * DAY


def days(number: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Days of rows with a number, a code, and a number that is sometimes missing."""
    source = np.random.default_rng(seed)
    rows = number * ROWS
    gust = source.normal(10, 3, rows)
    gust[source.random(rows) < 0.3] = np.nan
    return {"x": source.normal(0, 1, rows), "code": source.choice(np.array(["a", "b"], object), rows), "gust": gust}


REFERENCE = Reference(*sealed(days(60, 1), np.repeat(np.arange(60) * DAY, ROWS)))
UNDATED = Reference(*sealed(days(60, 1)))


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shelf:
    files: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    told: list[Datum] = field(default_factory=list[Datum])
    aside: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    kill_at_put: bool = False
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    repeatable: bool = False
    failing: dict[str, type[BaseException]] = field(default_factory=dict[str, type[BaseException]])
    """What is raised when a file is read."""

    def keys(self, variant: str, after: str, most: int) -> Sequence[str]:
        return sorted(key for key in self.files if key.startswith(f"{variant}/") and key > after)[:most]

    def recent(self, variant: str, until: str) -> Collection[str]:
        return [key for key in self.files if key.startswith(f"{variant}/") and key <= until]

    def exchanges(self, key: str) -> Iterator[tuple[bytes, Recorded | Malformed]]:
        return ((line, item) for line in self.lines(key) for item in traffic((line,)))

    def lines(self, key: str) -> Iterable[bytes]:
        if key in self.failing:
            raise self.failing[key]
        return self.files[key]

    def keep(self, key: str, lines: Sequence[str]) -> None:
        self.aside[key] = [json.loads(line) for line in lines]

    @property
    def record(self) -> DriftRecord:
        """The record as another process reads it."""
        return DriftRecord(self.documents)

    def read(self, variant: str) -> Reading:
        return self.record.read(variant)

    def unsent(self) -> list[Datum]:
        return [one for _, data in self.record.unsent("v-a", math.inf) for one in data]

    @property
    def marked(self) -> set[str]:
        keys = self.documents._stored
        return {key.removeprefix("counted#") for key in keys if key.startswith("counted#")}

    @property
    def begun(self) -> int:
        key = "drift-begun#v-a"
        return self.documents.get([key])[key].body["calls"]

    def put(self, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
        if self.kill_at_put and data:
            self.kill_at_put = False
            raise Killed
        self.told += data

    def values(self, metric: str, feature: str | None = None) -> list[float]:
        return [item.value for item in self.told if (item.name, item.feature) == (metric, feature)]


def line(row: Any, at: float | None = None, told: float | None = None) -> bytes:
    def iso(time: float) -> str:
        return datetime.fromtimestamp(time, UTC).isoformat()

    meta: dict[str, Any] = {} if at is None else {"inferenceTime": iso(at)}
    if told is not None:
        meta["customAttributes"] = [f"trace=7,event-time={iso(told)}"]
    return captured.line({"instances": [row]}, **meta)


def rows_of(columns: dict[str, Any]) -> list[dict[str, Any]]:
    each = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [
        {name: None if value != value else value for name, value in zip(columns, row, strict=True)}  # noqa: PLR0124
        for row in each
    ]


def file(columns: dict[str, Any], first: float = START) -> list[bytes]:
    """A row every 48 minutes, 30 a day."""
    return [line(row, first + place * DAY / ROWS) for place, row in enumerate(rows_of(columns))]


def moved(number: int, seed: int = 5) -> dict[str, Any]:
    columns = days(number, seed)
    return {**columns, "x": columns["x"] + 2}


def watch(shelf: Shelf) -> DriftWatch:
    return DriftWatch(shelf, shelf.record, shelf, false_alarms=0.05, every=3600.0)


def swept(shelf: Shelf, now: float = START + 400 * DAY) -> Measured:
    """A call without events."""
    return watch(shelf).measure({"v-a": REFERENCE}, now)["v-a"]


def measured(shelf: Shelf, *keys: str, now: float = START + 400 * DAY) -> Measured:
    """A call with events for some files."""
    return watch(shelf).measure({"v-a": REFERENCE}, now, {"v-a": keys})["v-a"]
