"""Puts the year's events on an endpoint, several a request, and keeps how good each answer was.

It waits when the endpoint is behind: this is a year in small, and no test of load.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from demos.year.clock import Clock
from demos.year.facts import Counts
from demos.year.groups import Group, grouped
from demos.year.losses import Losses, loss
from demos.year.plan import DAY, Doing, Plan
from modelstack.cli.errors import NotAnswered, OperatorError
from modelstack.cli.invoke import answer_of
from modelstack.cli.labels import LateLabels
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.monitoring.labels.quality import Form
from modelstack.pipeline.contract import Event
from modelstack.services.invoke import Request

_AT_ONCE = 8
_NAMED = 20  # failures that are kept in words


@dataclass
class Answered:
    """What came back.

    Attributes:
        counts: How many events, and what came of them.
        losses: Of each answered event with a label.
        day_of: Its day, UTC.
        served: Day -> variant -> answered events with a label.
    """

    counts: Counts = field(default_factory=Counts)
    losses: Losses = field(default_factory=dict)
    day_of: dict[str, str] = field(default_factory=dict)
    served: dict[str, Counter[str]] = field(default_factory=dict)


class Traffic:
    """Sends a plan's events from a thread of its own, from the beginning of the block on; its end stops it.

    Args:
        target: The endpoint.
        plan: How fast.
        source: The events, in order.
        said: What the model's answers mean.
        labels: Takes the labels.
        doing: What is under way.
    """

    def __init__(
        self,
        target: Target,
        plan: Plan,
        source: Iterable[Event],
        *,
        said: Form,
        labels: LateLabels,
        doing: Callable[[], Doing],
    ) -> None:
        self._invoke = platform_of(target).invoke(_AT_ONCE)
        self._plan, self._source, self._said, self._labels, self._doing = plan, source, said, labels, doing
        self._run_id = uuid.uuid4().hex[:8]
        self._lock, self._stop, self._free = threading.Lock(), threading.Event(), threading.Semaphore(2 * _AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="year", daemon=True)
        self.clock, self.answered = Clock(), Answered()
        self.failure: BaseException | None = None

    @property
    def over(self) -> bool:
        """Whether every event was sent and answered, or sending has failed."""
        return not self._thread.is_alive()

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=90)

    def _run(self) -> None:
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                self._send_all(pool)
        except BaseException as error:  # told by the thread that waits
            self.failure = error

    def _send_all(self, pool: ThreadPoolExecutor) -> None:
        due, last = time.monotonic(), None
        for group in grouped(self._source, lambda: self._plan.between(self._doing())):
            if last is not None:
                due += (group.at - last) / DAY * self._day_s()
            last = group.at
            late = time.monotonic() - due
            due = max(due, due + late)  # what was waited for is not caught up with
            if self._stop.wait(max(0.0, -late)):
                return
            self._free.acquire()
            self.clock.note(time.time(), group.at)
            pool.submit(self._send, group)

    def _day_s(self) -> float:
        return self._plan.seconds(self._doing())

    def _send(self, group: Group) -> None:
        try:
            variant, predictions, failure = self._ask(group)
        finally:
            self._free.release()
        with self._lock:
            self._keep(group, variant, predictions, failure)

    def _ask(self, group: Group) -> tuple[str, list[Mapping[str, Any]], str]:
        inference_id = f"{group.id}.{self._run_id}"
        try:
            body = json.dumps({"instances": [event.instance for event in group.events]}).encode()
            request = Request(body, inference_id=inference_id, event_time=group.at.isoformat())
            answer = answer_of(self._invoke, request)
            predictions: list[Mapping[str, Any]] = json.loads(answer.body)["predictions"]
        except (NotAnswered, ValueError, KeyError) as error:
            return "", [], f"{group.id}: {error}"
        if group.label_at is not None:
            known = (group.label_at - group.at) / DAY * self._day_s()
            self._labels.add(inference_id, [event.label for event in group.events], known)
        return answer.variant, predictions, ""

    def _keep(self, group: Group, variant: str, predictions: list[Mapping[str, Any]], failure: str) -> None:
        kept, counts = self.answered, self.answered.counts
        counts.events += len(group.events)
        counts.requests += 1
        if failure:
            counts.failed += len(group.events)
            counts.failures = (*counts.failures, failure)[:_NAMED]
        elif group.label_at is None:
            counts.unlabelled += len(group.events)
        else:
            day = group.at.date().isoformat()
            kept.served.setdefault(day, Counter())[variant] += len(group.events)
            for event, prediction in zip(group.events, predictions, strict=True):
                kept.losses[event.id] = loss(self._said, prediction, event.label)
                kept.day_of[event.id] = day
            counts.labelled = len(kept.losses)


def raised(traffic: Traffic) -> None:
    """Pass on what ended the sending, if anything did.

    Raises:
        OperatorError: It ended early.
    """
    if traffic.failure is not None:
        raise OperatorError(f"the replay ended early: {traffic.failure}") from traffic.failure
