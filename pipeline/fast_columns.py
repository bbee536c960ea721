"""Which columns each part of a ColumnTransformer takes, told to skl2onnx in their order.

    register()     # skl2onnx then takes ColumnTransformers apart by this

The fast form has an input for each run of features of one kind, so that a part may take columns of several. skl2onnx
puts those of one input together, whatever their order, and knows neither masks nor places from the end.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from skl2onnx import update_registered_parser
from skl2onnx._parse import _parse_sklearn  # how its own parsers go on inside
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from pipeline.fast_nodes import NoFastForm


def register() -> None:
    """Let skl2onnx take ColumnTransformers apart by what is in this file."""
    update_registered_parser(ColumnTransformer, _parsed)


def _parsed(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare the parts of a ColumnTransformer, and their outputs side by side."""
    if model.transformer_weights or any(one.type.shape[1] is None for one in inputs):
        raise NoFastForm("a ColumnTransformer has weights, or comes after another step")
    columns = [(source, place) for source in range(len(inputs)) for place in range(inputs[source].type.shape[1])]
    outputs: list[Any] = []
    for name, transformer, _ in model.transformers_:
        taken: list[int] = list(model._transformer_to_input_indices[name])  # noqa: SLF001  each form of choice, resolved
        if transformer == "drop" or not taken:
            continue
        runs = groupby((columns[column] for column in taken), key=lambda column: column[0])
        given = [_chosen(scope, inputs[source], [place for _, place in run]) for source, run in runs]
        if not _takes_several(transformer):
            given = _side_by_side(scope, given)
        outputs += given if transformer == "passthrough" else _parse_sklearn(scope, transformer, given, custom_parsers)
    return _side_by_side(scope, outputs)


def _takes_several(transformer: Any) -> bool:
    """Whether texts and numbers may go in side by side: what takes each column by itself."""
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
