"""Conversion of the trees of XGBoost and LightGBM, read from the description that each library gives of its model.

onnxmltools converts both too, but to single precision: LightGBM compares doubles, and a fast form answers in doubles.
No library is imported here: only a model that has loaded one needs its conversion.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter

from modelstack.pipeline.fast_ensemble import Ensemble, Node
from modelstack.pipeline.fast_nodes import Graph, NoFastForm
from modelstack.pipeline.fast_trees import OPTIONS, answer_shape, tree_sum

_NAMES = {"xgboost": ("XGBClassifier", "XGBRegressor"), "lightgbm": ("LGBMClassifier", "LGBMRegressor")}
_LOGISTIC, _SOFTMAX, _EXP, _NONE = "Sigmoid", "Softmax", "Exp", "Identity"
_ZERO = float(np.float32(1e-35))
"""LightGBM takes what is nearer to 0 as 0."""
_LINKS = {
    "xgboost": {
        **{"binary:logistic": _LOGISTIC, "reg:logistic": _LOGISTIC, "multi:softprob": _SOFTMAX},
        **dict.fromkeys(("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"), _NONE),
        **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), _EXP),
    },
    "lightgbm": {
        **{"binary sigmoid:1": _LOGISTIC, "multiclass": _SOFTMAX},
        **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), _NONE),
        **dict.fromkeys(("poisson", "gamma", "tweedie"), _EXP),
    },
}


@dataclass
class Boosted:
    """The trees of a model, each with its target; the start of each target; and how their sum becomes an answer."""

    link: str
    start: list[float]
    single: bool
    """Whether values are rounded to single precision before they are compared."""
    trees: list[tuple[int, list[Node]]] = field(default_factory=list[tuple[int, list[Node]]])


def register() -> None:
    """Make skl2onnx convert the estimators of those libraries that are loaded."""
    for library, names in _NAMES.items():
        for name in names if library in sys.modules else ():
            options = OPTIONS if name.endswith("Classifier") else None
            kind = getattr(sys.modules[library], name)
            update_registered_converter(kind, f"Modelstack{name}", answer_shape, _converted, options=options)


def thresholds(estimator: Any) -> Iterator[tuple[int, float]]:
    """Each split as (column, threshold); none for estimators of other libraries."""
    library = type(estimator).__module__.partition(".")[0]
    if library in _NAMES:
        for _, nodes in boosted(estimator).trees:
            yield from ((node.feature, node.threshold) for node in nodes if node.left >= 0)


def boosted(estimator: Any) -> Boosted:
    """The trees of an estimator. Raises NoFastForm for what ONNX has no equal of."""
    if type(estimator).__module__.startswith("xgboost"):
        return of_xgboost(
            json.loads(bytes(estimator.get_booster().save_raw("json"))), getattr(estimator, "best_iteration", None)
        )
    return of_lightgbm(estimator.booster_.dump_model())


def of_xgboost(model: Mapping[str, Any], last: int | None = None) -> Boosted:
    """From `Booster.save_raw("json")`, up to the iteration `last`."""
    learner = model["learner"]
    booster = learner["gradient_booster"]
    link = _link("xgboost", learner["objective"]["name"])
    if booster["name"] != "gbtree":
        raise NoFastForm(f"XGBoost's booster is {booster['name']}")
    start = [float(one) for one in learner["learner_model_param"]["base_score"].strip("[]").split(",")]
    unlinked = {_LOGISTIC: _logit, _EXP: math.log}
    found = Boosted(link, [unlinked.get(link, float)(one) for one in start], single=True)
    trees = booster["model"]
    end = trees["iteration_indptr"][last + 1] if last is not None else len(trees["trees"])
    for tree, target in zip(trees["trees"][:end], trees["tree_info"][:end], strict=True):
        if any(tree["split_type"]) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise NoFastForm("XGBoost's trees split categories, or have several values in a leaf")
        columns = ("split_indices", "split_conditions", "left_children", "right_children", "default_left")
        found.trees.append(
            (target, [_xgboost_node(*one) for one in zip(*(tree[name] for name in columns), strict=True)])
        )
    return found


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _xgboost_node(column: int, value: float, left: int, right: int, missing_left: int) -> Node:
    below = float(np.nextafter(np.float32(value), np.float32(-np.inf)))  # values that are less go left
    return Node(column, below, left, right, bool(missing_left), None, float(np.float32(value)))


def of_lightgbm(model: Mapping[str, Any]) -> Boosted:
    """From `Booster.dump_model()`."""
    link = _link("lightgbm", model["objective"])
    if model["average_output"]:
        raise NoFastForm("LightGBM's trees are averaged")
    targets = model["num_tree_per_iteration"]
    found = Boosted(link, [0.0] * targets, single=False)
    for place, tree in enumerate(model["tree_info"]):
        nodes: list[Node] = []
        _lightgbm_nodes(tree["tree_structure"], nodes)
        found.trees.append((place % targets, nodes))
    return found


def _lightgbm_nodes(tree: Mapping[str, Any], nodes: list[Node]) -> int:
    """Append a tree's nodes, its root first, and return the root's place."""
    place = len(nodes)
    if "leaf_value" in tree:
        if tree.get("leaf_features"):
            raise NoFastForm("LightGBM's leaves are linear")
        nodes.append(Node(0, 0.0, -1, -1, False, None, float(tree["leaf_value"])))
        return place
    if tree["decision_type"] != "<=":
        raise NoFastForm(
            f"LightGBM splits feature {tree['split_feature'] + 1} by its categories: name no categorical_feature, and "
            "make numbers of them by a OneHotEncoder before it"
        )
    if tree["missing_type"] == "Zero":
        raise NoFastForm("LightGBM takes 0 as missing")
    threshold = float(tree["threshold"])
    missing_left = tree["default_left"] if tree["missing_type"] == "NaN" else threshold >= 0  # else NaN counts as 0
    nodes.append(Node(0, 0.0, -1, -1, False, None, 0.0))
    left = _lightgbm_nodes(tree["left_child"], nodes)
    right = _lightgbm_nodes(tree["right_child"], nodes)
    nodes[place] = Node(tree["split_feature"], threshold, left, right, bool(missing_left), None, 0.0)
    return place


def _link(library: str, objective: str) -> str:
    known = _LINKS[library]
    words = objective.split()
    found = known.get(objective) or known.get(words[0])
    if found is None or "sqrt" in words:
        raise NoFastForm(f"{library} has the objective {objective}")
    return found


def _converted(scope: Any, operator: Any, container: Any) -> None:
    found, graph = boosted(operator.raw_operator), Graph(scope, container)
    made = Ensemble(len(found.start))
    for target, value in enumerate(found.start):
        made.add([Node(0, 0.0, -1, -1, False, None, value)], target)
    for target, nodes in found.trees:
        made.add(nodes, target)
    table = operator.inputs[0].full_name
    if found.single:
        seen = graph.cast(table, TensorProto.FLOAT)
        table = graph.cast(seen, TensorProto.DOUBLE)
    else:
        tiny = graph.node("LessOrEqual", [graph.node("Abs", [table]), graph.constant([_ZERO])])
        table = graph.node("Where", [tiny, graph.constant([0.0]), table])
    answer = operator.outputs[-1].full_name
    raw = tree_sum(graph, made, table)
    if not hasattr(operator.raw_operator, "classes_"):
        graph.node(found.link, [raw], answer)
        return
    if found.link == _SOFTMAX:
        graph.node(_SOFTMAX, [raw], answer, axis=1)
    else:
        yes = graph.node(found.link, [raw])
        graph.node("Concat", [graph.node("Sub", [graph.constant([1.0]), yes]), yes], answer, axis=1)
    graph.node("ArgMax", [answer], operator.outputs[0].full_name, axis=1, keepdims=0)
