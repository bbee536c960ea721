"""Conversion of scikit-learn's tree estimators to one ONNX node: `TreeEnsemble` of ai.onnx.ml 5, in double.

skl2onnx computes trees in float32, or not at all for double inputs, and refuses categorical splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from modelstack.pipeline.fast_encoders import columns_of_codes
from modelstack.pipeline.fast_ensemble import Ensemble, Node
from modelstack.pipeline.fast_nodes import MACHINE_LEARNING, Graph, NoFastForm, looked_up

_Kinds = tuple[Any, ...]
_SINGLE: _Kinds = (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor)
_FORESTS: _Kinds = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
_BOOSTED: _Kinds = (GradientBoostingClassifier, GradientBoostingRegressor)
_HISTOGRAM: _Kinds = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
OPTIONS = {"zipmap": [True, False], "nocl": [True, False], "output_class_labels": [False, True]}
"""Options of the conversion of a classifier."""


def thresholds(estimator: Any) -> Iterator[tuple[int, float]]:
    """Each numeric split of a tree estimator, as (column of its input, threshold); none for other estimators."""
    if isinstance(estimator, _HISTOGRAM):
        trees = [nodes for one in _histogram_trees(estimator, codes=False) for nodes in one]
    elif isinstance(estimator, (*_SINGLE, *_FORESTS, *_BOOSTED)):
        held = [estimator] if isinstance(estimator, _SINGLE) else np.ravel(np.asarray(estimator.estimators_, object))
        trees = [_plain_nodes(one.tree_, 0) for one in held]
    else:
        return
    for nodes in trees:
        for node in nodes:
            if node.left >= 0 and node.categories is None and np.isfinite(node.threshold):
                yield node.feature, node.threshold


def _histogram_trees(estimator: Any, *, codes: bool) -> Iterator[list[list[Node]]]:
    """The trees of a HistGradientBoosting estimator: per round, one for each target.

    Internally categorical columns come first, encoded by position among their categories. With `codes` the trees apply
    to such a table, else to the estimator's own input. scikit-learn has no public access to this.
    """
    columns = list(range(estimator.n_features_in_))
    known = _categories(estimator)
    if codes:
        known = [np.arange(float(len(one))) for one in known]
    elif known:
        columns = [*_categorical(estimator), *(one for one in columns if one not in _categorical(estimator))]
    for trees in estimator._predictors:  # noqa: SLF001
        yield [[_histogram_node(node, tree, columns, known) for node in tree.nodes] for tree in trees]


def _categorical(estimator: Any) -> list[int]:
    """The categorical columns of a HistGradientBoosting estimator."""
    return [] if estimator.is_categorical_ is None else np.flatnonzero(estimator.is_categorical_).tolist()


def _categories(estimator: Any) -> list[NDArray[np.float64]]:
    """The categories of each of these columns, without the missing one."""
    if not _categorical(estimator):
        return []
    found = [np.asarray(one, float) for one in estimator._preprocessor.named_transformers_["encoder"].categories_]  # noqa: SLF001
    return [one[~np.isnan(one)] for one in found]


def _histogram_node(node: Any, tree: Any, columns: list[int], known: list[NDArray[np.float64]]) -> Node:
    feature, sides = int(node["feature_idx"]), None
    if not node["is_leaf"] and node["is_categorical"]:
        bits = tree.raw_left_cat_bitsets[node["bitset_idx"]]
        sides = ([], [])
        for code, value in enumerate(known[feature].tolist()):
            goes_left = bool(bits[code // 32] >> (code % 32) & 1)
            sides[0 if goes_left else 1].append(value)
    return Node(
        columns[feature],
        float(node["num_threshold"]),
        -1 if node["is_leaf"] else int(node["left"]),
        int(node["right"]),
        bool(node["missing_go_to_left"]),
        sides,
        float(node["value"]),
    )


def _plain_nodes(tree: Any, column: int, scale: float = 1.0) -> list[Node]:
    values = tree.value[:, 0, column] * scale
    missing = np.asarray(tree.missing_go_to_left, bool)
    nodes = zip(tree.feature, tree.threshold, tree.children_left, tree.children_right, missing, values, strict=True)
    return [
        Node(int(feature), float(threshold), int(left), int(right), bool(to_left), None, float(value))
        for feature, threshold, left, right, to_left, value in nodes
    ]


def register() -> None:
    """Make skl2onnx convert tree estimators by these functions only: its float32 thresholding may not terminate."""
    untyped: Any = tree_ensemble
    untyped.sklearn_threshold = _no_threshold
    for kind in (*_HISTOGRAM, *_BOOSTED, *_FORESTS, *_SINGLE):
        boosted = kind in (*_HISTOGRAM, *_BOOSTED)
        update_registered_converter(
            kind,
            f"Modelstack{kind.__name__}",
            answer_shape,
            _boosted if boosted else _forest,
            options=OPTIONS if kind.__name__.endswith("Classifier") else None,
        )


def _no_threshold(*_: Any) -> float:
    raise NoFastForm("skl2onnx computes these trees in float32")


def answer_shape(operator: Any) -> None:
    """The outputs of a classifier are labels and probabilities, those of a regressor values."""
    classes = getattr(operator.raw_operator, "classes_", None)
    if classes is None:
        operator.outputs[0].type = DoubleTensorType([None, 1])
    else:
        operator.outputs[0].type = Int64TensorType([None])
        operator.outputs[1].type = DoubleTensorType([None, len(classes)])


def _boosted(scope: Any, operator: Any, container: Any) -> None:
    """Add the sum of the trees, and the loss's link."""
    estimator, graph = operator.raw_operator, Graph(scope, container)
    histogram = isinstance(estimator, _HISTOGRAM)
    raw = (_histogram_sum if histogram else _gradient_sum)(scope, operator, graph)
    if hasattr(estimator, "classes_"):
        _classes(graph, operator, raw, type(estimator._loss).__name__)  # noqa: SLF001
        return
    link = type(estimator._loss.link).__name__  # noqa: SLF001
    if link not in ("IdentityLink", "LogLink"):
        raise NoFastForm(f"{type(estimator).__name__} has the link {link}")
    graph.node("Exp" if link == "LogLink" else "Identity", [raw], operator.outputs[0].full_name)


