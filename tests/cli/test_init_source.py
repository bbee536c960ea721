"""An estimator written as source, and made ready for the arrays that the pipeline gives."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from cli.init.estimator import prepared
from cli.init.source import Unwritable, same, source
from tests.cli.test_init import COLUMNS, NUMBERS, WORDS, frame


def run(estimator: Any) -> Any:
    """What the source of an estimator makes."""
    written = source(estimator)
    found: dict[str, Any] = {}
    exec("\n".join([*written.imports, f"made = {written.expression}"]), found)
    return found["made"]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(C=0.25, class_weight={"no": 1, "yes": np.float64(2.5)}),
        make_pipeline(StandardScaler(with_mean=False), Ridge(alpha=1e-7)),
        make_pipeline(FunctionTransformer(np.log1p, feature_names_out="one-to-one"), Ridge()),
        FunctionTransformer(special.logit, inverse_func=special.expit),
        ColumnTransformer([("a", OneHotEncoder(categories=[["it's", 'a "b"', "ü\n"]], dtype=np.float32), [0])]),
        ColumnTransformer(
            [("a", "passthrough", slice(0, 2)), ("b", "drop", [True, False])], remainder=StandardScaler()
        ),
        CalibratedClassifierCV(LogisticRegression(), cv=KFold(3, shuffle=True, random_state=1)),
        GaussianProcessRegressor(RBF(2.0, (1e-3, 1e3)) + WhiteKernel()),
        SimpleImputer(missing_values=-1, strategy="constant", fill_value=float("inf")),
        HistGradientBoostingClassifier(interaction_cst=[(0,), (1, 2)]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_source_makes_an_equal_estimator(estimator: Any) -> None:
    made = run(estimator)
    assert repr(made) == repr(estimator).replace("np.float64(2.5)", "2.5")
    assert same(made, estimator)
    assert type(made) is type(estimator)


def test_source_names_what_differs_from_the_defaults_and_imports_what_is_public() -> None:
    written = source(Pipeline([("scale", StandardScaler()), ("fit", Ridge(alpha=2.0))]))
    assert written.expression == 'Pipeline(steps=[("scale", StandardScaler()), ("fit", Ridge(alpha=2.0))])'
    assert written.imports == [
        "from sklearn.linear_model import Ridge",
        "from sklearn.pipeline import Pipeline",
        "from sklearn.preprocessing import StandardScaler",
    ]


def test_an_experiment_of_scikit_learn_is_imported_from_where_it_needs_no_leave() -> None:
    from sklearn.impute._iterative import IterativeImputer

    assert source(IterativeImputer(max_iter=3)).imports == ["from sklearn.impute._iterative import IterativeImputer"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Ridge(), Ridge(alpha=2.0)),
        (make_pipeline(StandardScaler(), Ridge()), make_pipeline(StandardScaler(), Ridge(alpha=2.0))),
        (Ridge(), LogisticRegression()),
        (KFold(3), KFold(4)),
        (OneHotEncoder(dtype=np.float32), OneHotEncoder()),
        ([1, 2], (1, 2)),
        ({"a": 1}, {"a": 2}),
        (True, 1),
    ],
)
def test_estimators_that_differ_in_one_parameter_are_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert same(one, clone(one, safe=False))


class Own(BaseEstimator):
    pass


def own_function(values: Any) -> Any:
    return values


class Opaque:
    def __init__(self, *given: int) -> None:
        self.given = given


@pytest.mark.parametrize(
    ("estimator", "told"),
    [
        (
            FunctionTransformer(lambda values: values),
            "FunctionTransformer, func: found a lambda; expected a function of",
        ),
        (
            FunctionTransformer(own_function),
            r"FunctionTransformer, func: found the function own_function of .*test_init",
        ),
        (make_pipeline(Own(), Ridge()), r"Pipeline, steps: found the class Own of .*test_init_source; expected one of"),
        (OneHotEncoder(categories=[np.array(["a"])]), r"OneHotEncoder, categories: found an array; give it as a list"),
        (RandomForestClassifier(random_state=np.random.RandomState(1)), "RandomForestClassifier, random_state: found "),
        (
            FunctionTransformer(math.expm1, inverse_func=special.expm1),
            "as source it makes another estimator: write model",
        ),
        (FunctionTransformer(kw_args={"by": Opaque(1)}), r"FunctionTransformer, kw_args: found the class Opaque of"),
    ],
)
def test_what_cannot_be_source_is_refused_by_name_with_what_to_do(estimator: Any, told: str) -> None:
    with pytest.raises(Unwritable, match=told) as refused:
        source(estimator)
    assert "by hand" in str(refused.value) or "tolist" in str(refused.value)


def test_a_module_beside_a_library_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = ModuleType("churn_features")
    module.__file__ = str(tmp_path / "churn_features.py")
    exec("def ratio(values):\n    return values", module.__dict__)
    monkeypatch.setitem(sys.modules, "churn_features", module)
    with pytest.raises(Unwritable, match="found the function ratio of churn_features; expected one of an installed"):
        source(FunctionTransformer(module.__dict__["ratio"]))


def names_to_places(columns: Any, **more: Any) -> Any:
    transformer = ColumnTransformer([("a", StandardScaler(), columns)], **more)
    return prepared(transformer.fit(frame()[COLUMNS]), COLUMNS).estimator.transformers[0][2]


@pytest.mark.parametrize(
    ("columns", "places"),
    [
        (["spend", "months"], [2, 1]),
        (pd.Index(["spend"]), [2]),
        (slice("months", "spend"), slice(1, 3, None)),
        ([1, 2], [1, 2]),
        (np.array([False, True, False, False]), [False, True, False, False]),
        (make_column_selector(dtype_include=np.number), [1, 2]),
        (lambda table: ["months"], [1]),
    ],
)
def test_columns_by_name_become_places(columns: Any, places: Any) -> None:
    assert names_to_places(columns) == places


EVERYWHERE = {
    "a remainder": lambda made: make_pipeline(made(["plan"], remainder=made(["spend", "months"], StandardScaler()))),
    "a union": lambda made: FeatureUnion([("a", made(WORDS)), ("b", made(["spend"], StandardScaler()))]),
    "a transformer in a transformer": lambda made: made(["region", "plan"], made(["plan"])),
}


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_a_prepared_transformer_does_with_an_array_what_it_did_with_a_table(kind: str) -> None:
    def made(columns: list[str], inside: Any = None, remainder: Any = "drop") -> ColumnTransformer:
        coded = inside or OneHotEncoder(sparse_output=False)
        return ColumnTransformer([("x", coded, columns)], remainder=remainder)

    table = frame()[COLUMNS].drop(columns="region") if kind == "a remainder" else frame()[COLUMNS]
    fitted = EVERYWHERE[kind](made).fit(table)
    blank = run(prepared(fitted, list(table)).estimator)
    found = blank.fit_transform(table.to_numpy(object))
    assert np.array_equal(found.astype(float), np.asarray(fitted.transform(table), float))


@pytest.mark.parametrize("kind", ["vote", "target"])
def test_columns_are_found_inside_what_fits_copies(kind: str) -> None:
    table = frame()
    columns = ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include=np.number))])
    if kind == "vote":
        columns = ColumnTransformer([("n", StandardScaler(), NUMBERS)])
        fitted = VotingClassifier([("one", make_pipeline(columns, LogisticRegression()))])
        fitted.fit(table[COLUMNS], table["churned"])
        inside = prepared(fitted, COLUMNS).estimator.estimators[0][1]
    else:
        fitted = TransformedTargetRegressor(make_pipeline(columns, Ridge()), func=np.log1p, inverse_func=np.expm1)
        fitted.fit(table[COLUMNS], table["months"])
        inside = prepared(fitted, COLUMNS).estimator.regressor
    assert inside.steps[0][1].transformers[0][2] == [1, 2]


def test_boosting_takes_categories_and_slopes_by_place() -> None:
    table = frame()[NUMBERS]
    fitted = HistGradientBoostingClassifier(max_iter=2, categorical_features=["months"], monotonic_cst={"spend": 1})
    blank = prepared(fitted.fit(table, table["months"] > 9), NUMBERS).estimator
    assert (blank.categorical_features, blank.monotonic_cst) == ([0], [0, 1])
    with_dtypes = HistGradientBoostingClassifier(max_iter=2).fit(
        table.assign(months=table["months"].astype("category")), table["months"] > 9
    )
    with pytest.raises(Unwritable, match="categories by the dtype of a DataFrame"):
        prepared(with_dtypes, NUMBERS)


def test_a_column_by_name_after_another_step_is_refused() -> None:
    columns = ColumnTransformer([("n", StandardScaler(), ["spend"])])
    fitted = make_pipeline(FunctionTransformer(), columns).fit(frame()[COLUMNS])
    with pytest.raises(Unwritable, match="ColumnTransformer, n: found the column 'spend' by name, after a step"):
        prepared(fitted, COLUMNS)


def test_an_imputer_of_texts_looks_for_what_the_pipeline_has_for_a_missing_one() -> None:
    from pipeline.rows import Rows

    table = frame()[COLUMNS]
    table.loc[[0, 3], "region"] = np.nan
    table.loc[[1], "spend"] = np.nan
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False))
    fitted = ColumnTransformer([("w", words, WORDS), ("n", SimpleImputer(), NUMBERS)]).fit(table)
    blank = prepared(fitted, COLUMNS, WORDS)
    assert blank.notes == (
        "SimpleImputer of plan, region: missing_values is None, as a missing text is to the pipeline",
    )
    found = run(blank.estimator).fit_transform(Rows.of(table).table)
    assert np.array_equal(found.astype(float), np.asarray(fitted.transform(table), float))
    both = make_pipeline(SimpleImputer(strategy="most_frequent")).fit(table)
    with pytest.raises(Unwritable, match="column 'region': found none, and one SimpleImputer fills plan, months, spe"):
        prepared(both, COLUMNS, WORDS, {"region": "found none"})
    table["region"] = table["region"].fillna("north")
    kept = run(prepared(both.fit(table), COLUMNS, WORDS).estimator)
    assert kept.fit_transform(Rows.of(table).table).tolist() == both.transform(table).tolist()


def test_what_a_stack_puts_on_top_sees_other_columns() -> None:
    table = frame()
    words = make_pipeline(OneHotEncoder(), LogisticRegression())
    top = make_pipeline(SimpleImputer(strategy="most_frequent"), LogisticRegression())
    fitted = StackingClassifier([("words", words)], top, cv=2).fit(table[WORDS], table["churned"])
    imputer = prepared(fitted, WORDS, WORDS).estimator.final_estimator.steps[0][1]
    assert np.isnan(imputer.missing_values)


def test_seeds_that_are_not_set_are_set_and_told() -> None:
    table = frame()
    fitted = make_pipeline(OrdinalEncoder(), RandomForestClassifier(n_estimators=2)).fit(table[WORDS], table["churned"])
    blank = prepared(fitted, WORDS, WORDS)
    assert "random_state=0" in source(blank.estimator).expression
    assert "randomforestclassifier__random_state: set to 0, so that each training has the same outcome" in blank.notes
    assert "OrdinalEncoder of plan, region: a missing text gets a code of its own, as any other" in blank.notes
    assert fitted[-1].random_state is None, "the person's own is not changed"
