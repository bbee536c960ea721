"""The rows of captured requests and answers: `{"instances": [{...}]}` was asked, `{"predictions": [{...}]}` answered.

for item in read(lines):
    rows = instances(item)    # ({"distance": 1400.0, ...}, ...), or why there are none
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from rollout import records
from rollout.records import Malformed, Recorded, Side

Row = Mapping[str, Any]
Rows = tuple[Row, ...]


def read(lines: Iterable[bytes | str]) -> Iterator[Recorded | Malformed]:
    """Captured traffic, one result a line: what the replay gate asked is left out, as nobody sent it."""
    return (item for item in records.read(lines) if isinstance(item, Malformed) or not item.replayed)


def instances(item: Recorded | Malformed) -> Rows | Malformed:
    """The rows that were asked about."""
    return item if isinstance(item, Malformed) else _rows(item.asked, "the request", "instances")


def predictions(item: Recorded | Malformed) -> Rows | Malformed:
    """The answers, one a row."""
    return item if isinstance(item, Malformed) else _rows(item.answered, "the answer", "predictions")


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
