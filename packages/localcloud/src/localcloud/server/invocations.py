"""Asynchronous invocations of functions: accepted durably, retried, then sent to where failures go.

ministack keeps such an invocation in a thread's memory, delivers SNS and EventBridge without any retry, and sends
failures away with rights that no role gave. Here an event is a row of SQLite from acceptance to its end, so that
`kill -9` delays it (and may deliver it twice, as AWS may), and a dead-letter queue or destination is written with the
credentials of the function's own role.

Source: AWS Lambda developer guide, "Error handling for asynchronous invocations" and "Adding a dead-letter queue".
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from ministack.core import lambda_runtime
from ministack.core.arn import parse_arn
from ministack.core.concurrency import run_reentrant
from ministack.core.responses import request_scope
from ministack.services import lambda_svc

from localcloud.server import background
from localcloud.server.platform import Clock
from localcloud.server.repairs import Meter

log = logging.getLogger("localcloud.invocations")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS invocation (
    id TEXT PRIMARY KEY, function TEXT NOT NULL, event TEXT NOT NULL,
    accepted REAL NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0)
"""
_RETRIES = 2
_MAX_AGE_SECONDS = 21_600
_THROTTLE_SECONDS = 1.0
_AT_ONCE = 4
"""Events of one function that run at a time, each in a process; its reserved concurrency counts instead."""


@dataclass(frozen=True)
class Invocation:
    """One accepted event.

    Attributes:
        id: Request id, the same for all attempts.
        function: ARN of the function, with a qualifier if the caller named one.
        event: The payload as JSON.
        accepted: When it was accepted, in seconds since the epoch.
        attempts: Attempts so far.
    """

    id: str
    function: str
    event: str
    accepted: float
    attempts: int


