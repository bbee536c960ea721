"""Fits an estimator that finds its columns by name, so that it accepts the arrays of the pipeline.

scikit-learn finds columns by name, type or function only in a DataFrame, so the fit gets one. Afterwards the fitted
estimator is changed to use positions, and None instead of NaN for missing texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer

from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.rows import Rows


def fit(estimator: Any, rows: Rows) -> Any:
    """Fit an estimator in place, and return it; refuses one imputer for numbers and texts with missing values."""
    texts = {name: values for name, values in rows.columns.items() if values.dtype.kind == "O"}
    estimator.fit(_frame(rows, texts), rows.label)
    for part in _parts(estimator, set()):
        names = [str(name) for name in vars(part).pop("feature_names_in_", ())]
        vars(part).pop("_sklearn_output_config", None)  # DataFrames between steps are only needed for names
        if isinstance(part, ColumnTransformer) and hasattr(part, "transformers_"):
            positions = vars(part)["_transformer_to_input_indices"]  # every kind of selection, resolved
            part.transformers_ = [(name, fitted, positions[name]) for name, fitted, _ in part.transformers_]
        if texts and names and hasattr(part, "categories_"):
            pairs = zip(names, part.categories_, strict=True)
            part.categories_ = [_as_objects(values, name in texts) for name, values in pairs]
        if names and _is_nan(getattr(part, "missing_values", None)):
            _expect_none(part, names, texts)
    return estimator


def _frame(rows: Rows, texts: Mapping[str, NDArray[Any]]) -> Any:
    """The rows as `pandas.read_csv` reads them: a missing text is NaN."""
    objects = {name: [np.nan if value is None else value for value in values] for name, values in texts.items()}
    return pd.DataFrame({**rows.columns, **objects})


def _as_objects(categories: NDArray[Any], texts: bool) -> NDArray[Any]:
    """Categories as an encoder learns them from an array of objects."""
    return np.array([None if texts and _is_nan(one) else one for one in categories.tolist()], object)


def _expect_none(imputer: Any, names: list[str], texts: Mapping[str, NDArray[Any]]) -> None:
    """Make an imputer of texts look for None. One of mixed columns is unchanged if no text is missing."""
    if all(name in texts for name in names):
        imputer.missing_values = None
    elif found := next((name for name in names if name in texts and None in texts[name].tolist()), None):
        raise ContractBroken(
            [
                f"model/training.py: column {found!r} has missing values, and one {type(imputer).__name__} fills "
                f"{', '.join(names)}; expected one imputer for {found} and another one for numbers, because a missing "
                "value is None in a column of texts or of true and false, and NaN in numbers"
            ]
        )


def _parts(value: Any, known: set[int]) -> Iterator[Any]:
    """Each scikit-learn object inside a fitted estimator and the estimator itself, once."""
    if id(value) in known:
        return
    known.add(id(value))
    match value:
        case type():
            return
        case list() | tuple():
            inside: list[Any] = [*value]
        case dict():
            inside = [*value.values()]
        case _ if hasattr(value, "get_params") or type(value).__module__.startswith("sklearn."):
            inside = [*getattr(value, "__dict__", {}).values()]
        case _:
            return
    for one in inside:
        yield from _parts(one, known)
    if hasattr(value, "__dict__"):
        yield value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isnan(value))
