from __future__ import annotations

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.named_columns import fit
from modelstack.pipeline.rows import Rows

WORDS, NUMBERS = ["plan", "region"], make_column_selector(dtype_include=np.number)


@cache
def table(rows: int = 200) -> pd.DataFrame:
    """Customers as `pandas.read_csv` reads them, with missing values except in `plan` and `months`."""
    random = np.random.default_rng(4)
    made = pd.DataFrame(
        {
            "plan": random.choice(["basic", "gold"], rows),
            "months": random.integers(1, 40, rows),
            "spend": random.normal(50, 9, rows),
            "region": random.choice(["north", "south"], rows),
            "vip": random.choice([True, False], rows),
            "code": random.choice([1.0, 2.0, 3.0], rows),
        }
    ).astype({"vip": object})
    for name in ("spend", "region", "vip", "code"):
        made.loc[random.random(rows) < 0.1, name] = np.nan
    return pd.read_csv(io.StringIO(made.to_csv(index=False)))


def columns(*parts: Any, **more: Any) -> ColumnTransformer:
    return ColumnTransformer([(f"part{place}", step, chosen) for place, (step, chosen) in enumerate(parts)], **more)


def filled(step: Any, strategy: str = "most_frequent") -> Any:
    return make_pipeline(SimpleImputer(strategy=strategy), step)


ENCODED = filled(OneHotEncoder(handle_unknown="ignore"))
LINEAR = make_pipeline(columns((ENCODED, WORDS), (filled(StandardScaler(), "mean"), NUMBERS)), LogisticRegression())
ESTIMATORS = {
    "names and types": LINEAR,
    "positions": make_pipeline(columns((ENCODED, [0, 3])), LogisticRegression()),
    "slices": make_pipeline(columns((filled(StandardScaler()), slice("months", "spend"))), LogisticRegression()),
    "missing categories": make_pipeline(columns((OneHotEncoder(), [*WORDS, "vip", "code"])), LogisticRegression()),
    "codes and a remainder": make_pipeline(
        columns((OrdinalEncoder(encoded_missing_value=-5), [*WORDS, "vip"]), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=5),
    ),
    "tables between steps": make_pipeline(
        columns(("passthrough", NUMBERS), verbose_feature_names_out=False).set_output(transform="pandas"),
        HistGradientBoostingClassifier(max_iter=5, categorical_features=["code"], monotonic_cst={"spend": 1}),
    ),
    "a union": make_pipeline(
        FeatureUnion([("a", columns((ENCODED, WORDS))), ("b", columns((filled(StandardScaler()), NUMBERS)))]),
        LogisticRegression(),
    ),
    "a vote": VotingClassifier([("one", LINEAR)]),
    "a stack": StackingClassifier([("one", LINEAR)], filled(LogisticRegression()), cv=2),
    "a calibration": CalibratedClassifierCV(LINEAR, cv=2),
    "a target": TransformedTargetRegressor(
        make_pipeline(columns((filled(StandardScaler()), NUMBERS)), Ridge()), func=np.log1p, inverse_func=np.expm1
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_an_array_is_answered_as_the_table_was(kind: str) -> None:
    label = table()["months"] if kind == "a target" else table()["months"] < 15
    rows = Rows.of(table().assign(label=label))
    expected = clone(ESTIMATORS[kind]).fit(table(), label)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as of names that an array does not have
        found = fit(clone(ESTIMATORS[kind]), rows)
        assert np.array_equal(found.predict(rows.table), expected.predict(table()))
    if hasattr(expected, "predict_proba"):
        assert np.allclose(found.predict_proba(rows.table), expected.predict_proba(table()))


def test_one_imputer_for_missing_texts_and_numbers_is_refused_by_column() -> None:
    both = make_pipeline(columns((ENCODED, ["vip", "spend"])), LogisticRegression())
    rows = Rows.of(table().assign(label=table()["months"] < 15))
    with pytest.raises(ContractBroken, match="column 'vip' has missing values, and one SimpleImputer fills vip, spend"):
        fit(both, rows)


def test_an_imputer_for_numbers_and_whole_texts_is_left_as_it_is() -> None:
    both = make_pipeline(columns((ENCODED, ["plan", "code"])), LogisticRegression())
    rows = Rows.of(table().assign(label=table()["months"] < 15))
    found = fit(clone(both), rows).predict(rows.table)
    assert np.array_equal(found, both.fit(table(), rows.label).predict(table()))
