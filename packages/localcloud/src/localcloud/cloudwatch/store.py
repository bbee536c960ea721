"""Where the data of all metrics are.

A metric is a namespace, a name and a set of dimensions; data under other dimensions belong to another metric. Data
are summed up as they come, in buckets of a second and in buckets of a minute, by the unit that they came in. Buckets
of a second are kept for 3 hours and buckets of a minute for 15 days, as on AWS; what AWS keeps longer (5 minutes for
63 days, an hour for 455) is not kept here. Standard-resolution data count at the start of their minute.

Buckets that are being filled are in memory, all others in SQLite. `put` and `record` take data in and return at once;
`commit` makes all data so far durable, and runs by itself a moment after `put`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from localcloud.cloudwatch.database import Database
from localcloud.cloudwatch.distribution import Distribution
from localcloud.server import background
from localcloud.server.platform import Clock, Datum

SECOND, MINUTE = 1, 60
RETENTION = {SECOND: 3 * 3600, MINUTE: 15 * 86400}
"""Seconds that buckets of a width are kept."""
COMMIT_AFTER = 0.5
"""Seconds that in-process data may wait for their commit."""
_WARM = {SECOND: 30, MINUTE: 120}
_TRIM_EVERY = 600.0
_SWEEP_EVERY = 5.0
_ACTIVE = 14 * 86400

logger = logging.getLogger(__name__)

Bucket = tuple[int, int]
"""Width and start, both in seconds."""


@dataclass(frozen=True)
class MetricKey:
    """The identity of a metric; `dimensions` are sorted by name."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Window:
    """Stretches of time to read of a metric: `count` of them, `period` seconds each, the first from `start` on.

    `start` must be a multiple of 60 when the period is 60 or more. `unit` None reads the data of all units together.
    """

    key: MetricKey
    start: int
    period: int
    count: int
    unit: str | None = None
    values: bool = False


@dataclass(slots=True)
class _Series:
    id: int
    key: MetricKey
    unit: str
    saved: bool = False
    warm: dict[Bucket, Distribution] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Source:
    """Where a window's data come from in one series: rows of a width, and copies of the buckets in memory by start."""

    series: int
    width: int
    start: int
    end: int
    warm: dict[int, Distribution]


