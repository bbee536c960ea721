"""The answers of `predict`: a value for each row and no NaN.

`predict(model, rows)` returns columns: name -> a sequence with a value for each row, or such a mapping again. A NumPy
array of shape (rows, ...) gives each row an array, whose shape is then the same in every answer; a value may also be a
list of any length, or bytes, which are base64 in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray


class WrongAnswers(Exception):
    """The model's `predict` returned an invalid answer: the version's fault, not the caller's."""


class Arrays(list[Any]):
    """A nested list for each row, all of one shape, and the Python type of the values in them."""

    def __init__(self, values: NDArray[Any]) -> None:
        super().__init__(values.tolist())
        self.shape = values.shape[1:]
        self.type = {"b": bool, "i": int, "u": int, "f": float}.get(values.dtype.kind, str)


class Answers(msgspec.Struct, frozen=True):
    """The answers to a batch of rows: name -> plain Python values, or a mapping of such columns for an object."""

    columns: Mapping[str, Any]
    rows: int

    @classmethod
    def of(cls, found: Any, rows: int) -> Answers:
        """Take the result of `predict`, or raise WrongAnswers for another form or length, NaN or infinity."""
        if not isinstance(found, Mapping) or not found:
            raise WrongAnswers(
                f"predict returned {type(found).__name__}: expected a mapping, name -> a value for each row"
            )
        return cls(_plain(cast(Mapping[str, Any], found), rows, ""), rows)

    def documents(self, first: int, end: int) -> list[dict[str, Any]]:
        """The answers to some rows, as JSON values."""
        if end - first == 1:
            return [_row(self.columns, first)]
        return list(_documents(self.columns, first, end))

    def flat(self) -> dict[str, list[Any]]:
        """The columns with nested names joined by a dot, as tensors are named."""
        return dict(_flat(self.columns, ""))


def _plain(columns: Mapping[str, Any], rows: int, within: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in columns.items():
        where = f"{within}{name}"
        if not isinstance(values, np.ndarray) and isinstance(values, Mapping):
            found[str(name)] = _plain(values, rows, f"{where}.")
        else:
            found[str(name)] = _column(values, rows, where)
    return found


def _column(values: Any, rows: int, name: str) -> list[Any]:
    array = isinstance(values, np.ndarray)
    if array and values.ndim == 0:
        raise WrongAnswers(f"predict returned {name} of shape {values.shape}: expected ({rows},)")
    if not array and (isinstance(values, str | bytes) or not isinstance(values, Sequence)):
        raise WrongAnswers(f"predict returned {name} as {type(values).__name__}: expected a value for each row")
    if len(values) != rows:
        raise WrongAnswers(f"predict returned {len(values):,} values of {name} for {rows:,} rows")
    if array and values.ndim > 1:
        return _arrays(values, name)
    plain = values.tolist() if array else [one.item() if isinstance(one, np.generic) else one for one in values]
    kind = values.dtype.kind if array else ""
    if (kind and kind in "iub") or (kind == "f" and isfinite(sum(plain))):
        return plain
    if all(not isinstance(one, float) or isfinite(one) for one in plain):
        return plain
    place, wrong = next((place, one) for place, one in enumerate(plain) if isinstance(one, float) and not isfinite(one))
    raise WrongAnswers(f"predict returned {wrong} as {name} of row {place}")


def _arrays(values: NDArray[Any], name: str) -> Arrays:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        (row, *_), *_ = np.argwhere(~np.isfinite(values))
        raise WrongAnswers(f"predict returned NaN or infinity in {name} of row {row}")
    return Arrays(values)


def _row(columns: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {name: _row(values, row) if isinstance(values, dict) else values[row] for name, values in columns.items()}


def _documents(columns: Mapping[str, Any], first: int, end: int) -> Iterator[dict[str, Any]]:
    parts = [
        list(_documents(values, first, end)) if isinstance(values, dict) else values[first:end]
        for values in columns.values()
    ]
    names = list(columns)
    return (dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True))


def _flat(columns: Mapping[str, Any], within: str) -> Iterator[tuple[str, list[Any]]]:
    for name, values in columns.items():
        if isinstance(values, dict):
            yield from _flat(values, f"{within}{name}.")
        else:
            yield within + name, values
