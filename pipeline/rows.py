"""Are the model's rows such that training on them and evaluating on them means something?

    check_rows(training=data.training(settings), evaluation=data.evaluation(settings))
    check_split(training, evaluation)

Both stop a build before anything is fitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ContractBroken, Refusal, Rows

TIMES = ("event_time", "label_at")


class SplitRefused(Refusal):
    """Training may have known what the model is evaluated on."""


def have_times(rows: Rows) -> bool:
    """Whether the rows say when they happened."""
    return getattr(rows, "event_time", None) is not None


def seconds(rows: Any) -> NDArray[np.float64] | None:
    """When each row happened, epoch seconds, shape (rows,); None when they have no times."""
    if not have_times(rows):
        return None
    return np.asarray(rows.event_time).astype("datetime64[us]").astype(np.int64) / 1e6


def check_rows(**given: Rows) -> None:
    """Refuse rows that are not of the form `contract.Rows`.

    Args:
        given: Function of `model/data.py` -> what it returned.

    Raises:
        ContractBroken: Something is wrong with them; every problem is named.
    """
    problems = [f"model/data.py: {name}(settings): {text}" for name, rows in given.items() for text in _wrong(rows)]
    if not problems and len({have_times(rows) for rows in given.values()}) > 1:
        problems.append(f"model/data.py: found event_time in one of {', '.join(given)}; expected it in all or in none")
    if not problems and len({tuple(sorted(rows.columns)) for rows in given.values()}) > 1:
        problems.append(f"model/data.py: found other columns in {' than in '.join(given)}; expected the same")
    if problems:
        raise ContractBroken(problems)


def check_split(training: Rows, evaluation: Rows) -> None:
    """Refuse to evaluate on anything that training could have known.

    Raises:
        SplitRefused: Evaluation starts before training ends or, where rows have no time, has rows of training.
    """
    if not have_times(training):
        both = set(_names(training)) & set(_names(evaluation))
        if both:
            raise SplitRefused(
                f"{len(both):,} of the rows to evaluate on are trained on too, such as {min(both)}: "
                "metrics on data that training has seen would mean nothing"
            )
        return
    start, end = np.min(_times(evaluation, "event_time")), max(np.max(_times(training, name)) for name in TIMES)
    if start < end:
        raise SplitRefused(
            f"evaluation starts {start}, before training ends {end} (UTC): "
            "metrics on data that training has seen would mean nothing; choose a later period for evaluation"
        )


def times(rows: Rows) -> dict[str, str]:
    """When the rows happened; empty for rows without a time."""
    if not have_times(rows):
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


def _wrong(rows: Any) -> Iterator[str]:
    columns: Any = getattr(rows, "columns", None)
    if not isinstance(columns, Mapping) or not columns or not hasattr(rows, "__len__"):
        yield f"found {type(rows).__name__}; expected an object with a length and columns, feature -> values"
        return
    if not len(rows):
        yield "found no rows; expected at least one"
        return
    yield from _misshapen(rows, rows.columns)
    if have_times(rows):
        for name in TIMES:
            kind = np.asarray(getattr(rows, name, None)).dtype
            if kind.kind != "M":
                yield f"{name}: found {kind}; expected datetime64, UTC"
            elif np.isnat(_times(rows, name)).any():
                yield f"{name}: found rows without it; expected a time for each"
    elif not hasattr(rows, "id"):
        yield "found neither event_time nor id; expected event_time and label_at or, for rows without a time, id"
    elif len(set(_names(rows))) < len(rows):
        yield "id: found the same one twice; expected another one for each row"


def _misshapen(rows: Any, columns: Mapping[Any, Any]) -> Iterator[str]:
    """Columns that differ in length from the rows, hold what no bin can count, or have a name no metric can have."""
    beside = {name: getattr(rows, name) for name in (*TIMES, "id") if getattr(rows, name, None) is not None}
    shaped = {**{f"columns[{name!r}]": values for name, values in columns.items()}, **beside}
    for name, values in shaped.items():
        shape = np.shape(values)
        if shape != (len(rows),):
            yield f"{name}: found shape {shape}; expected ({len(rows)},)"
    for name in columns:
        if not isinstance(name, str) or not re.fullmatch("[!-~]([ -~]{0,198}[!-~])?", name) or name.startswith(":"):
            yield f"columns: found the name {name!r}; expected up to 200 characters of ASCII, no colon first"
    for name, values in columns.items():
        array = np.asarray(values)
        odd = next((one for one in array if not _countable(one)), None) if array.dtype.kind == "O" else None
        if array.dtype.kind not in "biufUO" or odd is not None:
            found = f"a {type(odd).__name__}" if odd is not None else str(array.dtype)
            yield f"columns[{name!r}]: found {found}; expected numbers (NaN if missing) or strings (None if missing)"


def _countable(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | np.number | np.bool_)


def _times(rows: Any, name: str) -> Any:
    return np.asarray(getattr(rows, name))


def _names(rows: Any) -> Iterator[str]:
    return (str(name) for name in rows.id)
