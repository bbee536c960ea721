"""Test that the fast form is equivalent to its estimator, on all evaluation rows, random rows and extreme rows.

They are equivalent if they refuse the same rows, decide alike on all others, and their probabilities differ by at most
1e-6; for values, relative to the value or the typical one if that is larger. The random seed is fixed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from modelstack.pipeline.fast_boosters import thresholds as boosted_thresholds
from modelstack.pipeline.fast_form import compiled
from modelstack.pipeline.fast_nodes import NoFastForm
from modelstack.pipeline.fast_trees import thresholds
from modelstack.serving.fast_form import FastForm, load

LIMIT = 1e-6
BOUNDS = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, LIMIT)
RANDOM_ROWS = 10_000
MOST_THRESHOLDS = 2_500
"""Maximum number of tested thresholds, evenly chosen. Each takes eight rows."""
LARGEST = 1e250
"""Beyond it a scaled number may be infinite, which scikit-learn refuses and ONNX does not."""
MOST_REFUSED = 2_000
"""Refused rows are only searched for among fewer rows. Larger sets should have none."""
UNKNOWN_NUMBER = 0.12345678912345
NUMBERS = (0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e30, -1e30, 3.5e38, -3.5e38, LARGEST, -LARGEST)
TEXTS = ("", " ", "unknown", "\x00", "None", "nan", "\ud800", "x" * 300)
_SEED = 20130101

Features = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Proof:
    """The number of compared rows, and the largest difference: absolute of probabilities, relative of values."""

    rows: int
    largest_difference: float


@dataclass(frozen=True)
class _Said:
    """A model's answers: decisions (rows,), numbers (rows, any), and which rows it refuses (rows,)."""

    decisions: NDArray[Any]
    numbers: NDArray[np.float64]
    refused: NDArray[np.bool_]


def fast_form(estimator: Any, table: NDArray[Any], features: Features) -> tuple[bytes | None, dict[str, Any]]:
    """Make the fast form of an estimator if it is equivalent, and the entry for the metrics.

    The entry has `proven_on` (rows) and an upper bound `largest_difference` (a power of ten, because the last digits
    depend on the processor), or `why_not`. `table` has the evaluation rows, shape (rows, features).
    """
    try:
        content = compiled(estimator, features)
        proof = proven(estimator, content, table, features)
    except NoFastForm as error:
        return None, {"why_not": str(error)}
    bound = next(limit for limit in BOUNDS if proof.largest_difference <= limit)
    return content, {"proven_on": proof.rows, "largest_difference": bound}


def proven(estimator: Any, content: bytes, table: NDArray[Any], features: Features) -> Proof:
    """Compare an estimator with `content`, its compiled fast form; raises NoFastForm with the place if they differ."""
    try:
        fast = load(content)
    except Exception as error:  # whatever onnxruntime raises
        raise NoFastForm("onnxruntime does not take it", error) from error
    rows, largest, typical = 0, 0.0, None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for what, some in _asked(estimator, table, features):
            said, fast_said = _said(estimator, some), _said(fast, some)
            if typical is None and not hasattr(estimator, "classes_"):  # the rows of the evaluation come first
                typical = float(np.mean(np.abs(said.numbers[~said.refused]))) or LIMIT
            largest = max(largest, _difference(what, some, said, fast_said, typical))
            rows += len(some)
    return Proof(rows, largest)


def _difference(what: str, rows: NDArray[Any], said: _Said, fast: _Said, typical: float | None) -> float:
    """The largest difference, if it is small enough; `typical` is that of a regressor's values."""
    _refuse(what, rows, said.refused != fast.refused, "one of the two has no answer")
    both = ~said.refused
    if not both.any():
        return 0.0
    single = typical is not None and said.decisions.dtype == np.float32  # a regressor's; the fast form's are doubles
    if said.decisions.dtype != fast.decisions.dtype and not single:
        raise NoFastForm(f"its answers are {fast.decisions.dtype}, those of the estimator {said.decisions.dtype}")
    if typical is None:
        _refuse(what, rows, both & (said.decisions != fast.decisions), "it decides otherwise")
    away = np.abs(said.numbers - fast.numbers)
    away[said.numbers == fast.numbers] = 0.0  # of two infinities too
    if typical is not None:
        away /= np.maximum(np.abs(said.numbers), typical)
    away[~both] = 0.0
    largest = float(away.max(initial=0.0))
    near: NDArray[np.bool_] = np.all(away <= LIMIT, axis=1)  # not-a-number is far
    _refuse(what, rows, ~near, f"it differs by {largest:.2g}, and {LIMIT:g} is allowed")
    return largest


