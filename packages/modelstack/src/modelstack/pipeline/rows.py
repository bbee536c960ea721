"""The model's tables as rows, with checks of their form and of the split, before anything is fitted."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modelstack.pipeline.contract import ContractBroken, Refusal
from modelstack.serving.declaration import DTYPES

TIMES = ("event_time", "label_at")
BESIDE = ("id", "label", *TIMES)
"""Columns of a table that are no features."""
EVALUATED = 5  # the default split withholds one in so many rows


class SplitRefused(Refusal):
    """Training may have known what the model is evaluated on."""


@dataclass(frozen=True)
class Rows:
    """Rows with a known label.

    Attributes:
        columns: Feature -> values, shape (rows,): numbers with NaN for missing; texts or bytes with None for missing;
            or arrays of numbers, shape (rows, ...), all NaN for a missing one. They are the fields of a request's
            instance, and drift is measured on them or their summaries.
        label: The correct answers, shape (rows,); None if the table has none.
        event_time: When each prediction is requested, UTC, datetime64; None for rows without a time.
        label_at: When each label is known, UTC, datetime64; None for rows without a time.
    """

    columns: Mapping[str, NDArray[Any]]
    label: NDArray[Any] | None
    id: NDArray[Any]
    event_time: NDArray[np.datetime64] | None = None
    label_at: NDArray[np.datetime64] | None = None

    @classmethod
    def of(cls, table: Any, where: str = "table") -> Rows:
        """Check a table (column -> values) from the function `where` of `model/data.py`; names every problem."""
        if problems := [f"model/data.py: {where}: {text}" for text in _wrong(table)]:
            raise ContractBroken(problems)
        given = {name: _array(table[name]) for name in table}
        features = {name: _plain(values) for name, values in given.items() if name not in BESIDE}
        names = given.get("id", np.arange(len(next(iter(features.values())))))
        return cls(features, given.get("label"), names.astype(str), *(given.get(name) for name in TIMES))

    def __len__(self) -> int:
        return len(self.id)

    @property
    def table(self) -> NDArray[Any]:
        """The estimator's input, shape (rows, features): floats, or objects if any feature is a text.

        An array is a column for each of its numbers.
        """
        if any(values.ndim > 1 for values in self.columns.values()):
            return self._flat()
        if all(values.dtype.kind in "biuf" for values in self.columns.values()):
            return np.column_stack([values.astype(float) for values in self.columns.values()])
        return np.column_stack(
            [
                (values.astype(float) if values.dtype.kind in "iu" else values).astype(object)
                for values in self.columns.values()
            ]
        )

    def _flat(self) -> NDArray[Any]:
        plain = all(values.dtype.kind in "biuf" for values in self.columns.values())
        parts = [
            (values.astype(float) if values.dtype.kind in "iuf" else values).reshape(len(self), -1)
            for values in self.columns.values()
        ]
        return np.concatenate([one.astype(float if plain else object, copy=False) for one in parts], axis=1)

    @property
    def features(self) -> list[dict[str, Any]]:
        """The features of a request: name, kind and whether it may be missing; shape and dtype of an array."""
        return [
            {
                "name": name,
                "kind": _kind(values),
                "optional": any(as_json(value) is None for value in values),
                **({"shape": list(values.shape[1:]), "dtype": str(values.dtype)} if values.ndim > 1 else {}),
            }
            for name, values in self.columns.items()
        ]

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        """Only these rows."""
        beside = (None if values is None else values[chosen] for values in (self.event_time, self.label_at))
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Rows(columns, None if self.label is None else self.label[chosen], self.id[chosen], *beside)


@dataclass(frozen=True)
class Tables:
    """The rows to train on, to evaluate on, and for a second fit of what serves, if any."""

    training: Rows
    evaluation: Rows
    refit: Rows | None


def tables(data: Any, settings: Any) -> Tables:
    """Get the rows of the model's module `data` for its parameters, and check them: their form, and the split."""
    own, again = getattr(data, "evaluation", None), getattr(data, "refit", None)
    asked = {"training": data.training(settings)}
    if own:
        asked["evaluation"] = own(settings)
    if again and (more := again(settings)) is not None:
        asked["refit"] = more
    found = {name: Rows.of(table, f"{name}(settings)") for name, table in asked.items()}
    _check_alike(found, asked)
    training, evaluation = (found["training"], found["evaluation"]) if own else split(found["training"])
    check_split(training, evaluation)
    return Tables(training, evaluation, found.get("refit"))


