"""The reader of captured exchanges of both platforms, one JSON record per line in SageMaker's data capture format.

`modelstack.serving.capture` writes it too. A side holds text (`JSON`, `CSV`) or base64 of its bytes. Source: Amazon
SageMaker Developer Guide, "Data capture".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from modelstack.monitoring.captured import Malformed, Recorded, Side

_JSON = "application/json"
_TEXT = ("JSON", "CSV")


class _Unreadable(ValueError):
    """A record has another form; the message names the part."""


def traffic(lines: Iterable[bytes | str]) -> Iterator[Recorded | Malformed]:
    """Read captured traffic, one result per line, without requests of the replay gate and the probe."""
    return (item for item in read(lines) if isinstance(item, Malformed) or not item.ours)


def exchange(item: Recorded | Malformed) -> tuple[Side, Side] | Malformed | None:
    """A captured request with its answer, or why there is none; None for requests of the replay gate and the probe."""
    if isinstance(item, Malformed):
        return item
    if item.ours:
        return None
    if item.asked is None or item.answered is None:
        return Malformed("the request or the answer was not captured")
    return item.asked, item.answered


def read(lines: Iterable[bytes | str]) -> Iterator[Recorded | Malformed]:
    """Read captured lines, one result per line that is not blank. Never raises for the content of a line."""
    for line in lines:
        if line.strip():
            try:
                yield _recorded(line)
            except _Unreadable as error:
                yield Malformed(str(error))


def _recorded(line: bytes | str) -> Recorded:
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError):
        raise _Unreadable("the line is no JSON") from None
    captured = _object(_object(record, "the line").get("captureData"), "captureData")
    meta = _object(_object(record, "the line").get("eventMetadata") or {}, "eventMetadata")
    asked, answered = (_side(captured, name) for name in ("endpointInput", "endpointOutput"))
    if asked is None and answered is None:
        raise _Unreadable("captureData: got neither endpointInput nor endpointOutput")
    inference = meta.get("inferenceId")
    return Recorded(
        event_id=str(meta.get("eventId", "")),
        inference_id=str(inference) if inference else None,
        at=str(meta.get("inferenceTime", "")),
        asked=asked,
        answered=answered,
        attributes=_texts(meta.get("customAttributes")),
    )


def _side(captured: Mapping[str, Any], name: str) -> Side | None:
    if not captured.get(name):
        return None
    part = _object(captured[name], name)
    data, encoding = part.get("data"), part.get("encoding")
    if not isinstance(data, str):
        raise _Unreadable(f"{name}.data: got {type(data).__name__}, expected a text")
    content_type = str(part.get("observedContentType") or _JSON)
    if encoding in _TEXT:
        return Side(content_type, data.encode("utf-8", "surrogatepass"))
    if encoding != "BASE64":
        raise _Unreadable(f"{name}.encoding: got another one than {', '.join(_TEXT)} and BASE64")
    try:
        return Side(content_type, base64.b64decode(data, validate=True))
    except ValueError:
        raise _Unreadable(f"{name}.data: no base64, though its encoding says so") from None


def _texts(value: object) -> tuple[str, ...]:
    given = cast(list[object], value) if isinstance(value, list) else [value]
    return tuple(item for item in given if isinstance(item, str))


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Unreadable(f"{what}: got {type(value).__name__}, expected an object")
    return cast(Mapping[str, Any], value)
