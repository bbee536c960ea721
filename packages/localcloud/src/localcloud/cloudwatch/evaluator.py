"""When are alarms evaluated? Soon after each period closes, and again when data for a closed period come late.

The evaluator sleeps on the platform's clock until the next alarm is due, so it takes no time at rest.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any

from localcloud.cloudwatch.alarms import METRIC_ALARM, Alarm
from localcloud.cloudwatch.book import AlarmBook
from localcloud.cloudwatch.distribution import Distribution
from localcloud.cloudwatch.evaluation import Verdict, evaluate
from localcloud.cloudwatch.expressions import ExpressionError
from localcloud.cloudwatch.queries import metric_queries
from localcloud.cloudwatch.store import MetricKey, MetricStore, Window
from localcloud.server import background
from localcloud.server.platform import Clock

GRACE = 0.5
"""Seconds from the end of a period to the evaluation, and from late data to it."""

logger = logging.getLogger(__name__)


class Evaluator:
    """Evaluates all metric alarms of a book on the data of a store."""

    def __init__(self, store: MetricStore, book: AlarmBook, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._clock = clock
        self._due: dict[str, float] = {}
        self._watchers: dict[MetricKey, set[str]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Evaluate all alarms now, and from now on."""
        self._book.redefined = self.reschedule
        self._store.late = self._late
        for name in self._book.alarms:
            self.reschedule(name)
        self._task = background.begin(self._run(), "evaluation of alarms")

    async def stop(self) -> None:
        """Evaluate no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until every alarm that is due has been evaluated."""
        await self._idle.wait()

    def reschedule(self, name: str) -> None:
        """Evaluate an alarm at once, because it is new or other than it was; or never again, because it is gone."""
        for watchers in self._watchers.values():
            watchers.discard(name)
        alarm = self._book.alarms.get(name)
        if alarm is None or alarm.kind != METRIC_ALARM:
            self._due.pop(name, None)
        else:
            self._due[name] = self._clock.time()
            for key in alarm.metrics:
                self._watchers.setdefault(key, set()).add(name)
        self._watchers = {key: watchers for key, watchers in self._watchers.items() if watchers}
        self._wake.set()

    def _late(self, key: MetricKey) -> None:
        for name in self._watchers.get(key, ()):
            soon = self._clock.time() + GRACE
            if soon < self._due.get(name, -math.inf):
                self._due[name] = soon
                self._wake.set()

    async def _run(self) -> None:
        while True:
            now = self._clock.time()
            due = [name for name, moment in self._due.items() if moment <= now]
            if due:
                try:
                    await self._evaluate([self._book.alarms[name] for name in due if name in self._book.alarms], now)
                except Exception:  # one alarm must not end the evaluation of all
                    logger.exception("alarms could not be evaluated and will be at their next time")
                continue
            self._wake.clear()
            self._idle.set()
            await self._wait(min(self._due.values(), default=math.inf) - now)
            self._idle.clear()

    async def _wait(self, seconds: float) -> None:
        """Until a time has passed or something changed."""
        woken = asyncio.ensure_future(self._wake.wait())
        waits: list[asyncio.Future[Any]] = [woken]
        if seconds < math.inf:
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _evaluate(self, alarms: Sequence[Alarm], now: float) -> None:
        windows: list[Window] = []
        for alarm in alarms:
            condition = alarm.condition
            assert condition is not None  # noqa: S101 - only metric alarms are scheduled
            self._due[alarm.name] = (math.floor(now / condition.interval) + 1) * condition.interval + GRACE
            start = condition.range_start(now)
            windows += [query.window(start, condition.range_periods) for query in metric_queries(alarm.queries)]
            self._store.closed_before = max(self._store.closed_before, condition.range_end(now))
        read = iter(await self._store.read(windows))
        decided: list[tuple[Alarm, Verdict]] = []
        for alarm in alarms:
            taken = [next(read) for _ in metric_queries(alarm.queries)]
            verdict = _verdict(alarm, taken, now)
            if verdict is not None and verdict.state != alarm.state.value:
                decided.append((alarm, verdict))
        await self._book.decide(decided)


def _verdict(alarm: Alarm, taken: Sequence[Sequence[Distribution]], now: float) -> Verdict | None:
    condition = alarm.condition
    assert condition is not None  # noqa: S101 - only metric alarms are scheduled
    start = condition.range_start(now)
    read = {query.id: (start, one) for query, one in zip(metric_queries(alarm.queries), taken, strict=True)}
    try:
        points = alarm.points(read)
    except ExpressionError as error:
        logger.warning("alarm %s could not be evaluated: %s", alarm.name, error)
        return None
    return None if alarm.warms_up(points, now) else evaluate(condition, points, now)