def _started(estimator: Any, start: Any) -> Ensemble:
    """Trees that begin with a constant for each target, in scikit-learn's order of summation."""
    trees = Ensemble(estimator.n_trees_per_iteration_)
    for target, value in enumerate(np.ravel(start)):
        trees.add([Node(0, 0.0, -1, -1, False, None, float(value))], target)
    return trees


def _histogram_sum(scope: Any, operator: Any, graph: Graph) -> str:
    estimator, table = operator.raw_operator, operator.inputs[0].full_name
    # ONNX Runtime treats 2.5 as a member of a set that holds 2: membership only works for codes.
    columns, known = _categorical(estimator), _categories(estimator)
    holds_codes = columns_of_codes(scope, operator.inputs[0])
    codes = not all(holds_codes[column] for column in columns)
    if codes:
        table = _coded(graph, table, estimator.n_features_in_, dict(zip(columns, known, strict=True)))
    trees = _started(estimator, estimator._baseline_prediction)  # noqa: SLF001
    for trees_of_round in _histogram_trees(estimator, codes=codes):
        for target, nodes in enumerate(trees_of_round):
            trees.add(nodes, target)
    return tree_sum(graph, trees, table)


def _gradient_sum(_: Any, operator: Any, graph: Graph) -> str:
    estimator = operator.raw_operator
    if not (isinstance(estimator.init_, DummyClassifier | DummyRegressor) or estimator.init_ == "zero"):
        raise NoFastForm(f"the start of {type(estimator).__name__}, {estimator.init_}, is no constant")
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))  # noqa: SLF001
    trees = _started(estimator, start)
    for row in estimator.estimators_:
        for target, tree in enumerate(row):
            trees.add(_plain_nodes(tree.tree_, 0, estimator.learning_rate), target)
    seen = graph.cast(operator.inputs[0].full_name, TensorProto.FLOAT)
    # Zero for a number, and NaN for a value that the estimator refuses: missing, or beyond float32.
    zeros = graph.cast(graph.node("Sub", [seen, seen]), TensorProto.DOUBLE)
    refused = graph.node("ReduceSum", [zeros, graph.constant([1], TensorProto.INT64)], keepdims=1)
    return graph.node("Add", [tree_sum(graph, trees, graph.cast(seen, TensorProto.DOUBLE)), refused])


