from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from modelstack.pipeline import fast_ensemble, fast_trees, proof
from modelstack.pipeline.fast_form import compiled
from modelstack.pipeline.fast_nodes import NoFastForm
from modelstack.pipeline.proof import fast_form, proven
from modelstack.pipeline.rows import Rows
from modelstack.serving.fast_form import load
from tests.pipeline.estimators import BOTH, FILLED, KNOWN, MIXED, NUMBERS, PICKED, encoded, labels, mixed, numbers

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "RANDOM_ROWS", 300)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in a build; on tables of this size more threads only wait for each other."""
    with threadpool_limits(limits=1):
        yield


def both_ways(name: str) -> list[Any]:
    return [pytest.param(False, name, id=f"{name}, complete"), pytest.param(True, name, id=f"{name}, missing values")]


def same(estimator: Any, rows: Rows, kind: str) -> bytes:
    """Fit, make the fast form, compare, and return the fast form."""
    fitted = clone(estimator).fit(rows.table, labels(rows, kind))
    content = compiled(fitted, rows.features)
    found = proven(fitted, content, rows.table, rows.features)
    assert found.rows > len(rows) + 300
    assert found.largest_difference < 1e-12
    return content


@pytest.mark.parametrize("name", NUMBERS)
def test_estimators_of_numbers_have_a_fast_form_that_says_the_same(name: str):
    same(*NUMBERS[name][:1], numbers(), NUMBERS[name][1])


@pytest.mark.parametrize(("missing", "name"), [one for name in BOTH for one in both_ways(name)])
def test_estimators_that_take_missing_values_have_one(missing: bool, name: str):
    same(BOTH[name][0], numbers(missing=missing), BOTH[name][1])


@pytest.mark.slow
@pytest.mark.parametrize(("missing", "name"), [one for name in MIXED for one in both_ways(name)])
def test_estimators_of_texts_and_numbers_have_one(missing: bool, name: str):
    content = same(MIXED[name][0], mixed(missing=missing), MIXED[name][1])
    given = onnx.load_from_string(content).graph.input
    kinds = [(one.name, one.type.tensor_type.elem_type, one.type.tensor_type.shape.dim[1].dim_value) for one in given]
    double, text = onnx.TensorProto.DOUBLE, onnx.TensorProto.STRING
    assert kinds == [("from", text, 2), ("distance", double, 3), ("kind", text, 1), ("wind", double, 1)]


@pytest.mark.parametrize("name", PICKED)
def test_columns_may_be_picked_in_any_way(name: str):
    same(make_pipeline(PICKED[name], Ridge()), mixed(), "number")


@st.composite
def tables(draw: st.DrawFn) -> tuple[Rows, int]:
    """Few rows with ties, missing values and odd categories, and a seed."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    size = draw(st.integers(12, 60))
    known = draw(st.lists(st.sampled_from([-3.0, 0.0, 1.0, 2.0, 31.0, 32.0, 33.0, 64.0, 2.5, 1e9]), min_size=1))
    category = random.choice(known, size)
    number = random.choice([0.0, 0.1, 0.1 + 1e-16, 1 / 3, 1e-300, 7.0], size) * random.choice([1, -1], size)
    for values in (category, number):
        values[random.random(size) < draw(st.sampled_from([0.0, 0.3]))] = np.nan
    label = random.integers(0, draw(st.integers(2, 3)), size)
    label[:3] = [0, 1, 0]
    return Rows.of({"category": category, "number": number, "label": label}), seed


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(tables(), st.booleans())
def test_histograms_say_the_same_on_any_small_table(found: tuple[Rows, int], classify: bool):
    rows, seed = found
    kind: Any = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    model = kind(max_iter=3, min_samples_leaf=1, categorical_features=[0], random_state=seed).fit(
        rows.table, rows.label if classify else rows.label + 0.5
    )
    content = compiled(model, rows.features)
    if len(set(rows.label)) == 2:  # of three classes two may be as probable, up to the last bit
        assert proven(model, content, rows.table, rows.features).largest_difference < 1e-12
    asked = np.array([[place / 4, value] for place in range(-20, 300) for value in (0.1, np.nan)])
    said, expected = (one.predict_proba if classify else one.predict for one in (load(content), model))
    assert said(asked) == pytest.approx(expected(asked), abs=1e-12)


def of_float32(kind: int, values: list[Any]) -> onnx.TensorProto:
    """A tensor whose numbers have lost what float32 does not hold."""
    short = [float(np.float32(value)) for value in values] if kind == onnx.TensorProto.DOUBLE else values
    return onnx.helper.make_tensor("", kind, (len(short),), short)


