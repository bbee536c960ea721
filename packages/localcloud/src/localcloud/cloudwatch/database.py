"""The SQLite file of the local CloudWatch: one thread writes, one reads, the event loop waits for neither.

A write is durable against the death of this process when its call returns (write-ahead log; only the loss of the whole
machine could undo the last moments).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_SCHEMA = """
create table if not exists series (
    id integer primary key,
    namespace text not null, name text not null, dimensions text not null, unit text not null
);
create table if not exists bucket (
    series integer not null, width integer not null, start integer not null,
    count real not null, total real not null, low real not null, high real not null, spread blob,
    primary key (series, width, start)
) without rowid;
create table if not exists alarm (
    name text primary key, kind text not null, definition text not null, state text not null, updated real not null
);
create table if not exists history (
    id integer primary key, alarm text not null, kind text not null, moment real not null,
    type text not null, summary text not null, data text not null
);
create index if not exists history_by_alarm on history (alarm, moment);
create table if not exists outbox (
    id integer primary key autoincrement, alarm text not null, kind text not null,
    target text not null, body text not null, moment real not null
);
create table if not exists dashboard (name text primary key, body text not null, modified real not null);
create table if not exists tag (arn text not null, key text not null, value text not null, primary key (arn, key));
"""
_VERSION = 1


class Database:
    """Access to the file; `open` it on the event loop, `close` it there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = ThreadPoolExecutor(1, "cloudwatch-write")
        self._reader = ThreadPoolExecutor(1, "cloudwatch-read")
        self._write_connection: sqlite3.Connection | None = None
        self._read_connection: sqlite3.Connection | None = None
        self._lookup_connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, and make it when it is not there.

        Raises:
            RuntimeError: The file cannot be opened, or a newer version of this program made it.
        """
        loop = asyncio.get_running_loop()
        try:
            self._write_connection = await loop.run_in_executor(self._writer, self._connect, True)
            self._read_connection = await loop.run_in_executor(self._reader, self._connect, False)
            self._lookup_connection = self._connect(False)
        except (sqlite3.Error, OSError) as error:
            raise RuntimeError(
                f"the state of CloudWatch in {self._path} cannot be opened: {error}; check that the folder is writable "
                "and the disk has space, or move the file away to start with no metrics and alarms"
            ) from error

    async def close(self) -> None:
        """Finish what is being written and let the file go."""
        loop = asyncio.get_running_loop()
        for executor, connection in ((self._writer, self._write_connection), (self._reader, self._read_connection)):
            if connection is not None:
                await loop.run_in_executor(executor, connection.close)
            executor.shutdown(wait=False)
        if self._lookup_connection is not None:
            self._lookup_connection.close()

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work` in a transaction of its own, after all earlier ones; durable when this returns.

        Raises:
            sqlite3.Error: Nothing of it was written.
        """
        connection = self._write_connection
        assert connection is not None, "the database is not open"  # noqa: S101 - a fault in the order of calls here

        def transaction() -> Result:
            connection.execute("begin immediate")
            try:
                result = work(connection)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            return result

        return await asyncio.get_running_loop().run_in_executor(self._writer, transaction)

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work`, which must not write, on what has been written so far."""
        connection = self._read_connection
        assert connection is not None, "the database is not open"  # noqa: S101 - a fault in the order of calls here
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, connection)

    def lookup(self, query: str, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        """The first row of a query by primary key, at once (tens of microseconds); only what was written is seen."""
        connection = self._lookup_connection
        assert connection is not None, "the database is not open"  # noqa: S101 - a fault in the order of calls here
        return connection.execute(query, parameters).fetchone()

    def _connect(self, schema: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        if schema:
            version = connection.execute("pragma user_version").fetchone()[0]
            if version > _VERSION:
                raise OSError(f"it has version {version}, this program knows versions up to {_VERSION}")
            connection.executescript(_SCHEMA)
            connection.execute(f"pragma user_version = {_VERSION}")
        return connection
