"""A CloudWatch in this process, whose clock the test moves and whose deliveries it sees.

async with running(folder) as local:
    await local("PutMetricAlarm", AlarmName="errors", AlarmActions=[TOPIC], ...)   # as botocore would ask it
    local.service.put("my/namespace", [Datum("errors", {"Variant": "a"}, 5, "Count", local.clock.now)])
    await local.advance(60)
    assert await local.state("errors") == "ALARM"
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import botocore.session
from botocore.awsrequest import HeadersDict
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from localcloud.cloudwatch import create
from localcloud.cloudwatch.dashboards import check as check_dashboard
from localcloud.cloudwatch.evaluation import Condition
from localcloud.cloudwatch.service import CloudWatch
from localcloud.server.platform import Datum, Platform

__all__ = ["TOPIC", "Condition", "Datum", "Local", "Mailbox", "ManualClock", "check_dashboard", "running"]

START = 1_764_000_000.0
"""A whole hour, in November 2025."""
PROTOCOLS = {"cbor": "smithy-rpc-v2-cbor", "json": "json", "query": "query"}
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
MODEL: ServiceModel = botocore.session.Session().get_service_model("cloudwatch")


class ManualClock:
    """Time that stands still until it is moved."""

    def __init__(self, now: float = START) -> None:
        self.now = now
        self.sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.order = itertools.count()

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self.sleepers, (self.now + max(seconds, 0), next(self.order), future))
        await future

    def due(self, seconds: float) -> int:
        """How many sleep and will be woken within these seconds."""
        return sum(when <= self.now + seconds and not future.done() for when, _, future in self.sleepers)

    def wake_until(self, moment: float) -> bool:
        """Go to the next sleeper's time, if it is not after `moment`; else to `moment`, and return False."""
        while self.sleepers and self.sleepers[0][2].done():
            heapq.heappop(self.sleepers)
        if not self.sleepers or self.sleepers[0][0] > moment:
            self.now = moment
            return False
        when, _, future = heapq.heappop(self.sleepers)
        self.now = max(self.now, when)
        future.set_result(None)
        return True


class Mailbox:
    """Deliveries that arrive here; `failures` are raised, one a call, before anything arrives."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, Mapping[str, Any], Sequence[str]]] = []
        self.published: list[tuple[str, str, str, str, str]] = []
        self.invoked: list[tuple[str, Mapping[str, Any], str, str]] = []
        self.failures: list[Exception] = []

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> None:
        self.events.append((source, detail_type, detail, resources))

    async def publish(self, topic_arn: str, subject: str, message: str, *, principal: str, source_arn: str) -> None:
        self._fail()
        self.published.append((topic_arn, subject, message, principal, source_arn))

    async def invoke(self, function_arn: str, event: Mapping[str, Any], *, principal: str, source_arn: str) -> None:
        self._fail()
        self.invoked.append((function_arn, event, principal, source_arn))


class Local:
    """A running CloudWatch: `await local(operation, **parameters)` asks it as botocore would."""

    def __init__(self, state: Path, clock: ManualClock, mail: Mailbox) -> None:
        self.clock = clock
        self.mail = mail
        self.platform = Platform(
            state, state, "us-east-1", "123456789012", "http://127.0.0.1:1", clock, lambda _name: None, mail
        )
        self.service: CloudWatch = create(self.platform)

    async def __call__(self, operation: str, protocol: str = "cbor", **parameters: Any) -> dict[str, Any]:
        status, _, _, parsed = await self.ask(operation, protocol, **parameters)
        if status >= 300:
            raise ClientError(cast(Any, parsed), operation)
        return {name: value for name, value in parsed.items() if name != "ResponseMetadata"}

    async def ask(
        self, operation: str, protocol: str = "cbor", **parameters: Any
    ) -> tuple[int, dict[str, str], bytes, dict[str, Any]]:
        model = MODEL.operation_model(operation)
        request = create_serializer(PROTOCOLS[protocol], False).serialize_to_request(parameters, model)
        sent = request["body"]
        if isinstance(sent, dict):
            sent = urlencode(sent).encode()
        headers = {name.lower(): value for name, value in request["headers"].items()}
        status, answered, body = await self.service.handle("POST", request["url_path"], headers, sent, {})
        parser = create_parser(PROTOCOLS[protocol])
        response = {"status_code": status, "headers": HeadersDict(answered), "body": body}
        return status, answered, body, parser.parse(response, cast(Any, model.output_shape))

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that happens in it."""
        moment = self.clock.now + seconds
        await self.settle()
        while self.clock.wake_until(moment):
            await self.settle()
        await self.settle()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that no clock brings about."""
        while not holds():
            await asyncio.sleep(0.002)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        await asyncio.wait_for(self.service.settled(), 120)

    def put(self, value: float, name: str = "errors", ago: float = 0.0, unit: str = "Count", **dimensions: str) -> None:
        """Put an in-process datum into the namespace `test`."""
        self.service.put("test", [Datum(name, dimensions, value, unit, self.clock.now - ago)])

    async def alarm(self, name: str = "alarm", **changes: Any) -> None:
        """Define an alarm on the sum of `errors`, over 10 s, more than 1; without what is changed to None."""
        base: dict[str, Any] = {
            "Namespace": "test",
            "MetricName": "errors",
            "Statistic": "Sum",
            "Period": 10,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        wanted = {member: value for member, value in {**base, **changes}.items() if value is not None}
        await self("PutMetricAlarm", AlarmName=name, **wanted)

    async def state(self, name: str = "alarm") -> str:
        return (await self.describe(name))["StateValue"]

    async def describe(self, name: str = "alarm") -> dict[str, Any]:
        answer = await self("DescribeAlarms", AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        (alarm,) = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
        return alarm

    async def history(self, kind: str | None = None, name: str = "alarm") -> list[str]:
        """Summaries, oldest first."""
        asked = {"HistoryItemType": kind} if kind else {}
        answer = await self("DescribeAlarmHistory", AlarmName=name, ScanBy="TimestampAscending", **asked)
        return [item["HistorySummary"] for item in answer["AlarmHistoryItems"]]


@asynccontextmanager
async def running(state: Path, clock: ManualClock | None = None, mail: Mailbox | None = None) -> AsyncIterator[Local]:
    local = Local(state, clock or ManualClock(), mail or Mailbox())
    await local.service.start()
    try:
        yield local
    finally:
        await local.service.stop()
