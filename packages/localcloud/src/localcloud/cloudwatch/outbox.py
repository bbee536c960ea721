"""Messages on their way: to topics, functions and the event bus.

A message is written down in the transaction that changes the alarm's state, and deleted in the one that notes its
outcome in the history. So it arrives at least once, also when this process dies in between, and twice only when it
dies between delivery and note. Messages to one target go one after the other; targets do not wait for each other.
What fails for another reason than a refusal by the target is tried again, `ATTEMPTS` times in all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections import deque
from dataclasses import dataclass
from typing import Any

from localcloud.cloudwatch import history
from localcloud.cloudwatch.database import Database
from localcloud.server import background
from localcloud.server.platform import Clock, Deliveries, DeliveryRefused

EVENT, SNS, LAMBDA = "event", "sns", "lambda"
ATTEMPTS = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_TIMEOUT = 60.0
_CLOSING = 3.0
_PRINCIPALS = {SNS: "cloudwatch.amazonaws.com", LAMBDA: "lambda.alarms.cloudwatch.amazonaws.com"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        id: Of its row; 0 until it is written down.
        alarm: Name of the alarm that it is about, and `alarm_kind` and `alarm_arn` of it.
        kind: `event`, `sns` or `lambda`.
        target: ARN of the topic or function; the detail type of an event.
        body: JSON: the event's detail, the function's event, or subject and message for a topic.
        moment: When the state changed.
    """

    id: int
    alarm: str
    alarm_kind: str
    alarm_arn: str
    kind: str
    target: str
    body: dict[str, Any]
    moment: float


class Outbox:
    """All messages that have not arrived yet."""

    def __init__(self, database: Database, deliveries: Deliveries, clock: Clock) -> None:
        self._database = database
        self._deliveries = deliveries
        self._clock = clock
        self._queues: dict[str, deque[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def open(self) -> None:
        """Take up what was on its way when the last process ended."""

        def load(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute("select id, alarm, kind, target, body, moment from outbox order by id").fetchall()

        for number, alarm, kind, target, body, moment in await self._database.read(load):
            envelope = json.loads(body)
            self.send(Message(number, alarm, envelope["kind"], envelope["arn"], kind, target, envelope["body"], moment))

    async def close(self) -> None:
        """Stop delivering; what has not arrived is kept. A delivery under way has a few seconds to end."""
        waited = 0.0
        while self._under_way and waited < _CLOSING:
            await asyncio.sleep(_CLOSING / 100)
            waited += _CLOSING / 100
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, message: Message) -> None:
        """Deliver a message that has been written down; returns at once."""
        lane = f"{message.kind} {message.target}"
        queue = self._queues.get(lane)
        if queue is not None:
            queue.append(message)
            return
        self._queues[lane] = deque([message])
        task = background.begin(self._drain(lane), f"deliveries to {lane}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until nothing is on its way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drain(self, lane: str) -> None:
        queue = self._queues[lane]
        while queue:
            message = queue[0]
            # Of one that fails the row stays: the next start sends it again. Those behind it must not wait for that.
            with background.log_errors(f"a message of alarm {message.alarm} to {message.target}"):
                await self._note(message, await self._deliver(message))
            queue.popleft()
        del self._queues[lane]

    async def _deliver(self, message: Message) -> str | None:
        """Returns why it did not arrive, or None when it did."""
        pause, error = _FIRST_PAUSE, ""
        for attempt in range(1, ATTEMPTS + 1):
            self._under_way += 1
            try:
                await asyncio.wait_for(self._call(message), _TIMEOUT)
                return None
            except DeliveryRefused as refusal:
                return str(refusal)
            except Exception as failure:  # any failure of another service must not end the deliveries
                error = f"{type(failure).__name__}: {failure}"
                logger.warning(
                    "alarm %s: attempt %d of %d to reach %s failed: %s",
                    message.alarm,
                    attempt,
                    ATTEMPTS,
                    message.target,
                    error,
                )
            finally:
                self._under_way -= 1
            if attempt < ATTEMPTS:
                await self._clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        return error

    async def _call(self, message: Message) -> None:
        if message.kind == EVENT:
            await self._deliveries.event("aws.cloudwatch", message.target, message.body, [message.alarm_arn])
        elif message.kind == SNS:
            await self._deliveries.publish(
                message.target,
                message.body["subject"],
                message.body["message"],
                principal=_PRINCIPALS[SNS],
                source_arn=message.alarm_arn,
            )
        else:
            await self._deliveries.invoke(
                message.target, message.body, principal=_PRINCIPALS[LAMBDA], source_arn=message.alarm_arn
            )

    async def _note(self, message: Message, error: str | None) -> None:
        item = None
        if message.kind != EVENT:
            published = json.loads(message.body["message"]) if message.kind == SNS else message.body
            now = self._clock.time()
            item = history.acted(
                message.alarm,
                message.alarm_kind,
                message.target,
                now,
                changed_at=message.moment,
                message=published,
                error=error,
            )
        if error is not None:
            logger.warning("alarm %s: %s was not reached: %s", message.alarm, message.target, error)

        def note(connection: sqlite3.Connection) -> None:
            connection.execute("delete from outbox where id = ?", (message.id,))
            if item is not None:
                history.insert(connection, item)

        pause = _FIRST_PAUSE
        while True:
            try:
                await self._database.write(note)
                return
            except sqlite3.Error as failure:
                logger.error("the delivery to %s could not be noted: %s", message.target, failure)
                await self._clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)


def insert(connection: sqlite3.Connection, message: Message) -> int:
    """Write a message down; returns the id of its row."""
    envelope = {"kind": message.alarm_kind, "arn": message.alarm_arn, "body": message.body}
    cursor = connection.execute(
        "insert into outbox (alarm, kind, target, body, moment) values (?, ?, ?, ?, ?)",
        (message.alarm, message.kind, message.target, json.dumps(envelope), message.moment),
    )
    return cursor.lastrowid or 0
