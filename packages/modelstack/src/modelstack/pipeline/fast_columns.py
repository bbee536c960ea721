"""Conversion of ColumnTransformer by skl2onnx with each part's columns in their order.

The fast form has one input per run of features of one kind, so a part may take columns of several inputs. skl2onnx
groups them by input whatever their order, and supports neither masks nor negative positions.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from skl2onnx import update_registered_parser
from skl2onnx._parse import _parse_sklearn  # as its own parsers do for nested estimators
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from modelstack.pipeline.fast_nodes import NoFastForm


def register() -> None:
    """Make skl2onnx use these conversions."""
    update_registered_parser(ColumnTransformer, _parsed)


def _parsed(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare the parts of a ColumnTransformer, and concatenate their outputs."""
    if model.transformer_weights or any(one.type.shape[1] is None for one in inputs):
        raise NoFastForm("a ColumnTransformer has weights, or comes after another step")
    columns = [(source, place) for source in range(len(inputs)) for place in range(inputs[source].type.shape[1])]
    outputs: list[Any] = []
    for name, transformer, _ in model.transformers_:
        taken: list[int] = list(model._transformer_to_input_indices[name])  # noqa: SLF001  every kind of selection, resolved
        if transformer == "drop" or not taken:
            continue
        runs = groupby((columns[column] for column in taken), key=lambda column: column[0])
        given = [_chosen(scope, inputs[source], [place for _, place in run]) for source, run in runs]
        if not _takes_several(transformer):
            given = _side_by_side(scope, given)
        outputs += given if transformer == "passthrough" else _parse_sklearn(scope, transformer, given, custom_parsers)
    return _side_by_side(scope, outputs)


def _takes_several(transformer: Any) -> bool:
    """Whether it accepts texts and numbers together: what encodes each column separately."""
    first = transformer[0] if isinstance(transformer, Pipeline) else transformer
    return isinstance(first, OrdinalEncoder | OneHotEncoder)


def _chosen(scope: Any, variable: Any, places: list[int]) -> Any:
    """Some columns of a value, in this order."""
    if places == list(range(variable.type.shape[1])):
        return variable
    operator = scope.declare_local_operator("SklearnArrayFeatureExtractor")
    operator.inputs, operator.column_indices = [variable], places
    operator.outputs.append(scope.declare_local_variable("columns", variable.type.__class__([None, len(places)])))
    return operator.outputs[0]


def _side_by_side(scope: Any, variables: list[Any]) -> list[Any]:
    if len(variables) < 2:
        return variables
    operator = scope.declare_local_operator("SklearnConcat")
    operator.inputs = variables
    operator.outputs.append(scope.declare_local_variable("table", variables[0].type.__class__([None, None])))
    return operator.outputs
