"""Tags of alarms and dashboards, by ARN."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from localcloud.cloudwatch.database import Database


class Tags:
    """All tags of one cloud."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, arn: str) -> list[dict[str, str]]:
        """Tags of a resource, by key."""

        def select(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            return connection.execute("select key, value from tag where arn = ? order by key", (arn,)).fetchall()

        return [{"Key": key, "Value": value} for key, value in await self._database.read(select)]

    async def add(self, arn: str, tags: Sequence[Mapping[str, str]]) -> None:
        """Give a resource tags; a key that it has gets the new value."""
        rows = [(arn, tag["Key"], tag["Value"]) for tag in tags]
        await self._database.write(
            lambda connection: connection.executemany("insert or replace into tag values (?, ?, ?)", rows)
        )

    async def remove(self, arn: str, keys: Sequence[str]) -> None:
        """Take tags from a resource; keys that it has not do not matter."""
        rows = [(arn, key) for key in keys]
        await self._database.write(
            lambda connection: connection.executemany("delete from tag where arn = ? and key = ?", rows)
        )

    async def forget(self, arn: str) -> None:
        """Take all tags from a resource that is gone."""
        await self._database.write(lambda connection: connection.execute("delete from tag where arn = ?", (arn,)))
