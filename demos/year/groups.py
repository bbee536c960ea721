"""Which events share a request? Those of neighbouring times of one day; those that never get a label go apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelstack.cli.errors import OperatorError
from modelstack.pipeline.contract import Event

MOST = 500  # instances of a request; the model takes 1,000


@dataclass(frozen=True)
class Group:
    """The events of one request.

    Attributes:
        id: Its name: that of its first event.
        at: When it is asked, by the first event's time, UTC.
        events: At least one; either all of them get a label, or none.
        label_at: When all labels are known; None if they never are.
    """

    id: str
    at: datetime
    events: tuple[Event, ...]
    label_at: datetime | None


def grouped(events: Iterable[Event], width: Callable[[], timedelta]) -> Iterator[Group]:
    """Cut events, in order of time, into requests.

    A request is about one day, since drift is judged by days. Labels come as one list a request, so an event without a
    label would keep all others from theirs.

    Args:
        events: What is asked.
        width: How much time a request holds; asked as each one begins.

    Raises:
        OperatorError: An event has no time.
    """
    held: list[Event] = []
    end: datetime | None = None
    for event in events:
        at = event.event_time
        if at is None:
            raise OperatorError("the model's events have no time, so there is no year to replay", None, 2)
        if end is None or at >= end or len(held) == MOST:
            yield from _groups(held)
            held = []
            midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            end = min(at + width(), midnight)
        held.append(event)
    yield from _groups(held)


def _groups(events: list[Event]) -> Iterator[Group]:
    for labelled in (True, False):
        some = tuple(event for event in events if (event.label is not None) == labelled)
        if some:
            known = [event.label_at for event in some if event.label_at is not None]
            assert some[0].event_time is not None
            yield Group(some[0].id, some[0].event_time, some, max(known) if labelled and known else None)
