"""The training table: which of its columns are features, and whether the estimator was fitted on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import is_classifier

from modelstack.cli.errors import OperatorError
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.example import request
from modelstack.pipeline.rows import BESIDE, Rows
from modelstack.pipeline.unusable_columns import pandas_categories, renames_spaces

_SHOWN = 8
_CHECKED_ROWS = 1000
_HINTS = 3


@dataclass(frozen=True)
class Table:
    """A table and the roles of its columns.

    Attributes:
        features: In the estimator's order.
        left: Columns without a role.
        gaps: Text or boolean features with missing values -> a description of them.
        example: A request: the first row without a missing value, or else the first.
    """

    path: Path
    label: str
    time: str | None
    id: str | None
    features: tuple[str, ...]
    left: tuple[str, ...]
    gaps: Mapping[str, str]
    example: Mapping[str, Any]


def read(path: Path, label: str, time: str | None, name: str | None, fitted: Any) -> Table:
    """Read a CSV file and check it against the estimator that was fitted on it; `name` is the column of row names."""
    try:
        frame = pd.read_csv(path, low_memory=False)
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise OperatorError(f"{path} cannot be read as CSV with a line of names first: {error}") from error
    options = {"--label": label, "--time": time, "--id": name}
    given = {option: column for option, column in options.items() if column is not None}
    for option, column in given.items():
        if column not in frame.columns:
            raise OperatorError(
                f"{path}: found no column {column!r} for {option}; expected one of {_list(frame)}", None, 2
            )
    if len(set(given.values())) < len(given):
        raise OperatorError(f"{path}: {', '.join(given)} name one column twice; expected another one for each", None, 2)
    rest = [str(column) for column in frame.columns if column not in given.values()]
    features = _features(path, fitted, rest, given)
    left = tuple(column for column in rest if column not in features)
    try:
        rows = Rows.of(frame[features])
    except ContractBroken as error:
        raise OperatorError(f"{path}: {error.problems[0].partition('table: ')[2]}") from None
    gaps = {
        one: _gap(frame[one]) for one in features if frame[one].dtype.kind not in "biuf" and frame[one].isna().any()
    }
    if pandas_categories(fitted):
        texts = [one for one in features if frame[one].dtype.kind not in "biuf"] or features
        raise OperatorError(
            f"{path}: the estimator was fitted on pandas categories ({_list(texts)}), which neither a CSV file nor a "
            "request has; expected one that takes texts and numbers",
            "Fit it again as the end of a Pipeline that makes numbers of them, by a OneHotEncoder in a "
            "ColumnTransformer.",
        )
    _check_answers(path, fitted, frame[features].head(_CHECKED_ROWS), gaps)
    if wrong := next(_wrong(frame, label, time, name, fitted), None):
        raise OperatorError(f"{path}: {wrong}")
    return Table(path, label, time, name, tuple(features), left, gaps, request(rows))


def _features(path: Path, fitted: Any, rest: list[str], given: dict[str, str]) -> list[str]:
    names = [str(one) for one in getattr(fitted, "feature_names_in_", rest)]
    if renames_spaces(fitted):
        spaced = {column.replace(" ", "_"): column for column in rest}
        names = [one if one in rest else spaced.get(one, one) for one in names]
    if missing := [one for one in names if one not in rest]:
        taken = [f"{one} is {option}" for one in missing for option, column in given.items() if one == column]
        raise OperatorError(
            f"{path}: found no column {_list(missing)}, which the estimator was fitted on"
            + (f" ({', '.join(taken)})" if taken else "")
            + f"; expected all of {_list(names)}",
            "Give the table that it was fitted on. What was made of it before the fit, such as by get_dummies, belongs "
            "into the estimator, as a step of a Pipeline.",
        )
    count = getattr(fitted, "n_features_in_", len(names))
    if count != len(names):
        raise OperatorError(
            f"{path}: found {len(names)} columns of features, {_list(names)}; expected {count}: the estimator was "
            "fitted on so many, and does not know their names",
            "Leave the other columns out of the table, or fit on a DataFrame, so that the estimator knows names.",
        )
    if reserved := [one for one in names if one in BESIDE]:
        raise OperatorError(
            f"{path}: found {_list(reserved)} among the features; expected another name, as {', '.join(BESIDE)} are "
            "no features to the pipeline",
            "Rename the column in the table, and fit again.",
        )
    return names


def hints(gaps: Mapping[str, str]) -> str:
    """A sentence for each of the first columns whose missing values may prevent a build."""
    return " ".join(
        f"Column {name!r}: {found}; if that is why, fill it before the fit, or by a SimpleImputer for it alone."
        for name, found in [*gaps.items()][:_HINTS]
    )


def _gap(values: Any) -> str:
    lacks = values.isna()
    kind = "true and false" if all(isinstance(one, bool) for one in values[~lacks]) else "texts"
    first = int(lacks.to_numpy().argmax()) + 1
    some = f"{int(lacks.sum()):,} of {len(values):,} rows"
    return f"found no value in {some}, the first of them row {first:,}, beside {kind}"


def _check_answers(path: Path, fitted: Any, rows: Any, gaps: Mapping[str, str]) -> None:
    """Refuse a table that the estimator cannot predict, or predicts with several values a row."""
    try:
        answers = fitted.predict(rows if hasattr(fitted, "feature_names_in_") else rows.to_numpy())
    except Exception as error:  # whatever a part of it raises
        raise OperatorError(
            f"{path}: the estimator cannot answer its rows ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "expected the table that it was fitted on, as pandas.read_csv reads it",
            hints(gaps) or "If the estimator was made with another version of scikit-learn, fit it with the one here.",
        ) from error
    if len(answers.shape) > 1 and answers.shape[1] > 1:
        raise OperatorError(f"{path}: the estimator answers {answers.shape[1]} values for each row; expected one")


def _wrong(frame: Any, label: str, time: str | None, name: str | None, fitted: Any) -> Iterator[str]:
    for column in filter(None, (label, time, name)):
        if missing := int(frame[column].isna().sum()):
            yield f"column {column!r}: found {missing:,} rows without a value; expected one in each"
    if name is not None and (twice := frame[name][frame[name].duplicated()]).size:
        yield f"column {name!r}: found {twice.iloc[0]} twice; expected another name for each row"
    if time is not None:
        yield from _wrong_times(frame[time])
    yield from _wrong_labels(frame[label], fitted)


def _wrong_times(values: Any) -> Iterator[str]:
    expected = "expected dates or times such as 2026-01-31 or 2026-01-31T12:00:00Z (without a zone: UTC)"
    if values.dtype.kind in "biuf":
        yield f"column {values.name!r}: found numbers, such as {values.iloc[0]}; {expected}"
        return
    bad = values[pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce").isna()]
    if bad.size:
        yield f"column {values.name!r}: found {bad.iloc[0]!r}; {expected}"


def _wrong_labels(values: Any, fitted: Any) -> Iterator[str]:
    if is_classifier(fitted):
        known, found = set(fitted.classes_.tolist()), set(values.unique().tolist())
        if known != found:
            yield (
                f"column {values.name!r}: found the labels {_list(found)}; expected the estimator's classes, "
                f"{_list(known)}"
            )
    elif values.dtype.kind not in "iuf":
        yield f"column {values.name!r}: found {values.iloc[0]!r}; expected numbers, as the estimator is a regressor"


def _list(values: Any) -> str:
    shown = sorted(map(str, values)) if isinstance(values, set) else [str(one) for one in values]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
