"""What is in an answer's body, whoever answered? Pure.

    form, value = form_of(b"1,0.7")         # text that is read as CSV: [[1, 0.7]]
    broken(b'{"late": true, "p": NaN}')     # "p is nan; expected a finite number"

Answers are JSON, JSON Lines, or else text, which is read as CSV: its cells are numbers or text. Of bytes that are no
text nothing is known.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

OTHER = object()
"""What a body reads as that is of another form."""


@dataclass(frozen=True)
class BodyForm:
    """A way to read bodies; `read` gives the value, or `OTHER`."""

    name: str
    read: Callable[[bytes], Any]


def form_of(body: bytes) -> tuple[BodyForm, Any]:
    """The likeliest form of a body, and what it reads as."""
    return next(((form, value) for form in _FORMS if (value := form.read(body)) is not OTHER), _NO_TEXT)


def broken(body: bytes) -> str | None:
    """Why a body is no answer to anything: it is empty, or a number in it is not finite; None when it may be one."""
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
    """What a body of JSON holds, or `OTHER`. As Python writes it, NaN and infinity are numbers."""
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
    """A cell's number, as it is written in other programs too: not with Python's `_` between digits; else its text."""
    for number in (int, float):
        try:
            return number(text) if "_" not in text else text
        except ValueError:
            continue
    return text


_FORMS = (BodyForm("JSON", read_json), BodyForm("JSON Lines", _json_lines), BodyForm("text", _csv))
"""The likeliest first."""
_NO_TEXT = (BodyForm("bytes", lambda _: None), None)
