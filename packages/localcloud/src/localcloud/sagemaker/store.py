"""What does the local SageMaker know, and how does it survive a kill?

One SQLite table of JSON documents, in write-ahead mode with a full sync at every commit: what was acknowledged is on
the disk. All documents are also held in memory (there are few), so that reading never waits for the disk; memory
changes only after the commit, so a failed write leaves no half state.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localcloud.sagemaker.errors import StateUnwritable

Document = dict[str, Any]

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""


class Transaction:
    """Changes that are kept together or not at all."""

    def __init__(self) -> None:
        self.changes: dict[tuple[str, str], str | None] = {}

    def put(self, kind: str, name: str, document: Document) -> None:
        """Write a document; it is copied, so that a later change of the argument is not seen."""
        self.changes[kind, name] = json.dumps(document, separators=(",", ":"))

    def delete(self, kind: str, name: str) -> None:
        """Forget a document."""
        self.changes[kind, name] = None


class Store:
    """Documents by kind and name.

    Args:
        path: The database file; its folder must exist.

    Raises:
        StateUnwritable: The file cannot be opened or is not a database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # One thread, because an SQLite connection belongs to the thread that made it, and commits must not overlap.
        self._thread = ThreadPoolExecutor(1, "sagemaker-store")
        self._lock = asyncio.Lock()
        self._documents: dict[str, dict[str, Document]] = {}
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Read everything there is."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def get(self, kind: str, name: str) -> Document | None:
        """A copy of a document, or None."""
        found = self._documents.get(kind, {}).get(name)
        return None if found is None else json.loads(json.dumps(found))

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, in no order; not to be changed."""
        return list(self._documents.get(kind, {}).values())

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[Transaction]:
        """Check and write with nobody in between; committed when the block ends without an error.

        Raises:
            StateUnwritable: The disk did not take it; nothing changed.
        """
        async with self._lock:
            transaction = Transaction()
            yield transaction
            if transaction.changes:
                # Shielded, so that a cancelled request cannot leave memory behind what the disk already has.
                await asyncio.shield(self._keep(transaction))

    async def persist(self, kind: str, name: str, change: Callable[[Document], None] | None, pause: float) -> None:
        """Change a document that is there, or forget it; when the disk refuses, again and again until it does not.

        Args:
            kind: The document's.
            name: The document's.
            change: Changes it; None forgets it.
            pause: Seconds between attempts.
        """
        while True:
            try:
                async with self.change() as transaction:
                    document = self.get(kind, name)
                    if document is None:
                        return
                    if change is None:
                        transaction.delete(kind, name)
                    else:
                        change(document)
                        transaction.put(kind, name, document)
                return
            except StateUnwritable as error:
                _log.warning("%s %s: %s", kind, name, error)
                await asyncio.sleep(pause)

    async def _keep(self, transaction: Transaction) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, transaction)
        for (kind, name), body in transaction.changes.items():
            documents = self._documents.setdefault(kind, {})
            if body is None:
                documents.pop(name, None)
            else:
                documents[name] = json.loads(body)

    def _open(self) -> None:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_SCHEMA)
            rows = connection.execute("SELECT kind, name, body FROM documents").fetchall()
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        for kind, name, body in rows:
            self._documents.setdefault(kind, {})[name] = json.loads(body)
        self._connection = connection

    def _commit(self, transaction: Transaction) -> None:
        if self._connection is None:
            raise StateUnwritable(f"{self.path} is not open")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for (kind, name), body in transaction.changes.items():
                if body is None:
                    self._connection.execute("DELETE FROM documents WHERE kind=? AND name=?", (kind, name))
                else:
                    self._connection.execute("REPLACE INTO documents VALUES (?,?,?)", (kind, name, body))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise self._unwritable(error) from error

    def _unwritable(self, error: sqlite3.Error) -> StateUnwritable:
        return StateUnwritable(
            f"The local SageMaker cannot write its state to {self.path}: {error}. Nothing was changed. "
            "Make room on the disk, or make the folder writable, and try again."
        )
