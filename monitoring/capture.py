"""Captured requests, as SageMaker writes them: a JSON object a line.

    for item in read(lines):
        if isinstance(item, Exchange):
            item.instances  # ({"distance": 1400.0, ...}, ...)

Source: Amazon SageMaker Developer Guide, "Data capture", the form of a captured record. The data itself is JSON text,
or base64 of it when the endpoint config does not list its content type as JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Exchange:
    """One captured request with its answer.

    Attributes:
        event_id: SageMaker's id of the invocation.
        inference_id: The caller's id of it; None when there was none.
        at: When it was answered, as captured (ISO 8601).
        instances: The rows that were asked about.
        predictions: The answers, one a row; empty when the answer was not captured, or is none.
    """

    event_id: str
    inference_id: str | None
    at: str
    instances: tuple[Row, ...]
    predictions: tuple[Row, ...]


@dataclass(frozen=True)
class Unreadable:
    """A line that holds no readable request, and why."""

    why: str


def read(lines: Iterable[bytes | str]) -> Iterator[Exchange | Unreadable]:
    """Read captured lines, one result a line that is not blank. Never raises for what a line holds."""
    for line in lines:
        if line.strip():
            try:
                yield _exchange(line)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                yield Unreadable(f"{type(error).__name__}: {error}")


def _exchange(line: bytes | str) -> Exchange:
    record = _object(json.loads(line), "a record")
    captured = _object(record["captureData"], "captureData")
    meta = _object(record.get("eventMetadata", {}), "eventMetadata")
    asked = _rows(_content(captured["endpointInput"]), "instances")
    answered: tuple[Row, ...] = ()
    if captured.get("endpointOutput"):
        try:
            answered = _rows(_content(captured["endpointOutput"]), "predictions")
        except (ValueError, KeyError, TypeError):
            answered = ()  # the request still tells what was asked
    inference = meta.get("inferenceId")
    return Exchange(
        event_id=str(meta.get("eventId", "")),
        inference_id=str(inference) if inference else None,
        at=str(meta.get("inferenceTime", "")),
        instances=asked,
        predictions=answered,
    )


def _content(part: object) -> Any:
    fields = _object(part, "captured data")
    encoding, data = fields.get("encoding"), fields["data"]
    if encoding == "BASE64":
        return json.loads(base64.b64decode(data, validate=True))
    if encoding == "JSON":
        return json.loads(data)
    raise ValueError(f"encoding: got {encoding!r}, expected JSON or BASE64 of JSON")


def _rows(content: object, name: str) -> tuple[Row, ...]:
    rows = _object(content, "the body")[name]
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise ValueError(f"{name}: got {type(rows).__name__}, expected a list")
    return tuple(_object(row, f"a row of {name}") for row in cast(Sequence[object], rows))


def _object(value: object, what: str) -> Row:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what}: got {type(value).__name__}, expected an object")
    return cast(Row, value)