def _refuse(what: str, rows: NDArray[Any], wrong: NDArray[np.bool_], how: str) -> None:
    if wrong.any():
        shown = repr(rows[int(np.argmax(wrong))].tolist())[:200]
        raise NoFastForm(f"on {int(wrong.sum()):,} of {len(rows):,} {what} {how}, such as on {shown}")


def _said(model: Any, rows: NDArray[Any]) -> _Said:
    """Predict all rows at once or, if that is refused, find the refused rows by bisection."""
    asked = _as_served(rows) if isinstance(model, FastForm) else rows
    try:
        decisions = np.asarray(model.predict(asked))
        if hasattr(model, "predict_proba"):
            numbers = np.asarray(model.predict_proba(asked), float)
        elif hasattr(model, "classes_"):
            numbers = np.zeros((len(rows), 0))
        else:
            numbers = decisions.astype(float)[:, None]
    except Exception as error:
        if len(rows) > MOST_REFUSED:
            who = "the fast form" if isinstance(model, FastForm) else "the estimator"
            raise NoFastForm(f"{who} refuses some of {len(rows):,} rows", error) from error
        if len(rows) == 1:
            return _Said(np.zeros(0), np.full((1, 0), np.nan), np.array([True]))
        halves = [_said(model, half) for half in np.array_split(rows, 2)]
        return _joined(halves)
    refused: NDArray[np.bool_] = np.any(np.isnan(numbers), axis=1)
    return _Said(decisions, numbers, refused)


def _as_served(rows: NDArray[Any]) -> list[tuple[Any, ...]]:
    """The rows as requests give them: a tuple for each, with None for missing values."""
    return [tuple(None if one != one else one for one in row) for row in rows.tolist()]  # noqa: PLR0124  NaN


def _joined(parts: Sequence[_Said]) -> _Said:
    """Concatenate parts. A part that is refused as a whole has no decisions: it takes the form of the others."""
    known = next((one for one in parts if len(one.decisions)), None)
    refused = np.concatenate([one.refused for one in parts])
    if known is None:
        return _Said(np.zeros(0), np.full((len(refused), 0), np.nan), refused)
    width = known.numbers.shape[1]
    decisions = [
        one.decisions if len(one.decisions) else np.repeat(known.decisions[:1], len(one.refused)) for one in parts
    ]
    numbers = [one.numbers if len(one.decisions) else np.full((len(one.refused), width), np.nan) for one in parts]
    return _Said(np.concatenate(decisions), np.concatenate(numbers), refused)


def _asked(estimator: Any, table: NDArray[Any], features: Features) -> Iterator[tuple[str, NDArray[Any]]]:
    """The compared rows, each set with its description."""
    random = np.random.default_rng(_SEED)
    yield "rows of the evaluation", table
    taken = _taken(estimator, table, features)
    yield "random rows", _random(random, table, taken)
    extremes = [_changed(random, table, column, _extremes(feature)) for column, feature in enumerate(features)]
    yield "extreme rows", np.concatenate(extremes)
    any_number = [column for column, values in enumerate(taken) if UNKNOWN_NUMBER in values]
    bounds = list(_boundaries(estimator, table, any_number))
    again = (
        4 if sum(len(values) for _, values in bounds) < MOST_THRESHOLDS else 1
    )  # few of them, so combine each with more rows
    near = [_changed(random, table, column, values * again) for column, values in bounds]
    if near:
        yield "rows at thresholds of its trees", np.concatenate(near)


