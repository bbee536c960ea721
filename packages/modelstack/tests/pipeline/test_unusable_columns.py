"""Errors of LightGBM about columns are answered with their names and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelstack.pipeline import unusable_columns
from modelstack.pipeline.rows import Rows
from tests.cli.test_init_lightgbm import fitted

ROWS = Rows(
    {"plan": np.array(["basic", "gold"], object), "spend [EUR]": np.array([1.0, 2.0]), "a:b": np.array([0.0, 1.0])},
    np.array([0, 1]),
    np.array(["0", "1"]),
)


def test_names_with_special_characters_are_listed() -> None:
    said = unusable_columns.why(Exception("Do not support special JSON characters in feature name."), ROWS)
    assert "found the columns 'spend [EUR]', 'a:b'; LightGBM takes no name with one of" in said
    assert "fit it on rows.table" in said and "model/data.py" in said


def test_texts_are_named_and_other_errors_are_left_alone() -> None:
    said = unusable_columns.why(ValueError("could not convert string to float: 'gold'"), ROWS)
    assert "categories are plain texts here, as in plan: encode them within the estimator" in said
    assert unusable_columns.why(ValueError("something else"), ROWS) == ""


@pytest.mark.parametrize(("categories", "refused"), [([["basic", "gold"]], True), (None, False)])
def test_an_estimator_of_pandas_categories_is_known(categories: Any, refused: bool) -> None:
    assert unusable_columns.pandas_categories(fitted(["plan"], categories)) is refused
    assert not unusable_columns.pandas_categories(object())
