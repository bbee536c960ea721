"""The local CloudWatch as a service of the local cloud."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from localcloud.cloudwatch import history, wire
from localcloud.cloudwatch.alarm_operations import AlarmOperations, TagOperations
from localcloud.cloudwatch.book import AlarmBook
from localcloud.cloudwatch.dashboard_operations import DashboardOperations
from localcloud.cloudwatch.database import Database
from localcloud.cloudwatch.errors import CloudWatchError, internal, not_implemented
from localcloud.cloudwatch.evaluator import Evaluator
from localcloud.cloudwatch.metric_operations import MetricOperations
from localcloud.cloudwatch.outbox import Outbox
from localcloud.cloudwatch.store import MetricStore
from localcloud.cloudwatch.tags import Tags
from localcloud.server import background
from localcloud.server.platform import Answer, Datum, Platform

_TIDY_EVERY = 6 * 3600.0
_LARGE = 16_384
_FEATURES = (
    ("AnomalyDetector", "anomaly detection"),
    ("MetricStream", "metric streams"),
    ("InsightRule", "Contributor Insights"),
    ("MuteRule", "alarm mute rules"),
    ("OTel", "OpenTelemetry enrichment"),
    ("Dataset", "datasets"),
    ("LogAlarm", "log alarms"),
    ("WidgetImage", "pictures of widgets"),
    ("Contributor", "alarm contributors"),
    ("MetricsConfiguration", "resource metrics configurations"),
    ("QueryDefinition", "saved queries"),
)

Operation = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
logger = logging.getLogger(__name__)


class CloudWatch:
    """Metrics, alarms and dashboards; a `Service` and a `MetricSink`. `operations` has what it serves, by name."""

    def __init__(self, platform: Platform) -> None:
        self._clock = platform.clock
        self._database = Database(platform.state / "cloudwatch.sqlite3")
        self._store = MetricStore(self._database, platform.clock)
        self._outbox = Outbox(self._database, platform.deliveries, platform.clock)
        self._book = AlarmBook(self._database, self._outbox, platform.clock, platform.region, platform.account)
        self._evaluator = Evaluator(self._store, self._book, platform.clock)
        tags = Tags(self._database)
        alarms = AlarmOperations(self._database, self._book, tags)
        dashboards = DashboardOperations(self._database, tags, platform.clock, platform.account)

        async def exists(arn: str) -> bool:
            return alarms.exists(arn) or await dashboards.exists(arn)

        self.operations = _operations(
            MetricOperations(self._store, platform.clock), alarms, dashboards, TagOperations(tags, exists)
        )
        self._tidying: asyncio.Task[None] | None = None
        self._started = False

    async def start(self) -> None:
        """Open the state, send what was on its way, and evaluate all alarms.

        Raises:
            RuntimeError: The state cannot be opened.
        """
        await self._database.open()
        await self._store.open()
        await self._book.open()
        await self._outbox.open()
        self._evaluator.start()
        self._tidying = background.begin(self._tidy(), "removal of old data")
        self._started = True

    async def stop(self) -> None:
        """Save all data and let the state go."""
        if not self._started:
            return
        self._started = False
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        await self._evaluator.stop()
        await self._outbox.close()
        try:
            await self._store.close()
        finally:
            await self._database.close()

    def put(self, namespace: str, data: Sequence[Datum]) -> None:
        """Take in-process data in, at a resolution of a second; never blocks, durable within half a second."""
        self._store.put(namespace, data)

    async def settled(self) -> None:
        """Wait until every alarm that is due has been evaluated, and every message delivered or given up."""
        await self._evaluator.settled()
        await self._outbox.settled()

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        """Answer one request in the protocol that it came in."""
        try:
            # A thousand data take 30 ms to check, which the other services of the loop must not wait for.
            request = (headers, path, body, query)
            call = await asyncio.to_thread(wire.read, *request) if len(body) > _LARGE else wire.read(*request)
        except wire.WireError as error:
            return error.answer
        try:
            return wire.answer(call, await self._carry_out(call))
        except CloudWatchError as error:
            return wire.refuse(call, error)
        except (sqlite3.Error, OSError) as error:
            logger.error("%s could not be saved: %s", call.operation, error)
            return wire.refuse(call, internal(f"the state of CloudWatch cannot be read or written: {error}"))

    async def _carry_out(self, call: wire.Call) -> dict[str, Any]:
        operation = self.operations.get(call.operation)
        if operation is None:
            feature = next((what for part, what in _FEATURES if part in call.operation), "this operation")
            raise not_implemented(call.operation, f"it has no {feature}")
        return await operation(call.request)

    async def _tidy(self) -> None:
        while True:
            now = self._clock.time()
            with background.log_errors("the removal of old data"):
                await self._database.write(lambda connection, now=now: history.forget(connection, now))
                await self._store.commit()
            await self._clock.sleep(_TIDY_EVERY)


def _operations(*owners: object) -> dict[str, Operation]:
    """The public coroutine methods of the owners that are operations of CloudWatch, by the operation's name."""
    snake = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in wire.operation_names()}
    return {snake[method]: getattr(owner, method) for owner in owners for method in dir(owner) if method in snake}
