"""PutDashboard, GetDashboard, ListDashboards, DeleteDashboards."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from localcloud.cloudwatch import dashboards, paging
from localcloud.cloudwatch.alarms import check_tags
from localcloud.cloudwatch.database import Database
from localcloud.cloudwatch.errors import CloudWatchError, invalid_value
from localcloud.cloudwatch.tags import Tags
from localcloud.server.platform import Clock

_PAGE = 1000
Request = Mapping[str, Any]


class DashboardOperations:
    """The operations on dashboards."""

    def __init__(self, database: Database, tags: Tags, clock: Clock, account: str) -> None:
        self._database = database
        self._tags = tags
        self._clock = clock
        self._account = account

    def arn(self, name: str) -> str:
        """The ARN of a dashboard; dashboards have no region."""
        return f"arn:aws:cloudwatch::{self._account}:dashboard/{name}"

    async def exists(self, arn: str) -> bool:
        """Whether an ARN is that of a dashboard."""
        name = arn.rpartition("/")[2]
        return arn == self.arn(name) and await self._row(name) is not None

    async def put_dashboard(self, request: Request) -> dict[str, Any]:
        """Keep a dashboard; its warnings are in the answer."""
        name, body = request["DashboardName"], request["DashboardBody"]
        if not dashboards.NAME.fullmatch(name):
            raise invalid_value(f"DashboardName {name!r} must be 1 to 255 letters, digits, - or _")
        check_tags(request.get("Tags", []))
        errors, warnings = dashboards.check(body)
        if errors:
            raise CloudWatchError(
                "InvalidParameterInput",
                "DashboardInvalidInputError",
                "The dashboard body is invalid, there are validation errors: "
                + "; ".join(f"{at}: {what}" for at, what in errors[:10]),
                members={"dashboardValidationMessages": _messages(errors)},
            )
        now = self._clock.time()

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("insert or replace into dashboard values (?, ?, ?)", (name, body, now))

        await self._database.write(write)
        if request.get("Tags"):
            await self._tags.add(self.arn(name), request["Tags"])
        return {"DashboardValidationMessages": _messages(warnings)}

    async def get_dashboard(self, request: Request) -> dict[str, Any]:
        """A dashboard as it was put."""
        name = request["DashboardName"]
        row = await self._row(name)
        if row is None:
            raise _no_dashboard(name)
        return {"DashboardArn": self.arn(name), "DashboardBody": row[1], "DashboardName": name}

    async def list_dashboards(self, request: Request) -> dict[str, Any]:
        """Dashboards by name."""
        prefix = request.get("DashboardNamePrefix", "")

        def select(connection: sqlite3.Connection) -> list[tuple[str, str, float]]:
            return connection.execute("select name, body, modified from dashboard order by name").fetchall()

        entries = [
            {
                "DashboardName": name,
                "DashboardArn": self.arn(name),
                "LastModified": modified,
                "Size": len(body.encode()),
            }
            for name, body, modified in await self._database.read(select)
            if name.startswith(prefix)
        ]
        shown, more = paging.page(request, entries, _PAGE)
        return {"DashboardEntries": list(shown), **more}

    async def delete_dashboards(self, request: Request) -> dict[str, Any]:
        """Forget dashboards: all of them or, when one does not exist, none."""
        names = request["DashboardNames"]
        for name in names:
            if await self._row(name) is None:
                raise _no_dashboard(name)

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("delete from dashboard where name = ?", [(name,) for name in names])

        await self._database.write(write)
        for name in names:
            await self._tags.forget(self.arn(name))
        return {}

    async def _row(self, name: str) -> tuple[str, str, float] | None:
        return await self._database.read(
            lambda connection: connection.execute("select * from dashboard where name = ?", (name,)).fetchone()
        )


def _no_dashboard(name: str) -> CloudWatchError:
    return CloudWatchError("ResourceNotFound", "DashboardNotFoundError", f"Dashboard {name} does not exist", 404)


def _messages(problems: list[dashboards.Problem]) -> list[dict[str, str]]:
    return [{"DataPath": at, "Message": what} for at, what in problems]
