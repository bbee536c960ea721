"""Parses the body of an answer: JSON, JSON Lines, or else CSV, whose cells are numbers or text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

OTHER = object()
"""What a reader returns for a body that is not in its form."""


@dataclass(frozen=True)
class BodyForm:
    """A way to read bodies; `read` returns the value, or `OTHER`."""

    name: str
    read: Callable[[bytes], Any]


def form_of(body: bytes) -> tuple[BodyForm, Any]:
    """The likeliest form of a body, and its value."""
    return next(((form, value) for form in _FORMS if (value := form.read(body)) is not OTHER), _NO_TEXT)


def broken(body: bytes) -> str | None:
    """Why a body cannot be an answer: it is empty, or a number in it is not finite. None when it may be one."""
    if not body:
        return "the answer is empty"
    waiting: list[tuple[str, Any]] = [("", form_of(body)[1])]
    while waiting:  # a loop, as answers nest deeper than calls may
        where, value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return f"{where or 'the answer'} is {value}; expected a finite number"
        if isinstance(value, Mapping):
            members = cast(Mapping[str, Any], value).items()
            waiting += reversed([(f"{where}.{name}".lstrip("."), item) for name, item in members])
        elif isinstance(value, list):
            waiting += reversed([(f"{where}[{n}]", item) for n, item in enumerate(cast(list[Any], value))])
    return None


def read_json(body: bytes) -> Any:
    """The value of a JSON body, or `OTHER`. NaN and Infinity, which Python writes, are read as numbers."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return OTHER


def _json_lines(body: bytes) -> Any:
    rows = [read_json(line) for line in body.splitlines() if line.strip()]
    return OTHER if any(row is OTHER for row in rows) else rows


def _csv(body: bytes) -> Any:
    try:
        rows = csv.reader(io.StringIO(body.decode(), newline=""))
        return [[_cell(cell.strip()) for cell in row] for row in rows if row]
    except (UnicodeDecodeError, csv.Error):
        return OTHER


def _cell(text: str) -> int | float | str:
    """A cell's number or text. Python's `1_000` is text, as other programs do not read it as a number."""
    for number in (int, float):
        try:
            return number(text) if "_" not in text else text
        except ValueError:
            continue
    return text


_FORMS = (BodyForm("JSON", read_json), BodyForm("JSON Lines", _json_lines), BodyForm("text", _csv))  # likeliest first
_NO_TEXT = (BodyForm("bytes", lambda _: None), None)
