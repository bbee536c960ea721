"""Columns that a library cannot be fitted on, or that no request can have, named with what to do."""

from __future__ import annotations

from typing import Any

from modelstack.pipeline.rows import Rows

_NOT_IN_NAMES = {*',:[]{}"'}
"""What LightGBM takes in no name of a feature."""


def renames_spaces(estimator: Any) -> bool:
    """Whether it is LightGBM's, which knows the column `months left` as `months_left`."""
    return type(estimator).__module__.startswith("lightgbm")


def pandas_categories(estimator: Any) -> bool:
    """Whether LightGBM was fitted on pandas categories, without which it cannot answer."""
    return renames_spaces(estimator) and bool(estimator.booster_.pandas_categorical)


def why(error: Exception, rows: Rows) -> str:
    """What to do about an error of a fit, with the columns that it is about; empty if it is another one."""
    said = str(error)
    if "could not convert string to float" in said:
        return f"{said}; {of_categories(rows)}"
    if "special JSON characters in feature name" in said:
        wrong = ", ".join(repr(name) for name in rows.columns if {*name} & _NOT_IN_NAMES)
        return (
            f"found the columns {wrong}; LightGBM takes no name with one of {' '.join(sorted(_NOT_IN_NAMES))}: rename "
            "them in model/data.py, or fit it on rows.table, which has no names"
        )
    return ""


def of_categories(rows: Rows) -> str:
    """What to do about texts that were pandas categories."""
    texts = ", ".join(name for name, values in rows.columns.items() if values.dtype.kind == "O")
    return (
        f"texts that pandas has as categories are plain texts here{f', as in {texts}' if texts else ''}: encode them "
        "within the estimator, by an OrdinalEncoder or OneHotEncoder in a ColumnTransformer"
    )