class MetricStore:
    """All metrics of one cloud."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._metrics: dict[MetricKey, dict[str, _Series]] = {}
        self._by_source: dict[tuple[str, str, frozenset[tuple[str, str]], str], _Series] = {}
        self._pending: deque[tuple[str, Sequence[Datum]]] = deque()
        self._dirty: set[tuple[int, Bucket]] = set()
        self._series: dict[int, _Series] = {}
        self._writing = asyncio.Lock()
        self._commit_timer: asyncio.TimerHandle | None = None
        self._committing: asyncio.Task[None] | None = None
        self._trimmed = -math.inf
        self._swept = -math.inf
        self.closed_before = -math.inf
        self.late: Callable[[MetricKey], None] = lambda _key: None
        """Called with a metric that got data older than `closed_before`."""

    async def open(self) -> None:
        """Learn which metrics there are."""

        def load(connection: sqlite3.Connection) -> tuple[list[tuple[int, str, str, str, str]], list[tuple[int, ...]]]:
            series = connection.execute("select id, namespace, name, dimensions, unit from series").fetchall()
            newest = "select series, width, max(start) from bucket group by series, width"
            return series, connection.execute(newest).fetchall()

        rows, newest = await self._database.read(load)
        for row in rows:
            dimensions = tuple((name, value) for name, value in json.loads(row[3]))
            series = _Series(row[0], MetricKey(row[1], row[2], dimensions), row[4], saved=True)
            self._add(series)
        for series_id, width, start in newest:
            if series_id in self._series:
                self._series[series_id].newest[width] = start

    async def close(self) -> None:
        """Make everything durable."""
        if self._commit_timer is not None:
            self._commit_timer.cancel()
        if self._committing is not None:
            await asyncio.gather(self._committing, return_exceptions=True)
        await self.commit()

    def put(self, namespace: str, data: Sequence[Datum]) -> None:
        """Take in-process data in, at a resolution of a second; they are durable within `COMMIT_AFTER` seconds."""
        self._pending.append((namespace, data))
        self._commit_soon()

    def record(
        self, key: MetricKey, unit: str, timestamp: float, add: Callable[[Distribution], None], *, fine: bool
    ) -> None:
        """Let `add` put values into the buckets of a moment; in standard resolution unless `fine`."""
        self._record(self._series_of(key, unit), timestamp, add, fine)

    def _record(self, series: _Series, timestamp: float, add: Callable[[Distribution], None], fine: bool) -> None:
        minute = int(timestamp // MINUTE) * MINUTE
        add(self._bucket(series, (SECOND, math.floor(timestamp) if fine else minute)))
        add(self._bucket(series, (MINUTE, minute)))
        if timestamp < self.closed_before:
            self.late(series.key)

    def fold(self) -> None:
        """Bring data that `put` took into their buckets, equal values of a second together."""
        pending, by_source = self._pending, self._by_source
        gathered: dict[tuple[int, int], dict[float, int]] = {}
        while pending:
            namespace, data = pending.popleft()
            labels, frozen = None, frozenset[tuple[str, str]]()
            for datum in data:
                if datum.dimensions is not labels:
                    labels, frozen = datum.dimensions, frozenset(datum.dimensions.items())
                source = (namespace, datum.name, frozen, datum.unit)
                series = by_source.get(source)
                if series is None:
                    key = MetricKey(namespace, datum.name, tuple(sorted(frozen)))
                    series = by_source[source] = self._series_of(key, datum.unit)
                if math.isfinite(datum.value):
                    values = gathered.setdefault((series.id, math.floor(datum.timestamp)), {})
                    values[datum.value] = values.get(datum.value, 0) + 1
        for (number, second), values in gathered.items():
            self._record(self._series[number], second, partial(_add_all, values), True)

    async def commit(self) -> None:
        """Make all data that came before this call durable.

        Raises:
            sqlite3.Error: They are not, and wait in memory for the next commit.
        """
        async with self._writing:
            self.fold()
            now = self._clock.time()
            written, self._dirty = self._dirty, set()
            made = [self._series[number] for number in {number for number, _ in written}]
            made = [series for series in made if not series.saved]
            rows = [self._row(number, bucket) for number, bucket in written]
            try:
                if rows:
                    await self._database.write(lambda connection: _save(connection, made, rows))
                    for series in made:
                        series.saved = True
                if now - self._trimmed >= _TRIM_EVERY:
                    await self._trim(now)
            except BaseException:
                self._dirty |= written
                raise
            self._sweep(now)

    async def read(self, windows: Sequence[Window]) -> list[list[Distribution]]:
        """Read windows, all in one go; a stretch without data is an empty distribution."""
        self.fold()
        plans = [(window, self._sources(window)) for window in windows]
        return await self._database.read(lambda connection: [_merged(connection, *plan) for plan in plans])

    def units(self, key: MetricKey) -> list[str]:
        """The units that data of a metric came in."""
        self.fold()
        return list(self._metrics.get(key, {}))

    def metrics(self, since: float | None = None) -> Iterable[MetricKey]:
        """Metrics with data in the last two weeks, or since a moment, sorted."""
        self.fold()
        oldest = self._clock.time() - _ACTIVE if since is None else since
        active = [
            key
            for key, by_unit in self._metrics.items()
            if any(series.newest.get(MINUTE, -math.inf) + MINUTE > oldest for series in by_unit.values())
        ]
        return sorted(active, key=lambda key: (key.namespace, key.name, key.dimensions))

    def warm_buckets(self) -> int:
        """How many buckets are in memory."""
        return sum(len(series.warm) for series in self._series.values())

    def _commit_soon(self) -> None:
        if self._commit_timer is None:
            self._commit_timer = asyncio.get_running_loop().call_later(COMMIT_AFTER, self._start_commit)

    def _start_commit(self) -> None:
        self._commit_timer = None
        self._committing = background.begin(self._commit_in_background(), "saving of metric data")

    async def _commit_in_background(self) -> None:
        try:
            await self.commit()
        except sqlite3.Error as error:
            logger.error("metric data could not be saved and will be tried again: %s", error)
            self._commit_soon()

    def _series_of(self, key: MetricKey, unit: str) -> _Series:
        series = self._metrics.get(key, {}).get(unit)
        if series is None:
            series = _Series(max(self._series, default=0) + 1, key, unit)
            self._add(series)
        return series

    def _add(self, series: _Series) -> None:
        self._series[series.id] = series
        self._metrics.setdefault(series.key, {})[series.unit] = series

    def _bucket(self, series: _Series, bucket: Bucket) -> Distribution:
        self._dirty.add((series.id, bucket))
        found = series.warm.get(bucket)
        if found is None:
            width, start = bucket
            newest = series.newest.get(width)
            if newest is None or start > newest:
                series.newest[width] = start
                found = Distribution()
            else:
                found = self._saved(series.id, bucket)
            series.warm[bucket] = found
        return found

    def _saved(self, number: int, bucket: Bucket) -> Distribution:
        """A bucket that left the memory, or a new one; data that come late are few, so the loop may wait for it."""
        query = "select count, total, low, high, spread from bucket where series = ? and width = ? and start = ?"
        row = self._database.lookup(query, (number, *bucket))
        return Distribution.unpack(*row) if row else Distribution()

    def _row(self, number: int, bucket: Bucket) -> tuple[object, ...]:
        kept = self._series[number].warm[bucket]
        return number, *bucket, kept.count, kept.total, kept.low, kept.high, kept.pack()

    def _sources(self, window: Window) -> list[_Source]:
        width = SECOND if window.period < MINUTE else MINUTE
        oldest = max(window.start, math.ceil(self._clock.time()) - RETENTION[width])
        end = window.start + window.period * window.count
        return [
            _Source(series.id, width, oldest, end, _copies(series, width, oldest, end))
            for unit, series in self._metrics.get(window.key, {}).items()
            if window.unit is None or window.unit == unit
        ]

    def _sweep(self, now: float) -> None:
        """Let go of buckets that are saved and no longer filled."""
        if now - self._swept < _SWEEP_EVERY:
            return
        self._swept = now
        for series in self._series.values():
            series.warm = {
                bucket: kept
                for bucket, kept in series.warm.items()
                if bucket[1] >= now - _WARM[bucket[0]] or (series.id, bucket) in self._dirty
            }

    async def _trim(self, now: float) -> None:
        """Delete what is older than its retention."""
        self._trimmed = now
        gone = [series for series in self._series.values() if self._expired(series, now)]
        for series in gone:
            del self._series[series.id]
            del self._metrics[series.key][series.unit]
            if not self._metrics[series.key]:
                del self._metrics[series.key]
        if gone:
            self._by_source.clear()
        kept = list(self._series)

        def delete(connection: sqlite3.Connection) -> None:
            for width, seconds in RETENTION.items():
                connection.executemany(
                    "delete from bucket where series = ? and width = ? and start < ?",
                    [(number, width, now - seconds) for number in kept],
                )
            connection.executemany("delete from bucket where series = ?", [(series.id,) for series in gone])
            connection.executemany("delete from series where id = ?", [(series.id,) for series in gone])

        await self._database.write(delete)

    def _expired(self, series: _Series, now: float) -> bool:
        dirty = any((series.id, bucket) in self._dirty for bucket in series.warm)
        return not dirty and series.newest.get(MINUTE, 0) < now - RETENTION[MINUTE]


def _add_all(values: Mapping[float, int], bucket: Distribution) -> None:
    for value, times in values.items():
        bucket.add(value, times)


def _copies(series: _Series, width: int, start: int, end: int) -> dict[int, Distribution]:
    return {
        bucket[1]: kept.copy()
        for bucket, kept in series.warm.items()
        if bucket[0] == width and start <= bucket[1] < end
    }


def _save(connection: sqlite3.Connection, made: Sequence[_Series], rows: Sequence[tuple[object, ...]]) -> None:
    connection.executemany(
        "insert or ignore into series values (?, ?, ?, ?, ?)",
        [(one.id, one.key.namespace, one.key.name, json.dumps(one.key.dimensions), one.unit) for one in made],
    )
    connection.executemany("insert or replace into bucket values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _merged(connection: sqlite3.Connection, window: Window, sources: Sequence[_Source]) -> list[Distribution]:
    merged = [Distribution() for _ in range(window.count)]

    def join(start: int, kept: Distribution) -> None:
        place = (start - window.start) // window.period
        if merged[place].count == 0:
            merged[place] = kept  # nobody else has it: it is a copy, or fresh from the file
        else:
            merged[place].merge(kept)

    spread = "spread" if window.values else "null"
    query = (
        f"select start, count, total, low, high, {spread} from bucket "  # noqa: S608 - one of two constants
        "where series = ? and width = ? and start >= ? and start < ?"
    )
    for source in sources:
        for start, *row in connection.execute(query, (source.series, source.width, source.start, source.end)):
            if start not in source.warm:
                join(start, Distribution.unpack(*row))
        for start, kept in source.warm.items():
            join(start, kept)
    return merged
