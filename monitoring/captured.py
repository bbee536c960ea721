"""The rows of captured requests and answers: `{"instances": [{...}]}` was asked, `{"predictions": [{...}]}` answered.

    for item in read(lines):
        rows = instances(item)    # ({"distance": 1400.0, ...}, ...), or why there are none

A request is about the time when it was asked, unless its sender tells another in its custom attributes, as a replay of
the past does: `event-time=2013-03-01T11:15:00+00:00`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

REPLAYED = "replay-"
"""Begins the inference ids of requests that the replay gate sends: they are no traffic of the endpoint's."""
PROBED = "probe-"
"""Begins the inference ids of requests that only ask whether the endpoint answers."""

Row = Mapping[str, Any]
Rows = tuple[Row, ...]
_EVENT_TIME = re.compile(r"(?:^|[,; ])event-time=([^,; ]+)")


@dataclass(frozen=True)
class Side:
    """What was sent one way.

    Attributes:
        content_type: As it was observed; JSON's when the record does not say.
        body: The bytes.
    """

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Recorded:
    """One captured request with its answer.

    Attributes:
        event_id: the platform's id of the invocation; a copy for a shadow variant has another one.
        inference_id: The caller's id of it, which copies share; None when there was none.
        at: When it was answered, as captured (ISO 8601).
        asked: The request; None when it was not captured.
        answered: The answer; None when it was not captured.
        attributes: The caller's custom attributes.
    """

    event_id: str
    inference_id: str | None
    at: str
    asked: Side | None
    answered: Side | None
    attributes: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether the replay gate or the probe asked it, and nobody who wanted the answer."""
        return self.inference_id is not None and self.inference_id.startswith((REPLAYED, PROBED))


@dataclass(frozen=True)
class Malformed:
    """What cannot be read, and why, in words that are the same for every line that is wrong in that way."""

    why: str


def instances(item: Recorded | Malformed) -> Rows | Malformed:
    """The rows that were asked about."""
    return item if isinstance(item, Malformed) else _rows(item.asked, "the request", "instances")


def predictions(item: Recorded | Malformed) -> Rows | Malformed:
    """The answers, one a row."""
    return item if isinstance(item, Malformed) else _rows(item.answered, "the answer", "predictions")


def when(item: Recorded, now: float) -> tuple[float, bool]:
    """The time that a request is about, epoch seconds, at most now; and whether its sender told it."""
    given = (_EVENT_TIME.search(text) for text in item.attributes)
    told = next((at for match in given if match and (at := epoch(match[1])) is not None), None)
    asked = told if told is not None else epoch(item.at)
    return min(asked if asked is not None else now, now), told is not None


def epoch(text: str) -> float | None:
    """Epoch seconds of a time as a capture has it, ISO 8601, in UTC where it does not say; None of what is none."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _rows(side: Side | None, what: str, name: str) -> Rows | Malformed:
    if side is None:
        return Malformed(f"{what} was not captured")
    try:
        body: object = json.loads(side.body)
    except (ValueError, RecursionError):
        return Malformed(f"{what} is no JSON")
    rows = cast(Row, body).get(name) if isinstance(body, Mapping) else None
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return Malformed(f"{what} is no object with a list of {name}")
    if not all(isinstance(row, Mapping) for row in cast(Sequence[object], rows)):
        return Malformed(f"{what} has {name} that are no objects")
    return tuple(cast(Sequence[Row], rows))
