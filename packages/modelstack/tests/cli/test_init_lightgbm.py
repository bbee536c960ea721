"""`modelstack model init` of LightGBM's estimators, as they know their columns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from modelstack.cli.errors import OperatorError
from modelstack.cli.init import table


class LGBMClassifier(ClassifierMixin, BaseEstimator):
    """What the commands see of an estimator of LightGBM, which is not among the packages of the tests."""

    classes_ = np.array(["no", "yes"])

    def predict(self, rows: Any) -> Any:
        return np.array(["no"] * len(rows))


LGBMClassifier.__module__ = "lightgbm.sklearn"


def fitted(names: list[str], categories: Any = None) -> Any:
    """One that was fitted on columns of these names."""
    made: Any = LGBMClassifier()
    made.feature_names_in_, made.n_features_in_ = np.array(names), len(names)
    made.booster_ = SimpleNamespace(pandas_categorical=categories)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = {"months left": [1, 2, 3], "plan": ["basic", "gold", "gold"], "plain": [0.5, 1.5, 2.5]}
    pd.DataFrame({**rows, "churned": ["no", "yes", "no"]}).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_a_column_with_spaces_is_found_by_the_name_that_lightgbm_gave_it(path: Path) -> None:
    found = table.read(path, "churned", None, None, fitted(["months_left", "plain"]))
    assert found.features == ("months left", "plain")
    assert found.left == ("plan",)
    assert found.example == {"instances": [{"months left": 1, "plain": 0.5}]}


def test_a_name_that_no_column_has_is_still_refused(path: Path) -> None:
    with pytest.raises(OperatorError, match="found no column weeks_left"):
        table.read(path, "churned", None, None, fitted(["weeks_left", "plain"]))


def test_pandas_categories_are_refused_with_their_column_and_what_to_do(path: Path) -> None:
    with pytest.raises(OperatorError, match=r"fitted on pandas categories \(plan\)") as refused:
        table.read(path, "churned", None, None, fitted(["plan", "plain"], [["basic", "gold"]]))
    assert "OneHotEncoder" in str(refused.value.hint)
