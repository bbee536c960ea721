"""Trees of XGBoost and LightGBM: `boosters.json` has small models, as the libraries describe them, and their answers.

The rows have missing and very small values, and the thresholds with the numbers right beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from modelstack.pipeline.fast_boosters import boosted, of_lightgbm, of_xgboost, thresholds
from modelstack.pipeline.fast_form import compiled
from modelstack.pipeline.fast_nodes import NoFastForm
from modelstack.serving.fast_form import load

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "boosters.json").read_text())
FEATURES = [{"name": name, "kind": "number", "optional": True} for name in ("a", "b")]


def estimator(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An estimator with a recorded model, of a module that has the library's name."""
    recorded = RECORDED[name]
    library, kind = ("xgboost" if name.startswith("XGB") else "lightgbm"), name.partition(",")[0]
    module = ModuleType(library)
    for other in ("Classifier", "Regressor"):
        base = ClassifierMixin if other == "Classifier" else RegressorMixin
        made = type(kind[: -10 if kind.endswith("Classifier") else -9] + other, (base, BaseEstimator), {})
        made.__module__ = f"{library}.sklearn"
        setattr(module, made.__name__, made)
    monkeypatch.setitem(sys.modules, library, module)
    found = getattr(module, kind)()
    if recorded["classes"]:
        found.classes_, found.predict_proba = np.array(recorded["classes"]), None
    found.n_features_in_ = len(FEATURES)
    found.get_booster = lambda: SimpleNamespace(save_raw=lambda _: json.dumps(recorded["model"]).encode())
    found.booster_ = SimpleNamespace(dump_model=lambda: recorded["model"])
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_the_fast_form_answers_as_the_library_did(name: str, monkeypatch: pytest.MonkeyPatch):
    fast: Any = load(compiled(estimator(name, monkeypatch), FEATURES))
    rows = [tuple(row) for row in RECORDED[name]["rows"]]
    found = fast.predict_proba(rows) if RECORDED[name]["classes"] else fast.predict(rows)
    exact = name.startswith("LGBM")  # the other one adds up in single precision
    np.testing.assert_allclose(found, RECORDED[name]["answers"], rtol=1e-14 if exact else 1e-6)


def test_thresholds_are_known_and_other_estimators_have_none(monkeypatch: pytest.MonkeyPatch):
    given = estimator("LGBMRegressor", monkeypatch)
    assert len(list(thresholds(given))) == sum(node.left >= 0 for _, nodes in boosted(given).trees for node in nodes)
    assert list(thresholds(BaseEstimator())) == []


def test_trees_after_the_best_iteration_are_left_out():
    model = RECORDED["XGBClassifier, 3 classes"]["model"]
    assert [len(of_xgboost(model, last).trees) for last in (None, 1, 0)] == [6, 6, 3]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("gradient_booster.name", "dart", "XGBoost's booster is dart"),
        ("objective.name", "rank:ndcg", "xgboost has the objective rank:ndcg"),
        ("gradient_booster.model.trees.0.split_type", [1], "XGBoost's trees split categories"),
    ],
)
def test_what_xgboost_has_and_onnx_has_not_is_named(path: str, value: Any, said: str):
    model = json.loads(json.dumps(RECORDED["XGBRegressor, Poisson"]["model"]))
    *above, name = path.split(".")
    part = model["learner"]
    for one in above:
        part = part[int(one) if one.isdigit() else one]
    part[name] = value
    with pytest.raises(NoFastForm, match=said):
        of_xgboost(model)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"average_output": True}, "LightGBM's trees are averaged"),
        ({"objective": "lambdarank"}, "lightgbm has the objective lambdarank"),
        ({"objective": "binary sigmoid:2"}, "lightgbm has the objective binary sigmoid:2"),
        ({"objective": "regression sqrt"}, "lightgbm has the objective regression sqrt"),
        (
            {"tree_info": [{"tree_structure": {"decision_type": "==", "split_feature": 1}}]},
            "LightGBM splits feature 2 by its",
        ),
        ({"tree_info": [{"tree_structure": {"leaf_value": 1, "leaf_features": [0]}}]}, "LightGBM's leaves are linear"),
    ],
)
def test_what_lightgbm_has_and_onnx_has_not_is_named(changes: dict[str, Any], said: str):
    with pytest.raises(NoFastForm, match=said):
        of_lightgbm({**RECORDED["LGBMRegressor"]["model"], **changes})
