"""Bodies that are tables: CSV, and NumPy's own format."""

from __future__ import annotations

import csv
import io
from math import isnan
from typing import Any

import numpy as np

from serving.declaration import Declaration, Feature
from serving.instances import MOST_ROWS, BadRequest, Reader, Rows, shown


def csv_rows(reader: Reader, declared: Declaration, body: bytes) -> Rows:
    """Read an instance a line, values in the order of the features, without a header; an empty one is missing."""
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode(), newline=""), strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadRequest(400, f"the body is not CSV: {error}") from None
    width = len(declared.features)
    for place, line in enumerate(lines):
        if len(line) != width:
            raise BadRequest(400, f"line {place + 1}: found {len(line)} values: expected {width}, one for each feature")
    return _checked(
        reader,
        [
            {one.name: _from_text(value, one) for one, value in zip(declared.features, line, strict=True)}
            for line in lines
        ],
    )


def npy_rows(reader: Reader, declared: Declaration, body: bytes) -> Rows:
    """Read an array of numbers of shape (rows, features); NaN is missing."""
    try:
        stream = io.BytesIO(body)
        array = np.load(stream, allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        raise BadRequest(400, f"the body is no array of NumPy: {shown(str(error))}") from None
    width = len(declared.features)
    if (
        not isinstance(array, np.ndarray)
        or array.ndim != 2
        or array.shape[1] != width
        or array.dtype.kind not in "biuf"
    ):
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise BadRequest(400, f"the body is {found}: expected numbers of shape (rows, {width})")
    if rest := len(body) - stream.tell():
        raise BadRequest(400, f"{rest:,} bytes follow the array")
    if len(array) > MOST_ROWS:
        raise BadRequest(400, f"the body has {len(array):,} rows: expected 1 to {MOST_ROWS}")
    return _checked(
        reader,
        [
            {one.name: _from_number(value, one) for one, value in zip(declared.features, row, strict=True)}
            for row in array.astype(float).tolist()
        ],
    )


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
