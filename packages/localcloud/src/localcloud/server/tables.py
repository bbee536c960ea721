"""DynamoDB's tables on disk: a write costs what it changes, however many items there are.

One SQLite file holds every item as a row, and a description of all else (the tables' own settings, tags and the like)
as one document. A save is one transaction: the items that changed since the last one, and the description if it is
another. ministack puts or removes each item through two functions, which note what they did; where it puts other items
into a table as a whole (a new table, a restored one), the table holds another object than before, and all its rows are
written.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import persistence
from ministack.services import dynamodb

from localcloud.server.statefiles import Damaged, NotSaved, StateFile

KEY = "dynamodb"
"""State key of the service."""

BESIDE_TABLES = (
    "tags",
    "ttl_settings",
    "pitr_settings",
    "kinesis_destinations",
    "contributor_insights",
    "backups",
    "resource_policies",
    "exports",
    "imports",
)
"""What DynamoDB keeps beside its tables."""

_SNAPSHOT = "_items_snapshot"
_NOT_DESCRIBED = {"items", dynamodb._INDEX_MEMBERS, "ItemCount", "TableSizeBytes"}
"""Of a table: its rows, and what is counted from them."""

_SCHEMA = """
create table if not exists item (
    owner text not null, partition text not null, sort text not null, body text not null,
    primary key (owner, partition, sort)
) without rowid;
create table if not exists description (id integer primary key check (id = 1), body text not null);
"""

Items = Mapping[str, Mapping[str, Any]]
"""Partition key -> sort key -> item."""


@dataclass(frozen=True)
class Change:
    """What one save writes.

    Attributes:
        description: All but the items, as JSON.
        owners: The items of each table and backup, by ARN, as they are in memory.
        whole: Owners whose rows are all written anew, and copies of their items.
        gone: Owners whose rows are removed.
        noted: Single items, each with the items that it belongs to; None for one that was removed.
    """

    description: str
    owners: Mapping[str, Items]
    whole: Mapping[str, Items]
    gone: frozenset[str]
    noted: Mapping[tuple[str, str, str], tuple[Items, Any]]


class TablesFile(StateFile):
    """The SQLite file of DynamoDB."""

    def __init__(self, folder: Path) -> None:
        super().__init__(KEY)
        self.path = folder / "dynamodb.sqlite3"
        self._connection: sqlite3.Connection | None = None
        self._owners: Mapping[str, Items] = {}
        self._description = ""
        self._noted: dict[tuple[str, str, str], tuple[Items, Any]] = {}
        self._noting = threading.Lock()  # items that expire are removed by a thread

    def watch(self) -> None:
        """Have ministack note each item that it puts or removes."""
        put, remove = dynamodb._set_item, dynamodb._remove_item

        def set_item(table: dict[str, Any], partition: str, sort: str, item: Any) -> Any:
            before = put(table, partition, sort, item)
            self._note(table, partition, sort, item)
            return before

        def remove_item(table: dict[str, Any], partition: str, sort: str) -> Any:
            before = remove(table, partition, sort)
            self._note(table, partition, sort, None)
            return before

        dynamodb._set_item, dynamodb._remove_item = set_item, remove_item

    def load(self, restore: Callable[[dict[str, Any]], Any]) -> dict[str, Any] | None:
        """The state as ministack takes it; None when there is none.

        Args:
            restore: Makes values of JSON objects.

        Raises:
            Damaged: The file cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            connection = self._open()
            found = connection.execute("select body from description").fetchone()
            rows: defaultdict[str, Any] = defaultdict(lambda: defaultdict(dict))
            for owner, partition, sort, body in connection.execute("select owner, partition, sort, body from item"):
                rows[owner][partition][sort] = json.loads(body, object_hook=restore)
            if found is None:
                return None
            state = json.loads(found[0], object_hook=restore)
        except (sqlite3.Error, ValueError) as error:
            raise Damaged(self.path, error) from error
        for table in state["tables"].all_values():
            table["items"] = rows[table["TableArn"]]
            dynamodb._update_counts(table)
        for arn, backup in _all(state["backups"]):
            backup[_SNAPSHOT] = rows[arn]
        self._owners = _owners(state["tables"], state["backups"])
        self._description = found[0]
        return state

    def take(self) -> Change:
        """What has changed since the last save that succeeded."""
        owners = _owners(dynamodb._tables, dynamodb._backups)
        whole = {
            owner: {key: dict(bucket) for key, bucket in list(items.items())}
            for owner, items in owners.items()
            if self._owners.get(owner) is not items
        }
        description = _described()
        with self._noting:  # last, as what is taken here must reach the disk or come back
            noted, self._noted = self._noted, {}
        return Change(description, owners, whole, frozenset(self._owners.keys() - owners.keys()), noted)

    def write(self, taken: Change) -> None:
        """Write a change, wholly or not at all.

        Raises:
            NotSaved: It could not be written; the next save tries it again.
        """
        try:
            self._commit(taken)
        except Exception as error:
            with self._noting:
                self._noted = {**taken.noted, **self._noted}
            raise NotSaved(f"the state of {self.key} cannot be saved: {error}: {self.path}") from error
        self._owners, self._description = taken.owners, taken.description

    def close(self) -> None:
        """Let go of the file; nothing is saved afterwards."""
        if self._connection is not None:
            self._connection.close()

    def _note(self, table: Mapping[str, Any], partition: str, sort: str, item: Any) -> None:
        with self._noting:
            self._noted[table["TableArn"], partition, sort] = (table["items"], item)

    def _commit(self, change: Change) -> None:
        connection = self._open()
        connection.execute("begin immediate")
        try:
            for owner in (*change.whole, *change.gone):
                connection.execute("delete from item where owner = ?", (owner,))
            connection.executemany("insert into item values (?, ?, ?, ?)", _rows(change.whole))
            for (owner, partition, sort), (items, item) in change.noted.items():
                if change.owners.get(owner) is not items:
                    continue  # of a table that has gone since
                key = (owner, partition, sort)
                if item is None:
                    connection.execute("delete from item where owner = ? and partition = ? and sort = ?", key)
                else:
                    connection.execute("replace into item values (?, ?, ?, ?)", (*key, _text(item)))
            if change.description != self._description:
                connection.execute("replace into description values (1, ?)", (change.description,))
            connection.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("rollback")
            raise

    def _open(self) -> sqlite3.Connection:
        """The connection; it is used by one thread at a time."""
        if self._connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection


def _owners(tables: Any, backups: Any) -> dict[str, Items]:
    found = {table["TableArn"]: table["items"] for _, table in tables.all_items()}
    return found | {arn: backup[_SNAPSHOT] for arn, backup in _all(backups)}


def _all(backups: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(place[-1], backup) for place, backup in backups.all_items()]


def _described() -> str:
    tables, backups = type(dynamodb._tables)(), type(dynamodb._backups)()
    for place, table in dynamodb._tables.all_items():
        tables.set_scoped(*place, {key: value for key, value in table.items() if key not in _NOT_DESCRIBED})
    for place, backup in dynamodb._backups.all_items():
        backups.set_scoped(*place, {key: value for key, value in backup.items() if key != _SNAPSHOT})
    beside = {name: getattr(dynamodb, f"_{name}") for name in BESIDE_TABLES}
    return json.dumps({**beside, "tables": tables, "backups": backups}, default=persistence._json_default)


def _rows(owners: Mapping[str, Items]) -> Iterator[tuple[str, str, str, str]]:
    for owner, items in owners.items():
        for partition, bucket in items.items():
            for sort, item in bucket.items():
                yield owner, partition, sort, _text(item)


def _text(item: Any) -> str:
    return json.dumps(item, default=persistence._json_default)