class Invocations:
    """The queue of asynchronous invocations and the task that works it off.

    A failed attempt is repeated after 1 and 2 seconds, where AWS takes 1 and 2 minutes; `LOCALCLOUD_RETRY_SECONDS`
    sets the first.
    """

    def __init__(self, path: Path, clock: Clock, meter: Meter, log_written: Callable[[], None]) -> None:
        self._clock = clock
        self._meter = meter
        self._log_written = log_written
        self._retry_seconds = float(os.environ.get("LOCALCLOUD_RETRY_SECONDS", "1"))
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(_SCHEMA)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()  # how many of them each function has
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def submit(self, function_arn: str, event: Any) -> None:
        """Accept an event; it is on disk when this returns. May be called from any thread.

        Raises:
            sqlite3.OperationalError: The disk is full or read-only.
        """
        now = self._clock.time()
        self._execute(
            "INSERT INTO invocation (id, function, event, accepted, due) VALUES (?, ?, ?, ?, ?)",
            (str(uuid.uuid4()), function_arn, json.dumps(event), now, now),
        )
        self._meter(_whose(function_arn), "AsyncEventsReceived", 1, "Count")
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def start(self) -> None:
        """Begin to work the queue off, what an earlier process left included."""
        self._loop = asyncio.get_running_loop()
        self._wake.set()
        self._worker = background.begin(self._work(), "asynchronous invocations")

    async def stop(self) -> None:
        """Stop taking events up; those at work go on after the next start."""
        tasks = [task for task in (self._worker, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        self._loop = None
        self._database.close()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            pause: float | None = self._retry_seconds
            with background.log_errors("a look for events that are due"):
                pause = self._start_due()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    def _start_due(self) -> float | None:
        """Start what is due and has room; says in how many seconds more is due, None when only a call can bring it.

        An event beyond its function's limit waits for one of that function to end, and holds no other function up.
        """
        now, room = self._clock.time(), dict[str, int]()
        for key, function, due in self._execute("SELECT id, function, due FROM invocation ORDER BY due"):
            if key in self._running:
                continue
            if due > now:
                return max(0.01, due - now)
            name = _unqualified(function)
            if name not in room:
                room[name] = _limit(function) - self._busy[name]
            if room[name] > 0:
                room[name] -= 1
                self._start(key, name)
        return None

    def _start(self, key: str, name: str) -> None:
        [row] = self._execute("SELECT id, function, event, accepted, attempts FROM invocation WHERE id = ?", (key,))
        self._running[key] = background.begin(self._attempt(Invocation(*row)), f"event {key}")
        self._busy[name] += 1
        self._running[key].add_done_callback(lambda _: self._finished(key, name))

    def _finished(self, key: str, name: str) -> None:
        del self._running[key]
        self._busy[name] -= 1
        self._wake.set()

    async def _attempt(self, invocation: Invocation) -> None:
        """Run an event once; what does not even run is due again after a pause, as Lambda does with its own errors."""
        try:
            await self._run(invocation)
        except Exception:
            log.exception("the event %s of %s could not be run", invocation.id, invocation.function)
            await asyncio.sleep(self._retry_seconds)

    async def _run(self, invocation: Invocation) -> None:
        with _scope(invocation.function):
            function, config, name = lambda_svc._get_func_record_for_ref(invocation.function)
            if not function or not config:
                log.warning("%s was deleted before its event %s ran", name, invocation.id)
                self._forget(invocation)
                return
            record = lambda_svc._execution_record_for_config(function, config)
            begun = time.perf_counter()
            result = await run_reentrant(
                lambda_svc._execute_function_with_config_scope,
                record,
                json.loads(invocation.event),
                thread_name="lambda-async",
            )
        self._log_written()
        if result.get("throttle"):
            self._postpone(invocation, _THROTTLE_SECONDS, attempts=invocation.attempts)
            return
        self._meter(_whose(invocation.function), "Invocations", 1, "Count")
        self._meter(_whose(invocation.function), "Errors", 1 if result.get("error") else 0, "Count")
        self._meter(_whose(invocation.function), "Duration", (time.perf_counter() - begun) * 1000, "Milliseconds")
        if not result.get("error"):
            self._forget(invocation)
        else:
            await self._failed(invocation, function, config, result)

    async def _failed(
        self, invocation: Invocation, function: dict[str, Any], config: dict[str, Any], result: dict[str, Any]
    ) -> None:
        attempts = invocation.attempts + 1
        qualifier = lambda_svc._lambda_function_name_and_qualifier_from_arn(invocation.function)[1]
        settings = lambda_svc._event_invoke_config(function, qualifier) or {}
        retries = settings.get("MaximumRetryAttempts")
        delay = self._retry_seconds * 2 ** (attempts - 1)
        age = self._clock.time() - invocation.accepted + delay
        if attempts <= (_RETRIES if retries is None else retries) and age <= settings.get(
            "MaximumEventAgeInSeconds", _MAX_AGE_SECONDS
        ):
            self._postpone(invocation, delay, attempts)
            return
        failure = Failure(invocation, attempts, config, result)
        destination = (settings.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
        dead_letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
        for target, send, metric in (
            (destination, failure.to_destination, "DestinationDeliveryFailures"),
            (dead_letters, failure.to_dead_letters, "DeadLetterErrors"),
        ):
            if target:
                try:
                    await run_reentrant(send, target, thread_name="lambda-failure")
                except Exception as error:  # boto3 has no common base for what a call may raise
                    log.error("%s: the failed event %s cannot be sent: %s", target, invocation.id, error)
                    self._meter(_whose(invocation.function), metric, 1, "Count")
        self._forget(invocation)

    def _postpone(self, invocation: Invocation, seconds: float, attempts: int) -> None:
        self._execute(
            "UPDATE invocation SET due = ?, attempts = ? WHERE id = ?",
            (self._clock.time() + seconds, attempts, invocation.id),
        )

    def _forget(self, invocation: Invocation) -> None:
        self._execute("DELETE FROM invocation WHERE id = ?", (invocation.id,))

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


@dataclass(frozen=True)
class Failure:
    """An event whose attempts are used up."""

    invocation: Invocation
    attempts: int
    config: dict[str, Any]
    result: dict[str, Any]

    def to_dead_letters(self, target: str) -> None:
        """Send the event itself, with the error in the message's attributes."""
        body = self.result.get("body")
        message = body.get("errorMessage", "") if isinstance(body, dict) else str(body)
        texts = {"RequestID": self.invocation.id, "ErrorCode": "200", "ErrorMessage": str(message)[:1024] or "none"}
        attributes = {
            key: {"DataType": "Number" if key == "ErrorCode" else "String", "StringValue": text}
            for key, text in texts.items()
        }
        self._send(target, self.invocation.event, attributes)

    def to_destination(self, target: str) -> None:
        """Send a record of the invocation, the event and the error."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = {
            "version": "1.0",
            "timestamp": moment,
            "requestContext": {
                "requestId": self.invocation.id,
                "functionArn": f"{self.config['FunctionArn']}:{self.config.get('Version', '$LATEST')}",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": self.attempts,
            },
            "requestPayload": json.loads(self.invocation.event),
            "responseContext": {
                "statusCode": 200,
                "executedVersion": self.config.get("Version", "$LATEST"),
                "functionError": self.result.get("function_error") or "Unhandled",
            },
            "responsePayload": self.result.get("body"),
        }
        self._send(target, json.dumps(record), {})

    def _send(self, target: str, body: str, attributes: dict[str, Any]) -> None:
        keys = lambda_runtime.execution_credentials(self.config)
        arn = parse_arn(target)
        given = (keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_SESSION_TOKEN"])
        session = boto3.Session(*given, region_name=arn.region)
        if arn.service == "sqs":
            url = f"{os.environ['AWS_ENDPOINT_URL']}/{arn.account_id}/{arn.resource}"
            session.client("sqs").send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        elif arn.service == "sns":
            session.client("sns").publish(TopicArn=target, Message=body, MessageAttributes=attributes)
        elif arn.service == "lambda":
            session.client("lambda").invoke(FunctionName=target, InvocationType="Event", Payload=body.encode())
        elif arn.service == "events":
            entry = {
                "Source": "lambda",
                "DetailType": "Lambda Function Invocation Result - Failure",
                "Detail": body,
                "EventBusName": target,
                "Resources": [self.config["FunctionArn"]],
            }
            session.client("events").put_events(Entries=[entry])
        else:
            raise ValueError(f"{target} is no queue, topic, function or event bus")


def _whose(function_arn: str) -> tuple[str, str, str]:
    """The account, the region and the name of a function."""
    arn = parse_arn(function_arn)
    return arn.account_id, arn.region, _name(function_arn)


def _name(function_arn: str) -> str:
    return lambda_svc._lambda_function_name_and_qualifier_from_arn(function_arn)[0]


def _unqualified(function_arn: str) -> str:
    """Versions and aliases of a function share its limit."""
    return ":".join(function_arn.split(":")[:7])


def _limit(function_arn: str) -> int:
    with _scope(function_arn):
        function, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
        reserved = lambda_svc._reserved_concurrency(function or {}, config or {})
    return _AT_ONCE if reserved is None else max(1, reserved)  # one finds out that a limit of 0 lets none run


def _scope(function_arn: str) -> Any:
    arn = parse_arn(function_arn)
    return request_scope(arn.account_id, arn.region)