def _changed(random: Any, table: NDArray[Any], column: int, values: Sequence[Any]) -> NDArray[Any]:
    """Rows of the table with other values in one column."""
    rows = table[random.integers(len(table), size=len(values))]
    for row, value in zip(rows, values, strict=True):  # one by one: NumPy would make numbers and None one type
        row[column] = value
    return rows


def _extremes(feature: Mapping[str, Any]) -> list[Any]:
    if feature["kind"] == "text":
        return [*TEXTS, *([None] if feature["optional"] else [])]
    if feature["kind"] == "boolean":
        return [True, False, *([None] if feature["optional"] else [])]
    return [*NUMBERS, *([float("nan")] if feature["optional"] else [])]


def _taken(estimator: Any, table: NDArray[Any], features: Features) -> list[list[Any]]:
    """For each column, the missing and unknown values that the estimator does not refuse."""
    found: list[list[Any]] = []
    for column, feature in enumerate(features):
        text = feature["kind"] == "text"
        missing = [None if text or feature["kind"] == "boolean" else float("nan")] if feature["optional"] else []
        row = table[:1].copy()
        taken: list[Any] = []
        unknown = {"text": ["unknown"], "number": [UNKNOWN_NUMBER], "boolean": []}[feature["kind"]]
        for value in [*unknown, *missing]:
            row[0, column] = value
            if not _said(estimator, row).refused[0]:
                taken.append(value)
        found.append(taken)
    return found


def _random(random: Any, table: NDArray[Any], taken: list[list[Any]]) -> NDArray[Any]:
    """Rows with independent columns: known values, numbers around them, and other accepted ones."""
    rows = np.empty((RANDOM_ROWS, table.shape[1]), table.dtype)
    for column in range(table.shape[1]):
        values = table[random.integers(len(table), size=RANDOM_ROWS), column]
        if UNKNOWN_NUMBER in taken[column]:
            numbers = table[:, column].astype(float)
            numbers = numbers[np.isfinite(numbers)]
            low, high = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 1.0)
            width = high - low or 1.0
            other = random.random(RANDOM_ROWS) < 0.5
            values[other] = random.uniform(low - width, high + width, int(other.sum()))
        for value in taken[column]:
            values[random.random(RANDOM_ROWS) < 0.05] = value
        rows[:, column] = values
    return rows


def _boundaries(estimator: Any, table: NDArray[Any], columns: list[int]) -> Iterator[tuple[int, list[float]]]:
    """Thresholds of trees with their neighbours, by those columns of the table that a tree sees unchanged."""
    model = getattr(estimator, "best_estimator_", estimator)
    seen = table[:200]
    if isinstance(model, Pipeline):
        seen = model[:-1].transform(seen) if len(model) > 1 else seen
        model = model[-1]
    found = sorted({*thresholds(model), *boosted_thresholds(model)})
    if not found:
        return
    found = [found[place] for place in np.unique(np.linspace(0, len(found) - 1, MOST_THRESHOLDS).astype(int))]
    seen = np.asarray(seen.toarray() if hasattr(seen, "toarray") else seen, object)
    for column in columns:
        raw = table[:200, column]
        same = {place for place in range(seen.shape[1]) if _equal(raw, seen[:, place])}
        values = [near for place, threshold in found if place in same for near in _near(threshold)]
        if values:
            yield column, values


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if any(isinstance(value, str) for value in other):
        return False
    return bool(np.array_equal(one.astype(float), other.astype(float), equal_nan=True))


def _near(threshold: float) -> list[float]:
    """A threshold and its neighbours, as doubles and as float32, which some trees see."""
    short = np.float32(threshold)
    shorts = [short, np.nextafter(short, np.float32(-np.inf)), np.nextafter(short, np.float32(np.inf))]
    between = [(float(short) + float(one)) / 2 for one in shorts[1:]]
    near = [threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf), *map(float, shorts), *between]
    return [float(value) for value in near if abs(value) <= LARGEST]
