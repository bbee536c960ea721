"""Predict for the requests that are there, together: a batch is what has come while the last one ran.

    batches = Batches(predict, promise, counts, Limits(), stuck=end, blocked=tell)
    batches.submit(Request(rows, begun, reply))     # reply(Answers, first, end) or reply(Failure) follows

No request waits for others to come. A prediction that is known to be quick runs on the event loop, which costs nothing;
a slow one runs in a thread, so that pings and further requests are taken meanwhile.
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

from serving.answers import Answers, WrongAnswers
from serving.instances import Rows
from serving.metrics import Counts
from serving.pace import Pace
from serving.promise import Promise

Predict = Callable[[Rows], Any]
"""The model's `predict(model, rows)`, with the model given."""


@dataclass(frozen=True)
class Failure:
    """Why a request has no answer.

    Attributes:
        status: Of the answer.
        kind: One of `metrics.FAILURES`.
        reason: What happened, for the caller and the log.
    """

    status: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """What may wait, and how long.

    Attributes:
        rows: Rows of one batch.
        requests: Requests that may wait; the next one is told to come again.
        seconds: From a request's last byte until it is given up. SageMaker waits as long.
        quick: Predictions up to so many seconds run on the event loop.
    """

    rows: int = 1000
    requests: int = 256
    seconds: float = 60.0
    quick: float = 0.010


class Request(msgspec.Struct, frozen=True):
    """Rows that wait for a prediction.

    Attributes:
        rows: What to predict for.
        begun: When its last byte came, by `time.monotonic`.
        reply: Called once: with the batch's answers and the request's first and last-but-one row in it, or a failure.
    """

    rows: Rows
    begun: float
    reply: Callable[[Answers | Failure, int, int], None]


class Full(Exception):
    """As many requests wait as may."""


class Batches:
    """Runs one batch after the other.

    Args:
        predict: Blocks; called with the rows of one batch.
        promise: What is held against each answer.
        counts: What is counted.
        limits: What may wait, and how long.
        stuck: Called when a prediction in a thread does not end in time: nothing can end it but the end of the process.
        blocked: Called with the time before each prediction on the loop, and with 0 after it: whoever else can see
            that must end the process in time.
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
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._scheduled = False
        self._told = 0  # how many wait, as the metrics tell it
        self._pace = Pace(limits.quick)

    def submit(self, request: Request) -> None:
        """Take a request.

        Raises:
            Full: As many wait as may.
        """
        if len(self._waiting) >= self._limits.requests:
            raise Full
        self._waiting.append(request)
        if not self._running and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def look(self, now: float) -> None:
        """Give up what waits for too long. Called once a second."""
        seconds = self._limits.seconds
        late = Failure(504, "deadline", f"the model did not answer within {seconds:g} s")
        while self._waiting and now - self._waiting[0].begun > seconds:
            self._waiting.popleft().reply(late, 0, 0)
        if self._running and now - self._running[0].begun > seconds:
            running, self._running = self._running, []
            for request in running:
                request.reply(late, 0, 0)
            again = Failure(503, "overloaded", "the model is being started again: send the request once more")
            while self._waiting:
                self._waiting.popleft().reply(again, 0, 0)
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
        if self._told and not self._waiting:  # else it would be told until the next look that they wait
            self._told = 0
            self._counts.put("waiting", 0)

    def _ran(self, done: asyncio.Future[Any]) -> None:
        batch, self._running = self._running, []
        if batch and not done.cancelled():
            _deliver(batch, done.result())
        self._run()

    def _next(self) -> list[Request]:
        found: list[Request] = []
        size = 0
        while self._waiting and (not found or size + len(self._waiting[0].rows) <= self._limits.rows):
            found.append(self._waiting.popleft())
            size += len(found[-1].rows)
        return found

    def _outcomes(self, batch: Sequence[Request]) -> list[tuple[Answers | Failure, int, int]]:
        """What each request of a batch is told. If the model fails for all together, each is tried alone."""
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
            return Failure(500, "model", f"{type(error).__name__}: {error}")
        finally:
            self._pace.note(time.monotonic() - begun)
            self._counts.batch(len(rows))


def _deliver(batch: Sequence[Request], outcomes: Sequence[tuple[Answers | Failure, int, int]]) -> None:
    for request, outcome in zip(batch, outcomes, strict=True):
        request.reply(*outcome)
