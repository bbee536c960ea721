"""Puts the year's real flights on an endpoint, in their order, and counts what came back.

The load is open: a request is sent when its time has come, whether or not earlier ones were answered, so that a slow
endpoint shows as latency and not as a lower rate (closed loops hide it; Schroeder et al., NSDI 2006).
"""

from __future__ import annotations

import json
import textwrap
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import chain, islice
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from model import data
from model.data import Flight
from ops.errors import OperatorError, refusal
from ops.labels import LateLabels
from ops.target import Target

_WORKERS = 16


@dataclass(frozen=True)
class Pace:
    """When a request is due: by the events' own times sped up, or at a constant rate (requests a second)."""

    speed: float = 3600.0
    rate: float | None = None

    def due(self, number: int, at: datetime, first: datetime) -> float:
        """Seconds after the start at which request `number` (from 0), of event time `at`, is sent."""
        if self.rate is not None:
            return number / self.rate
        return (at - first).total_seconds() / self.speed


@dataclass(frozen=True)
class Failure:
    """A request that was not answered as asked: when it was sent (monotonic seconds), the answer, and its words."""

    at: float
    answer: str
    text: str


@dataclass
class Report:
    """What came back: counts by answer and by variant, latencies in milliseconds, and the failures' own words.

    `routed` has, of each request that was answered, when it was sent (monotonic seconds) and by which variant.
    `ended_at` is the time of the last flight when there was none after it; None when something else ended the replay.
    """

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    routed: list[tuple[float, str]] = field(default_factory=list)
    elapsed_s: float = 0.0
    ended_at: datetime | None = None

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return len(self.failures)

    @property
    def first_failures(self) -> list[str]:
        """What the first three failures said."""
        return [failure.text for failure in self.failures[:3]]

    def quantile(self, q: float) -> float:
        """The q-quantile of the latency in milliseconds (nearest rank); 0 when nothing was sent."""
        if not self.latencies_ms:
            return 0.0
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "answers": dict(self.answers),
            "variants": dict(self.variants),
            "latency_ms": {"p50": self.quantile(0.5), "p90": self.quantile(0.9), "p99": self.quantile(0.99)},
            "elapsed_s": round(self.elapsed_s, 3),
            "first_failures": self.first_failures,
        }

    def table(self) -> Table:
        """The report for a terminal."""
        table = Table(title="replay", title_justify="left", show_header=False)
        table.add_row(
            "sent", f"{self.sent:,} in {self.elapsed_s:.1f} s ({self.sent / max(self.elapsed_s, 1e-9):.0f}/s)"
        )
        table.add_row("failed", f"{self.failed:,}")
        table.add_row("answers", "  ".join(f"{name}: {n:,}" for name, n in self.answers.most_common()))
        table.add_row("by variant", "  ".join(f"{name}: {n:,}" for name, n in self.variants.most_common()))
        quantiles = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        table.add_row("latency", "  ".join(f"{name} {self.quantile(q):.1f} ms" for name, q in quantiles))
        for failure in self.first_failures:
            table.add_row("failure", textwrap.shorten(failure, 160, placeholder=" ..."))
        return table