WRONG: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "below, not up to": lambda patch: patch.setattr(fast_ensemble, "_LEQ", 1),
    "numbers of float32": lambda patch: patch.setattr(fast_ensemble, "tensor", of_float32),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_converted_wrongly_is_found_at_the_thresholds_and_is_not_used(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    rows = numbers()
    fitted = HistGradientBoostingClassifier(max_iter=10).fit(rows.table, rows.label)
    assert fast_form(fitted, rows.table, rows.features)[0] is not None
    WRONG[name](monkeypatch)
    content, told = fast_form(fitted, rows.table, rows.features)
    assert content is None
    assert "rows at thresholds of its trees it" in told["why_not"]


def test_missing_values_on_the_wrong_side_are_found(monkeypatch: pytest.MonkeyPatch):
    rows = numbers(missing=True)
    fitted = HistGradientBoostingClassifier(max_iter=10).fit(rows.table, rows.label)
    made = fast_trees._histogram_node

    def turned(*given: Any) -> Any:
        node = made(*given)
        return fast_ensemble.Node(**{**vars(node), "missing_left": not node.missing_left})

    monkeypatch.setattr(fast_trees, "_histogram_node", turned)
    content, told = fast_form(fitted, rows.table, rows.features)
    assert (content, "rows of the evaluation it" in told["why_not"]) == (None, True)


def test_a_row_that_only_one_of_the_two_refuses_is_found():
    rows = numbers()
    may_be_missing = [{**one, "optional": True} for one in rows.features]
    content, told = fast_form(SVC().fit(rows.table, rows.label), rows.table, may_be_missing)
    assert content is None
    assert "extreme rows one of the two has no answer, such as on [nan, " in told["why_not"]


def test_a_decision_that_is_not_the_most_probable_class_is_found():
    rows = numbers()
    fitted = FixedThresholdClassifier(LogisticRegression(), threshold=0.8).fit(rows.table, rows.label)
    content = compiled(fitted.estimator_, rows.features)
    with pytest.raises(NoFastForm, match=r"on \d+ of 150 rows of the evaluation it decides otherwise, such as on \["):
        proven(fitted, content, rows.table, rows.features)


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (KNeighborsClassifier(), "skl2onnx makes a loop of it, Scan"),
        (TransformedTargetRegressor(Ridge()), "skl2onnx has no converter for TransformedTargetRegressor"),
        (GradientBoostingClassifier(n_estimators=2, init=GaussianNB()), "is no constant"),
        (RidgeClassifier(), "skl2onnx cannot convert it: post_transform"),
        (IsolationForest(n_estimators=2), "skl2onnx computes these trees in float32"),
        (make_pipeline(FunctionTransformer(np.abs), Ridge()), "it: FunctionTransformer is not supported"),
        (
            make_pipeline(ColumnTransformer([("a", "passthrough", [0])], transformer_weights={"a": 2.0}), Ridge()),
            "a ColumnTransformer has weights, or comes after another step",
        ),
        (make_pipeline(PolynomialFeatures(), Ridge()), "onnxruntime does not take it: "),
    ],
)
def test_without_a_fast_form_it_is_told_why(estimator: Any, why: str):
    rows = numbers()
    content, told = fast_form(estimator.fit(rows.table, rows.label), rows.table, rows.features)
    assert content is None
    assert why in told["why_not"]
    assert "\n" not in told["why_not"]


def test_what_is_told_is_the_same_in_each_build():
    told = NoFastForm("skl2onnx cannot convert it", ValueError("<function f at 0x7f3a00c0> is unknown\nin line 3"))
    assert str(told) == "skl2onnx cannot convert it: <function f> is unknown"


@pytest.mark.parametrize("name", ["_2", "_3", "input0", "model", "variable", "a name: with (signs)"])
def test_features_may_have_any_name(name: str):
    random = np.random.default_rng(0)
    rows = Rows.of({name: random.normal(size=90), "label": random.random(90) < 0.5})
    same(LogisticRegression(), rows, "two")


def test_a_feature_that_is_named_as_an_output_is_told():
    rows = Rows.of({"probability": np.arange(90.0), "label": np.arange(90) > 40})
    fitted = LogisticRegression().fit(rows.table, rows.label)
    with pytest.raises(NoFastForm, match="the feature 'probability' is named as an output is"):
        compiled(fitted, rows.features)


def fitted_on_texts(encoder: Any = KNOWN, **more: Any) -> tuple[Pipeline, Rows]:
    rows = mixed(**more)
    return make_pipeline(encoded(encoder, FILLED), LogisticRegression()).fit(rows.table, rows.label), rows


