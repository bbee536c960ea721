"""Bodies that are tables: CSV, and NumPy's own format; neither has arrays or bytes in a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from math import isnan
from typing import Any

import numpy as np

from modelstack.serving.declaration import Declaration, Feature
from modelstack.serving.instances import MOST_ROWS, BadRequest, Reader, Rows, shown

MOST_SEPARATORS = 1_000_000
"""The most commas and line ends of CSV, within texts too: each costs time and memory before its line can be refused."""
MOST_LINE = 1024 * 1024
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""What reads a header, by the format's version. Version 3 has named fields, which no number has."""


def csv_rows(reader: Reader, declared: Declaration, body: bytes) -> Rows:
    """Read an instance a line, values in the order of the features, without a header; an empty one is missing."""
    width = len(declared.features)
    if (found := sum(body.count(one) for one in (b",", b"\n", b"\r"))) > MOST_SEPARATORS:
        raise BadRequest(400, f"the body has {found:,} commas and line ends: expected at most {MOST_SEPARATORS:,}")
    lines: list[list[str]] = []
    try:
        for line in csv.reader(_lines(body), strict=True):
            if line and len(line) != width:
                problem = f"line {len(lines) + 1}: found {len(line)} values: expected {width}, one for each feature"
                raise BadRequest(400, problem)
            if len(lines) == MOST_ROWS and line:
                raise BadRequest(400, f"the body has more than {MOST_ROWS} rows")
            lines += [line] if line else []
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadRequest(400, f"the body is not CSV: {error}") from None
    return _checked(
        reader,
        [
            {one.name: _from_text(value, one) for one, value in zip(declared.features, line, strict=True)}
            for line in lines
        ],
    )


def npy_rows(reader: Reader, declared: Declaration, body: bytes) -> Rows:
    """Read an array of numbers of shape (rows, features); NaN is missing."""
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        shape, by_columns, kind = _HEADERS[version](stream)
    except Exception as error:  # NumPy documents no list of what a wrong header raises
        raise BadRequest(400, f"the body is no array of NumPy: {shown(f'{type(error).__name__}: {error}')}") from None
    width = len(declared.features)
    if len(shape) != 2 or shape[1] != width or kind.kind not in "biuf":
        raise BadRequest(
            400, f"the body is {shown(kind)} of shape {shown(shape)}: expected numbers of shape (rows, {width})"
        )
    if not 1 <= shape[0] <= MOST_ROWS:
        raise BadRequest(400, f"the body has {shown(shape[0])} rows: expected 1 to {MOST_ROWS}")
    if rest := len(body) - stream.tell() - shape[0] * width * kind.itemsize:
        much = f"{rest:,} bytes follow the array" if rest > 0 else f"{-rest:,} bytes of the array are missing"
        raise BadRequest(400, much)
    array = np.frombuffer(body, kind, offset=stream.tell()).reshape(shape, order="F" if by_columns else "C")
    return _checked(
        reader,
        [
            {one.name: _from_number(value, one) for one, value in zip(declared.features, row, strict=True)}
            for row in array.astype(float).tolist()
        ],
    )


def _lines(body: bytes) -> Iterator[str]:
    stream = io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="")
    while line := stream.readline(MOST_LINE + 1):
        if len(line) > MOST_LINE:
            raise BadRequest(400, f"a line has more than {MOST_LINE:,} characters")
        yield line


def _checked(reader: Reader, instances: list[dict[str, Any]]) -> Rows:
    if not instances:
        raise BadRequest(400, f"the body has no row: expected 1 to {MOST_ROWS}")
    return reader.documents(instances)


def _from_text(value: str, feature: Feature) -> Any:
    if value == "":
        return None
    if feature.kind == "boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    if feature.kind == "number" and value.isascii() and "_" not in value:  # Python accepts more than plain numbers
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _from_number(value: float, feature: Feature) -> Any:
    if isnan(value):
        return None
    return {0.0: False, 1.0: True}.get(value, value) if feature.kind == "boolean" else value
