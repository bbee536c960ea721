"""Where does the output of containers go? To CloudWatch Logs, a stream an instance, in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from localcloud.server import background
from localcloud.server.platform import Clock

# PutLogEvents takes 10,000 events and 1,048,576 bytes, 26 of them counted for each event on top of its text.
_MOST_EVENTS = 10_000
_MOST_BYTES = 1_000_000
_EVENT_BYTES = 26
_LONGEST_EVENT = 250_000
_KEPT = 50_000  # lines that wait while Logs does not take them; older ones are dropped
_log = logging.getLogger(__name__)


TRAINING_JOBS = "/aws/sagemaker/TrainingJobs"
"""The log group of all training jobs."""

PROCESSING_JOBS = "/aws/sagemaker/ProcessingJobs"
"""The log group of all processing jobs."""


def group_of(endpoint: str) -> str:
    """The log group of an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


@dataclass
class _Stream:
    group: str
    name: str
    waiting: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    made: bool = False


class ContainerLogs:
    """Collects lines and puts them into Logs every so often.

    Args:
        logs: Answers a boto3 Logs client; blocks.
        clock: Gives the events' times.
        interval: Seconds between batches.
    """

    def __init__(self, logs: Callable[[], Any], clock: Clock, interval: float) -> None:
        self._logs = logs
        self._clock = clock
        self._interval = interval
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._flushing = asyncio.Lock()

    def start(self) -> None:
        """Begin to put batches."""
        self._task = background.begin(self._run(), "upload of container output")

    async def stop(self) -> None:
        """Put what is left."""
        self._stopping.set()
        if self._task is not None:  # not cancelled: what a batch under way could not put would be lost
            await self._task
        await self.flush()

    def stream(self, group: str, name: str) -> Callable[[str], None]:
        """Takes the lines of one container; never blocks."""
        stream = self._streams.setdefault((group, name), _Stream(group, name))

        def hear(line: str) -> None:
            # Logs refuses an empty message.
            stream.waiting.append((int(self._clock.time() * 1000), line[:_LONGEST_EVENT] or " "))

        return hear

    async def flush(self) -> None:
        """Put all lines that wait, also those that are on their way; those that Logs does not take wait on."""
        async with self._flushing:
            for stream in [stream for stream in self._streams.values() if stream.waiting]:
                lines = list(stream.waiting)
                stream.waiting.clear()
                kept = await asyncio.to_thread(self._put, stream, lines)
                stream.waiting.extendleft(reversed(kept))

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._interval)
            with background.log_errors("an upload of container output"):
                await self.flush()

    def _put(self, stream: _Stream, lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Put lines in batches; answers those that were not taken."""
        try:
            client = self._logs()
            if not stream.made:
                _make(client.create_log_group, logGroupName=stream.group)
                _make(client.create_log_stream, logGroupName=stream.group, logStreamName=stream.name)
                stream.made = True
            while lines:
                batch = _batch(lines)
                events = [{"timestamp": time, "message": text} for time, text in batch]
                client.put_log_events(logGroupName=stream.group, logStreamName=stream.name, logEvents=events)
                lines = lines[len(batch) :]
        except Exception as error:  # whatever it is: the lines wait
            stream.made = False  # the group may have been deleted
            _log.warning("Logs did not take the output of %s %s: %s", stream.group, stream.name, error)
        return lines


def _make(create: Callable[..., Any], **names: str) -> None:
    try:
        create(**names)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _batch(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    size = 0
    for position, (_, text) in enumerate(lines[:_MOST_EVENTS]):
        size += len(text.encode()) + _EVENT_BYTES
        if size > _MOST_BYTES:
            return lines[: max(position, 1)]
    return lines[:_MOST_EVENTS]
