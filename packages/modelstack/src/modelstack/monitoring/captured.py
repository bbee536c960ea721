"""Rows of captured exchanges: `{"instances": [{...}]}` in the request, `{"predictions": [{...}]}` in the answer.

The time of a request is when it was captured, unless its custom attributes hold another one, as a replay sends it:
`event-time=2013-03-01T11:15:00+00:00`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

REPLAYED = "replay-"
"""Prefix of inference ids of requests that the replay gate sends: they are no traffic of the endpoint."""
PROBED = "probe-"
"""Prefix of inference ids of probe requests."""

Row = Mapping[str, Any]
Rows = tuple[Row, ...]
_EVENT_TIME = re.compile(r"(?:^|[,; ])event-time=([^,; ]+)")


@dataclass(frozen=True)
class Side:
    """The request or the answer of an exchange; the content type is JSON's if the record has none."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Recorded:
    """One captured request (`asked`) with its answer; either is None if it was not captured.

    Attributes:
        event_id: The platform's id of the invocation; a copy for a shadow variant has another one.
        inference_id: The caller's id, which copies share; None if there was none.
        at: When it was answered, as captured (ISO 8601).
    """

    event_id: str
    inference_id: str | None
    at: str
    asked: Side | None
    answered: Side | None
    attributes: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether the replay gate or the probe sent the request."""
        return self.inference_id is not None and self.inference_id.startswith((REPLAYED, PROBED))


@dataclass(frozen=True)
class Malformed:
    """What cannot be read, and why, in the same words for every line with the same fault."""

    why: str


def instances(item: Recorded | Malformed) -> Rows | Malformed:
    """The rows of the request."""
    return item if isinstance(item, Malformed) else _rows(item.asked, "the request", "instances")


def predictions(item: Recorded | Malformed) -> Rows | Malformed:
    """The answers, one per row."""
    return item if isinstance(item, Malformed) else _rows(item.answered, "the answer", "predictions")


def when(item: Recorded, now: float) -> tuple[float, bool]:
    """The time of a request, epoch seconds, at most now; and whether its sender set it."""
    given = (_EVENT_TIME.search(text) for text in item.attributes)
    told = next((at for match in given if match and (at := epoch(match[1])) is not None), None)
    asked = told if told is not None else epoch(item.at)
    return min(asked if asked is not None else now, now), told is not None


def epoch(text: str) -> float | None:
    """Epoch seconds of a captured ISO 8601 time, UTC if it has no zone; None if it is no time."""
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
