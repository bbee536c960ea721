"""Batches of predictions: a batch is all requests that arrived while the last one ran.

No request waits for others to arrive. A fast prediction runs on the event loop, which costs nothing; a slow one runs in
a thread, so that pings and further requests are served meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from modelstack.serving.answers import Answers, WrongAnswers
from modelstack.serving.instances import Rows
from modelstack.serving.metrics import Counts
from modelstack.serving.promise import Promise

Predict = Callable[[Rows], Any]
"""The model's `predict(model, rows)`, with the model given."""


_FORGETS = 0.8  # the weight of a batch after the next one


@dataclass(frozen=True)
class Failure:
    """Why a request has no answer: the HTTP status, one of `metrics.FAILURES`, a reason, and the error if any."""

    status: int
    kind: str
    reason: str
    error: Exception | None = None


@dataclass(frozen=True)
class Limits:
    """The limits of queue and batch, in rows and requests.

    Attributes:
        queued: Bytes of memory of the waiting requests, unless there is only one.
        seconds: From a request's last byte until it is given up. SageMaker waits as long.
        quick: Predictions of up to so many seconds run on the event loop.
    """

    rows: int = 1000
    requests: int = 256
    queued: int = 16 * 1024 * 1024
    seconds: float = 60.0
    quick: float = 0.010


class PendingRows(msgspec.Struct, frozen=True):
    """Rows that wait for a prediction since `begun`, by `time.monotonic`.

    `reply` is called once: with the batch's answers and the request's first row and end in it, or a failure. `size` is
    the bytes of memory that the request takes.
    """

    rows: Rows
    begun: float
    reply: Callable[[Answers | Failure, int, int], None]
    size: int = 0


class Full(Exception):
    """The queue is full."""


class Pace:
    """How long the last batches took, older ones with less weight; a fast one takes `quick` seconds at most.

    One slow batch affects only the next: on a busy machine a fast prediction waits for a core, too. After a second one
    predictions count as slow until both have lost their weight.
    """

    def __init__(self, quick: float) -> None:
        self._limit = quick
        self._slowest = self._second = 0.0
        self.quick = True
        """Whether the next batch is expected to be fast."""

    def note(self, seconds: float) -> None:
        """Record the seconds of a batch."""
        slowest, second = _FORGETS * self._slowest, _FORGETS * self._second
        self._slowest, self._second = (seconds, slowest) if seconds > slowest else (slowest, max(seconds, second))
        self.quick = seconds <= self._limit and self._second <= self._limit


class Batches:
    """Runs one batch after the other.

    Args:
        stuck: Called when a prediction in a thread times out: only ending the process can stop it.
        blocked: Called with the time before each prediction on the loop, and with 0 after it, for the supervisor, which
            must end a process that is blocked for too long.
    """

    def __init__(
        self,
        predict: Predict,
        promise: Promise,
        counts: Counts,
        limits: Limits,
        *,
        stuck: Callable[[], None],
        blocked: Callable[[float], None],
    ) -> None:
        self._predict = predict
        self._promise = promise
        self._counts = counts
        self._limits = limits
        self._stuck = stuck
        self._blocked = blocked
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._waiting: deque[PendingRows] = deque()
        self._running: list[PendingRows] = []
        self._scheduled = False
        self._size = 0  # of the waiting requests
        self._told = 0  # the metric `waiting`
        self._pace = Pace(limits.quick)

    def submit(self, request: PendingRows) -> None:
        """Queue a request, or raise Full."""
        limits = self._limits
        if self._waiting and (len(self._waiting) >= limits.requests or self._size + request.size > limits.queued):
            raise Full
        self._waiting.append(request)
        self._size += request.size
        if not self._running and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def look(self, now: float) -> None:
        """Time out what waits for too long. Called once a second."""
        seconds = self._limits.seconds
        late = Failure(504, "deadline", f"the model did not answer within {seconds:g} s")
        while self._waiting and now - self._waiting[0].begun > seconds:
            self._pop().reply(late, 0, 0)
        if self._running and now - self._running[0].begun > seconds:
            running, self._running = self._running, []
            for request in running:
                request.reply(late, 0, 0)
            again = Failure(503, "overloaded", "the model is being started again: send the request once more")
            while self._waiting:
                self._pop().reply(again, 0, 0)
            self._stuck()
        self._told = len(self._waiting)
        self._counts.put("waiting", self._told)

    def _run(self) -> None:
        self._scheduled = False
        batch = self._next()
        if not batch:
            return
        if self._pace.quick:
            self._blocked(time.monotonic())
            outcomes = self._outcomes(batch)
            self._blocked(0.0)
            _deliver(batch, outcomes)
        else:
            self._running = batch
            self._loop.run_in_executor(self._thread, self._outcomes, batch).add_done_callback(self._ran)
        if self._waiting and not self._running:
            self._scheduled = True
            self._loop.call_soon(self._run)
        if self._told and not self._waiting:  # else the metric would be too high until the next look
            self._told = 0
            self._counts.put("waiting", 0)

    def _ran(self, done: asyncio.Future[Any]) -> None:
        batch, self._running = self._running, []
        if batch and not done.cancelled():
            _deliver(batch, done.result())
        self._run()

    def _next(self) -> list[PendingRows]:
        found: list[PendingRows] = []
        size = 0
        while self._waiting and (not found or size + len(self._waiting[0].rows) <= self._limits.rows):
            found.append(self._pop())
            size += len(found[-1].rows)
        return found

    def _pop(self) -> PendingRows:
        request = self._waiting.popleft()
        self._size -= request.size
        return request

    def _outcomes(self, batch: Sequence[PendingRows]) -> list[tuple[Answers | Failure, int, int]]:
        """The answers to a batch. If the model fails for all together, each request is tried alone."""
        found = self._answers([request.rows for request in batch])
        if len(batch) == 1:
            return [(found, 0, len(batch[0].rows))]
        if isinstance(found, Answers):
            ends = list(accumulate((len(request.rows) for request in batch), initial=0))
            return [(found, first, end) for first, end in pairwise(ends)]
        alone = [self._answers([request.rows]) for request in batch]
        return [(one, 0, len(request.rows)) for one, request in zip(alone, batch, strict=True)]

    def _answers(self, parts: Sequence[Rows]) -> Answers | Failure:
        rows = parts[0] if len(parts) == 1 else Rows.joined(parts)
        begun = time.monotonic()
        try:
            found = Answers.of(self._predict(rows), len(rows))
            self._promise.check(found)
            return found
        except WrongAnswers as error:
            return Failure(500, "model", str(error))
        except Exception as error:
            return Failure(500, "model", f"{type(error).__name__}: {error}", error)
        finally:
            self._pace.note(time.monotonic() - begun)
            self._counts.batch(len(rows))


def _deliver(batch: Sequence[PendingRows], outcomes: Sequence[tuple[Answers | Failure, int, int]]) -> None:
    for request, outcome in zip(batch, outcomes, strict=True):
        request.reply(*outcome)