def test_a_row_that_the_estimator_refuses_is_refused_too():
    estimator, rows = fitted_on_texts(OneHotEncoder())
    fast = load(compiled(estimator, rows.features))
    asked = rows.table[:3]
    asked[1, 0] = "unknown"
    for model in (estimator, fast):
        with pytest.raises(ValueError, match=r"unknown|row 1: the model has no answer for it$"):
            model.predict_proba(asked)
    with pytest.raises(ValueError, match=r"row 1: the model has no answer for it$"):
        fast.predict(asked)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [OrdinalEncoder(), OneHotEncoder(sparse_output=False)])
@pytest.mark.parametrize("trees", [RandomForestRegressor(n_estimators=2), HistGradientBoostingRegressor(max_iter=2)])
def test_what_an_encoder_refuses_is_refused_whatever_trees_make_of_it(encoder: Any, trees: Any):
    columns = ColumnTransformer([("known", encoder, [0, 3, 5]), ("others", "passthrough", [2, 6])])
    same(make_pipeline(columns, trees), mixed(), "number")
    same(make_pipeline(columns, LogisticRegression(C=1e-9)), mixed(), "three")


def test_a_forest_refuses_what_float32_does_not_hold():
    rows = numbers()
    forest = RandomForestClassifier(n_estimators=2).fit(rows.table, rows.label)
    fast = load(compiled(forest, rows.features))
    asked = rows.table[:1]
    asked[0, 0] = 3.5e38
    for model in (forest, fast):
        with pytest.raises(ValueError), warnings.catch_warnings(action="ignore"):
            model.predict(asked)


@pytest.mark.parametrize("text", ["\ud800", "UA\x00", "ua", " UA", "", "\x00", "🛫"])
def test_any_text_is_taken(text: str):
    estimator, rows = fitted_on_texts()
    asked = rows.table[:2]
    asked[1, 0] = text
    found = load(compiled(estimator, rows.features)).predict_proba(asked)
    assert found == pytest.approx(estimator.predict_proba(asked), abs=1e-12)


def test_the_text_none_is_another_than_none():
    estimator, rows = fitted_on_texts(missing=True)
    asked = rows.table[:3]
    asked[:, 1] = [None, "None", "UA"]
    found = load(compiled(estimator, rows.features)).predict_proba(asked)
    assert found == pytest.approx(estimator.predict_proba(asked), abs=1e-12)
    assert len(set(found[:, 1])) == 3


@pytest.mark.parametrize("classes", [[False, True], [3, 8], ["no", "yes"], [1.0, 2.0]])
def test_classes_and_decisions_have_the_types_of_the_estimator(classes: list[Any]):
    rows = numbers()
    fitted = LogisticRegression().fit(rows.table, np.array(classes)[rows.label.astype(int)])
    fast = load(compiled(fitted, rows.features))
    assert (fast.classes_.dtype, fast.classes_.tolist()) == (fitted.classes_.dtype, classes)
    assert fast.predict(rows.table).tolist() == fitted.predict(rows.table).tolist()


def test_a_model_has_only_the_methods_of_its_estimator():
    rows = numbers()
    regressor = load(same(Ridge(), rows, "number"))
    alone = load(same(SVC(), rows, "two"))
    for name, there in (("classes_", [False, True]), ("predict_proba", [False, False])):
        assert [hasattr(model, name) for model in (regressor, alone)] == there, name


WRITES = """
import pickle, sys
from modelstack.pipeline.fast_form import compiled
sys.stdout.buffer.write(compiled(*pickle.load(sys.stdin.buffer)))
"""
READS = """
import sys
import numpy as np
from modelstack.serving.fast_form import load
fast = load(sys.stdin.buffer.read())
print(fast.predict_proba(np.array([["UA", "AA", 100.0, 3.0, True, "x", np.nan]], object)).tolist())
print(sorted({"sklearn", "joblib", "scipy", "skl2onnx", "onnx", "pandas"} & sys.modules.keys()))
"""


def ran(code: str, given: bytes = b"", **environment: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        input=given,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    return done.stdout


@pytest.mark.slow
def test_two_processes_make_the_same_bytes_which_are_read_without_scikit_learn():
    rows = mixed(missing=True)
    fitted = MIXED["codes and categories"][0].fit(rows.table, rows.label)
    one, other = (ran(WRITES, pickle.dumps((fitted, rows.features)), PYTHONHASHSEED=seed) for seed in "12")
    assert one == other == compiled(fitted, rows.features)
    (expected,) = fitted.predict_proba(np.array([["UA", "AA", 100.0, 3.0, True, "x", np.nan]], object)).tolist()
    said, libraries = ran(READS, one).decode().splitlines()
    assert eval(said)[0] == pytest.approx(expected, abs=1e-12)
    assert libraries == "[]"
