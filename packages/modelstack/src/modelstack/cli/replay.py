"""Sends the model's own events to an endpoint, in their order, and counts the answers.

The load is open: a request is sent when it is due, whether or not earlier ones were answered, so that a slow endpoint
shows as latency and not as a lower rate (Schroeder et al., NSDI 2006).
"""

from __future__ import annotations

import json
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from rich.table import Table

from modelstack.cli.errors import NotAnswered, OperatorError
from modelstack.cli.invoke import answer_of
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target, project_root
from modelstack.pipeline.contract import Event
from modelstack.services.invoke import Request

if TYPE_CHECKING:
    from modelstack.cli.labels import LateLabels

_WORKERS = 16
_EVENT = ("id", "event_time", "instance", "label", "label_at")


@dataclass(frozen=True)
class Pace:
    """Paces requests by the events' own times sped up, or at a constant rate (requests a second)."""

    speed: float = 3600.0
    rate: float | None = None

    def due(self, number: int, at: datetime | None, first: datetime | None) -> float:
        """Seconds from the start to request `number` (from 0); OperatorError without rate and event time."""
        if self.rate is not None:
            return number / self.rate
        if at is None or first is None:
            raise OperatorError(
                "the model's events have no time, so --speed means nothing", "Give --rate, as in --rate 25.", 2
            )
        return (at - first).total_seconds() / self.speed

    def lateness(self, event: Event) -> float:
        """Seconds from a request to its label, sped up as the events are."""
        if event.event_time is None or event.label_at is None:
            return 0.0
        return (event.label_at - event.event_time).total_seconds() / self.speed


@dataclass(frozen=True)
class Failure:
    """A failed request: when it was sent (monotonic seconds), the kind of answer, and its text."""

    at: float
    answer: str
    text: str


@dataclass
class Report:
    """Results of a replay. `last` is the time of the last due event; `ended` says that the events ran out.

    `routed` has send time (monotonic seconds) and variant of each answered request.
    """

    due: int = 0
    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    routed: list[tuple[float, str]] = field(default_factory=list)
    elapsed_s: float = 0.0
    ended: bool = False
    last: datetime | None = None

    @property
    def failed(self) -> int:
        """Number of failed requests."""
        return len(self.failures)

    @property
    def first_failures(self) -> list[str]:
        """Texts of the first three failures."""
        return [failure.text for failure in self.failures[:3]]

    def quantile(self, q: float) -> float:
        """The q-quantile of the latency in milliseconds (nearest rank); 0 without requests."""
        if not self.latencies_ms:
            return 0.0
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]

    @property
    def quantiles_ms(self) -> dict[str, float]:
        """Latency quantiles for people, milliseconds."""
        return {name: self.quantile(q) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "answers": dict(self.answers),
            "variants": dict(self.variants),
            "latency_ms": self.quantiles_ms,
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
        table.add_row("latency", "  ".join(f"{name} {value:.1f} ms" for name, value in self.quantiles_ms.items()))
        for failure in self.first_failures:
            table.add_row("failure", textwrap.shorten(failure, 160, placeholder=" ..."))
        return table


class Sender:
    """Sends requests to one endpoint from several threads, into one report."""

    def __init__(
        self,
        target: Target,
        report: Report,
        pace: Pace,
        *,
        variant: str | None = None,
        labels: LateLabels | None = None,
    ) -> None:
        self._invoke, self._variant = platform_of(target).invoke(_WORKERS), variant
        self._labels, self._pace = labels, pace
        self._run = uuid.uuid4().hex[:8]  # an event that is replayed again is another request, with a label of its own
        self._lock = threading.Lock()
        self.report = report

    def send(self, event: Event) -> None:
        """Invoke the endpoint once and record the outcome; a request is never sent twice."""
        body, inference_id = json.dumps({"instances": [event.instance]}), f"{event.id}.{self._run}"
        begun = time.monotonic()
        variant, failure = None, None
        # What the request is about, not when it is asked: drift is judged by the days of the events.
        about = event.event_time.isoformat() if event.event_time else ""
        try:
            asked = Request(body.encode(), variant=self._variant, inference_id=inference_id, event_time=about)
            variant, name = answer_of(self._invoke, asked).variant, "200"
            if self._labels is not None and event.label is not None:
                self._labels.add(inference_id, event.label, self._pace.lateness(event))
        except NotAnswered as error:
            name, failure = error.kind, f"{event.id}: {error}"
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


def events(since: str | None = None, until: str | None = None) -> Iterator[Event]:
    """The model's events from `since` to before `until` (ISO 8601, UTC); None leaves it to the model.

    OperatorError if there is none, or they lack fields.
    """
    if (root := str(project_root())) not in sys.path:
        sys.path.insert(0, root)  # the folder of an installed command is first there, and not that of the model
    from modelstack.pipeline import parts  # noqa: PLC0415 - what it loads, only a replay needs

    found = parts.replay(since, until)
    first = next(found, None)
    if first is None:
        period = " ".join(f"{word} {day}" for word, day in (("from", since), ("before", until)) if day)
        raise OperatorError(f"the model has no event {period or 'at all'}", "Leave --from and --to out.", 2)
    lacks = [name for name in _EVENT if not hasattr(first, name)]
    if lacks:
        raise OperatorError(
            f"model/data.py: replay(since, until) yields {type(first).__name__} without {', '.join(lacks)}",
            f"Expected are {', '.join(_EVENT)}; docs/how-to/own-model.md says what they hold.",
            2,
        )
    if first.event_time is None and (since or until):
        raise OperatorError("the model's events have no time, so --from and --to mean nothing", "Leave them out.", 2)
    return chain([first], found)


def run(
    target: Target,
    source: Iterable[Event],
    pace: Pace,
    *,
    limit: int | None = None,
    seconds: float | None = None,
    variant: str | None = None,
    labels: LateLabels | None = None,
    stop: threading.Event | None = None,
    report: Report | None = None,
) -> Report:
    """Send the events at their pace until they end, `limit` or `seconds` is reached, or `stop` is set.

    After `stop`, requests under way still count. `labels` takes the true label of each answered event.
    """
    report, stop = report or Report(), stop or threading.Event()
    sender = Sender(target, report, pace, variant=variant, labels=labels)
    begun, first = time.monotonic(), None
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for number, event in enumerate(islice(source, limit)):
                first = first or event.event_time
                due = pace.due(number, event.event_time, first)
                if seconds is not None and due > seconds:
                    stop.wait(max(0.0, seconds - (time.monotonic() - begun)))
                    break
                if stop.wait(max(0.0, due - (time.monotonic() - begun))):
                    break
                pool.submit(sender.send, event)
                report.due, report.last = report.due + 1, event.event_time
            else:
                report.ended = limit is None
            if not stop.is_set():
                pool.shutdown()  # here, where a Ctrl-C still ends it with a report
        except KeyboardInterrupt:
            stop.set()
        if stop.is_set():
            pool.shutdown(cancel_futures=True)  # a slow endpoint leaves many that wait for their turn
    report.elapsed_s = time.monotonic() - begun
    return report


@contextmanager
def background(target: Target, rate: float, *, since: str | None = None) -> Iterator[Report]:
    """Send events at `rate` requests a second during the block, an hour at most; yields the report."""
    stop, report, source = threading.Event(), Report(), events(since)

    def send() -> None:
        run(target, source, Pace(rate=rate), seconds=3600, stop=stop, report=report)

    sender = threading.Thread(target=send, name="replay", daemon=True)
    sender.start()
    try:
        yield report
    finally:
        stop.set()
        sender.join(timeout=90)