class Sender:
    """Sends requests to one endpoint from several threads and keeps one report."""

    def __init__(
        self, target: Target, report: Report, variant: str | None = None, labels: LateLabels | None = None
    ) -> None:
        config = Config(
            connect_timeout=3, read_timeout=65, retries={"total_max_attempts": 1}, max_pool_connections=_WORKERS
        )
        self._runtime = target.client("sagemaker-runtime", config)
        self._endpoint = target.endpoint
        self._variant = {"TargetVariant": variant} if variant else {}
        self._labels = labels
        self._run = uuid.uuid4().hex[:8]  # a flight that is replayed again is another request, with a label of its own
        self._lock = threading.Lock()
        self.report = report

    def send(self, flight: Flight) -> None:
        """Invoke the endpoint once; the outcome goes into the report. A request is never sent twice."""
        body, inference_id = json.dumps({"instances": [flight.instance]}), f"{flight.id}.{self._run}"
        begun = time.monotonic()
        variant, failure = None, None
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self._endpoint,
                ContentType="application/json",
                InferenceId=inference_id,
                Body=body,
                **self._variant,
            )
            answer["Body"].read()
            variant, name = answer["InvokedProductionVariant"], "200"
            if self._labels is not None and flight.late is not None:
                self._labels.add(inference_id, flight.late)
        except ClientError as error:
            detail = error.response.get("Error", {})
            name = str(error.response.get("OriginalStatusCode") or detail.get("Code", "error"))
            failure = f"{flight.id}: {refusal(error)}"
        except BotoCoreError as error:
            name, failure = type(error).__name__, f"{flight.id}: {error}"
        spent = 1000 * (time.monotonic() - begun)
        with self._lock:
            self.report.sent += 1
            self.report.answers[name] += 1
            self.report.latencies_ms.append(spent)
            if variant:
                self.report.variants[variant] += 1
                self.report.routed.append((begun, variant))
            if failure:
                self.report.failures.append(Failure(begun, name, failure))


def flights(start: date, end: date) -> Iterator[Flight]:
    """The flights scheduled from `start` to `end` (both included), in order of departure, a day at a time.

    Raises:
        OperatorError: The data has no flight in these days.
    """
    days = (start + timedelta(days=number) for number in range((end - start).days + 1))
    found = (flight for day in days for flight in data.replay(str(day), str(day + timedelta(days=1))))
    first = next(found, None)
    if first is None:
        raise OperatorError(
            f"no flight is scheduled from {start} to {end}", "Give --from a day of the data, such as 2013-03-01.", 2
        )
    return chain([first], found)


def run(
    target: Target,
    source: Iterable[Flight],
    pace: Pace,
    *,
    limit: int | None = None,
    seconds: float | None = None,
    variant: str | None = None,
    labels: LateLabels | None = None,
    tick: Callable[[Report, datetime], None] = lambda report, at: None,
    stop: threading.Event | None = None,
    report: Report | None = None,
) -> Report:
    """Send `source` at its pace until it ends, `limit` or `seconds` is reached, or `stop` is set.

    Args:
        target: The endpoint.
        source: The flights, in order.
        pace: When each is due.
        limit: The most requests.
        seconds: The most seconds.
        variant: Send everything to this variant.
        labels: Takes the true label of each flight that was answered and has one.
        tick: Called after each request is handed over, with the report so far and the flight's own time.
        stop: Ends the run from another thread; what is under way is still counted.
        report: What the outcomes are added to; a new one if left out.
    """
    sender, stop = Sender(target, report or Report(), variant, labels), stop or threading.Event()
    begun, first, last = time.monotonic(), None, None
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for number, flight in enumerate(islice(source, limit)):
                first, last = first or flight.event_time, flight.event_time
                due = pace.due(number, flight.event_time, first)
                if seconds is not None and due > seconds:
                    stop.wait(max(0.0, seconds - (time.monotonic() - begun)))
                    break
                if stop.wait(max(0.0, due - (time.monotonic() - begun))):
                    break
                pool.submit(sender.send, flight)
                tick(sender.report, flight.event_time)
            else:
                sender.report.ended_at = None if limit else last
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
    sender.report.elapsed_s = time.monotonic() - begun
    return sender.report


@contextmanager
def background(target: Target, rate: float, *, start: date, longest: float = 3600) -> Iterator[Report]:
    """Send flights from `start` on at `rate` requests a second until the block ends; yields the growing report."""
    stop, report = threading.Event(), Report()

    def send() -> None:
        run(
            target, flights(start, date(start.year, 12, 31)), Pace(rate=rate), seconds=longest, stop=stop, report=report
        )

    sender = threading.Thread(target=send, name="replay", daemon=True)
    sender.start()
    try:
        yield report
    finally:
        stop.set()
        sender.join(timeout=90)