def split(rows: Rows) -> tuple[Rows, Rows]:
    """Withhold a fifth for evaluation: the newest rows or, without times, one in five by its name."""
    if rows.event_time is None or rows.label_at is None:
        late = np.array([_number(name) % EVALUATED == 0 for name in rows.id], bool)
        early = ~late
    else:
        start = np.sort(rows.event_time)[len(rows) - max(1, len(rows) // EVALUATED)]
        early, late = (rows.event_time < start) & (rows.label_at <= start), rows.event_time >= start
    if not early.any() or not late.any():
        raise ContractBroken(
            [
                f"model/data.py: training(settings): found {len(rows)} rows, of which no fifth can be kept for "
                "evaluation; expected more rows, or evaluation(settings)"
            ]
        )
    return rows.take(early), rows.take(late)


def seconds(rows: Rows) -> NDArray[np.float64] | None:
    """When each row happened, epoch seconds, shape (rows,); None if they have no times."""
    if rows.event_time is None:
        return None
    return rows.event_time.astype("datetime64[us]").astype(np.int64) / 1e6


def check_split(training: Rows, evaluation: Rows) -> None:
    """Refuse evaluation rows from before training ends or, where rows have no time, rows that training has too."""
    if training.event_time is None:
        both = set(training.id.tolist()) & set(evaluation.id.tolist())
        if both:
            raise SplitRefused(
                f"{len(both):,} of the rows to evaluate on are trained on too, such as {min(both)}: "
                "metrics on data that training has seen would mean nothing"
            )
        return
    start = np.min(_times(evaluation, "event_time"))
    end = max(np.max(_times(training, name)) for name in TIMES)
    if start < end:
        raise SplitRefused(
            f"evaluation starts {start}, before training ends {end} (UTC): "
            "metrics on data that training has seen would mean nothing; choose a later period for evaluation"
        )


def times(rows: Rows) -> dict[str, str]:
    """When the rows happened; empty for rows without a time."""
    if rows.event_time is None:
        return {}
    return {
        "first_event": str(np.min(_times(rows, "event_time"))),
        "last_event": str(np.max(_times(rows, "event_time"))),
        "last_label": str(np.max(_times(rows, "label_at"))),
    }


def period(rows: Rows) -> str:
    """The same for a reader."""
    found = times(rows)
    return f", {found['first_event']} to {found['last_event']} UTC" if found else ""


def as_json(value: Any) -> Any:
    """A value as JSON has it: None for a missing one, else a number, a text, true or false, a list, or base64."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, np.ndarray):
        return None if np.isnan(cast(Any, value).flat[0]) else cast(Any, value).tolist()
    plain: Any = cast(Any, value).item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain


def _check_alike(found: Mapping[str, Rows], asked: Mapping[str, Any]) -> None:
    """Refuse tables of one model with different columns."""
    problems: list[str] = []
    if len({rows.event_time is None for rows in found.values()}) > 1:
        problems.append(f"model/data.py: found event_time in one of {', '.join(found)}; expected it in all or in none")
    if len({tuple(rows.columns) for rows in found.values()}) > 1:
        problems.append(f"model/data.py: found other columns in {' than in '.join(found)}; expected the same")
    nameless = [name for name, rows in found.items() if rows.event_time is None and "id" not in asked[name]]
    if len(found) > 1 and nameless:
        problems.append(
            f"model/data.py: {', '.join(nameless)}: found neither event_time nor id; expected event_time and label_at "
            "or, for rows without a time, id"
        )
    if problems:
        raise ContractBroken(problems)


def _wrong(table: Any) -> Iterator[str]:
    try:
        given: dict[Any, Any] = {name: _array(table[name]) for name in table}
        rows = len(next(iter(given.values())))
    except ValueError as error:  # lists or arrays of several shapes
        yield f"found {error}; expected one shape in each column"
        return
    except (KeyError, IndexError, StopIteration, TypeError):
        yield f"found {type(table).__name__}; expected a table: a DataFrame, or a mapping of columns to values"
        return
    if not rows:
        yield "found no rows; expected at least one"
        return
    for name, values in given.items():
        array = name not in BESIDE and values.dtype.kind in "iufb"
        if (shape := np.shape(values)) != (rows,) and (not array or shape[:1] != (rows,) or 0 in shape):
            yield f"{name!r}: found shape {shape}; expected ({rows},)"
            return
    if not any(name not in BESIDE for name in given):
        yield f"found no column besides {', '.join(map(str, given))}; expected a feature"
    categories = {name for name in given if str(getattr(table[name], "dtype", "")) == "category"}
    yield from _wrong_features({name: values for name, values in given.items() if name not in BESIDE}, categories)
    yield from _wrong_beside(given)


def _wrong_features(given: Mapping[Any, Any], categories: Container[Any]) -> Iterator[str]:
    """Problems of columns that no bin can count, or whose name no metric can have; `categories` are those of pandas."""
    for name, values in given.items():
        if not isinstance(name, str) or not re.fullmatch("[!-~]([ -~]{0,198}[!-~])?", name) or name.startswith(":"):
            yield f"found the column {name!r}; expected a name of up to 200 characters of ASCII, no colon first"
        array = np.asarray(values)
        if array.ndim > 1:
            flat = array.reshape(len(array), -1)
            if (~np.isfinite(flat) & ~np.isnan(flat).all(axis=1, keepdims=True)).any():
                yield f"{name!r}: found arrays with NaN or infinity; expected numbers, or NaN alone if it is missing"
            continue
        known = [one for one in array if as_json(one) is not None] if array.dtype.kind == "O" else []
        odd = next(
            (one for one in known if not isinstance(one, str | bytes | int | float | np.number | np.bool_)), None
        )
        if array.dtype.kind not in "biufUO" or odd is not None:
            found = f"a {type(odd).__name__}" if odd is not None else str(array.dtype)
            hint = ", as from column.astype(str) for pandas categories" * (name in categories)
            yield f"{name!r}: found {found}; expected numbers (NaN if missing) or texts (None if missing){hint}"
        elif len(kinds := {{str: "texts", bytes: "bytes"}.get(type(one), "numbers") for one in known}) > 1:
            yield f"{name!r}: found {' and '.join(sorted(kinds, reverse=True))}; expected one of them"


def _wrong_beside(given: Mapping[Any, Any]) -> Iterator[str]:
    there = [name for name in TIMES if name in given]
    if len(there) == 1:
        yield f"found {there[0]} alone; expected event_time and label_at"
    for name in there:
        array = np.asarray(given[name])
        if array.dtype.kind != "M":
            yield f"{name!r}: found {array.dtype}; expected datetime64, UTC"
        elif np.isnat(array).any():
            yield f"{name!r}: found rows without it; expected a time for each"
    if "id" in given and len(set(map(str, given["id"]))) < len(given["id"]):
        yield "'id': found the same one twice; expected another one for each row"


def _array(values: Any) -> NDArray[Any]:
    """A column; lists or arrays in it as one array, NaN for a missing one. Raises ValueError for several shapes."""
    found = np.asarray(values)
    if found.dtype.kind == "S":  # which would cut off zeros at the end
        return np.array(list(values), object)
    if found.dtype.kind != "O" or found.ndim != 1:
        return found
    first = next((one for one in found if one is not None), None)
    shape = np.shape(cast(Any, first))
    if not shape:
        return found
    missing: Any = np.full(shape, np.nan)
    return np.stack([missing if one is None else np.asarray(one) for one in found])


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Texts with None for a missing one; objects that are all numbers as numbers; arrays with a type of requests."""
    if values.ndim > 1:
        kind = {"b": "uint8", "f": "float32" if values.dtype.itemsize < 8 else "float64"}.get(
            values.dtype.kind, "int64"
        )
        return values if str(values.dtype) in DTYPES else values.astype(kind)
    if values.dtype.kind == "U":
        return values.astype(object)
    if values.dtype.kind != "O":
        return values
    plain = [value if isinstance(value, bytes) else as_json(value) for value in values]
    known = [value for value in plain if value is not None]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return np.array(plain, float)  # None becomes NaN
    return np.array(plain, object)


def _kind(values: NDArray[Any]) -> str:
    if values.dtype.kind in "iuf":
        return "number"
    known = [value for value in values if value is not None]
    if known and isinstance(known[0], bytes):
        return "bytes"
    return "boolean" if known and all(isinstance(value, bool | np.bool_) for value in known) else "text"


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def _times(rows: Any, name: str) -> Any:
    return np.asarray(getattr(rows, name))