def _coded(graph: Graph, table: str, width: int, known: dict[int, NDArray[np.float64]]) -> str:
    """The table as inside the estimator: first the codes of categories, NaN for unknown ones, then the rest."""
    parts = [
        looked_up(graph, graph.column(table, column), values.tolist(), [*range(len(values)), float("nan")])
        for column, values in known.items()
    ]
    rest = [column for column in range(width) if column not in known]
    if rest:
        parts.append(graph.node("Gather", [table, graph.constant(rest, TensorProto.INT64)], axis=1))
    return graph.node("Concat", parts, axis=1)


def _classes(graph: Graph, operator: Any, raw: str, loss: str) -> None:
    """Add the probability of each class, by scikit-learn's losses."""
    label, probability = (one.full_name for one in operator.outputs)
    if loss == "HalfMultinomialLoss":
        graph.node("Softmax", [raw], probability, axis=1)
    elif loss in ("HalfBinomialLoss", "ExponentialLoss"):
        if loss == "ExponentialLoss":
            raw = graph.node("Mul", [raw, graph.constant([2.0])])
        yes = graph.node("Sigmoid", [raw])
        graph.node("Concat", [graph.node("Sub", [graph.constant([1.0]), yes]), yes], probability, axis=1)
    else:
        raise NoFastForm(f"{type(operator.raw_operator).__name__} has the loss {loss}")
    graph.node("ArgMax", [probability], label, axis=1, keepdims=0)


def _forest(scope: Any, operator: Any, container: Any) -> None:
    """Add the mean of trees, each of which reads its input as float32."""
    estimator, graph = operator.raw_operator, Graph(scope, container)
    trees: list[Any] = [estimator] if isinstance(estimator, _SINGLE) else list(estimator.estimators_)
    if estimator.n_outputs_ != 1:
        raise NoFastForm(f"{type(estimator).__name__} has {estimator.n_outputs_} outputs")
    classes = len(estimator.classes_) if hasattr(estimator, "classes_") else 1
    made = Ensemble(classes)
    for tree in trees:
        for target in range(classes):
            made.add(_plain_nodes(tree.tree_, target), target)
    seen = graph.cast(operator.inputs[0].full_name, TensorProto.FLOAT)
    said = tree_sum(graph, made, graph.cast(seen, TensorProto.DOUBLE))
    mean = graph.node("Div", [said, graph.constant([float(len(trees))])])
    # The estimator refuses values beyond float32, and some refuse missing values.
    odd = graph.node("IsInf", [seen])
    if not _takes_missing(estimator):
        odd = graph.node("Or", [odd, graph.node("IsNaN", [seen])])
    columns = graph.constant([1], TensorProto.INT64)
    refused = graph.node("ReduceMax", [graph.cast(odd, TensorProto.FLOAT), columns], keepdims=1)
    refused = graph.cast(refused, TensorProto.BOOL)
    answer = operator.outputs[-1].full_name
    graph.node("Where", [refused, graph.constant([float("nan")]), mean], answer)
    if hasattr(estimator, "classes_"):
        graph.node("ArgMax", [answer], operator.outputs[0].full_name, axis=1, keepdims=0)


def _takes_missing(estimator: Any) -> bool:
    return estimator.__sklearn_tags__().input_tags.allow_nan and estimator.monotonic_cst is None


def tree_sum(graph: Graph, trees: Ensemble, table: str) -> str:
    """Add the sum of trees by target."""
    return graph.node("TreeEnsemble", [table], domain=MACHINE_LEARNING, **trees.attributes)
