"""Conversion of OrdinalEncoder, OneHotEncoder and SimpleImputer to ONNX, in double.

The fitted encoder itself encodes each known category and an unknown one, and the results become a table. So its
settings (unknown, rare and missing categories, dropped columns) need no code here. A row with a value that the encoder
refuses has no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx import get_model_alias, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from modelstack.pipeline.fast_nodes import Graph, NoFastForm, looked_up
from modelstack.pipeline.rows import as_json
from modelstack.serving.fast_form import MISSING

UNKNOWN = "\x00 a text that no table holds"
_NUMBER = 1.2345678901234567e-301  # no table holds this number


def register() -> None:
    """Make skl2onnx use these conversions."""
    for kind, shape, convert in (
        (OrdinalEncoder, _ordinal_shape, _ordinal),
        (OneHotEncoder, _one_hot_shape, _one_hot),
        (SimpleImputer, _imputer_shape, _imputer),
    ):
        update_registered_converter(kind, f"Modelstack{kind.__name__}", shape, convert, parser=_parsed)


def _parsed(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Announce double outputs before shapes are known: for texts skl2onnx would assume floats."""
    operator = scope.declare_local_operator(get_model_alias(type(model)), model)
    operator.inputs = inputs
    texts = isinstance(model, SimpleImputer) and isinstance(inputs[0].type, StringTensorType)
    kind = StringTensorType if texts else DoubleTensorType
    operator.outputs.append(scope.declare_local_variable("encoded", kind()))
    return operator.outputs


def _ordinal_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, len(operator.raw_operator.categories_)])


def _one_hot_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, len(operator.raw_operator.get_feature_names_out())])


def _imputer_shape(operator: Any) -> None:
    imputer = operator.raw_operator
    extra = len(imputer.indicator_.features_) if imputer.add_indicator else 0
    width = len(_kept(imputer)) + extra
    kind = StringTensorType if isinstance(operator.inputs[0].type, StringTensorType) else DoubleTensorType
    operator.outputs[0].type = kind([None, width])


def _columns(graph: Graph, operator: Any) -> Iterator[tuple[str, bool]]:
    """Each column of the inputs, shape (rows, 1), and whether it holds texts."""
    for one in operator.inputs:
        width = one.type.shape[1]
        for place in range(width):
            name = one.full_name if width == 1 else graph.column(one.full_name, place)
            yield name, isinstance(one.type, StringTensorType)


def _ordinal(scope: Any, operator: Any, container: Any) -> None:
    encoder, graph = operator.raw_operator, Graph(scope, container)
    codes: list[str] = []
    for place, (column, texts) in enumerate(_columns(graph, operator)):
        values = encoder.categories_[place]
        found, refuses = _encoded(encoder, place, values)
        codes.append(looked_up(graph, column, _keys(values, texts), found[:, place].tolist()))
        if refuses:
            graph.refuse(column, _keys(values, texts))
    graph.node("Concat", codes, operator.outputs[0].full_name, axis=1)


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    """Look up each column's category number, and from it the row of zeros and ones."""
    encoder, graph = operator.raw_operator, Graph(scope, container)
    parts: list[str] = []
    for place, (column, texts) in enumerate(_columns(graph, operator)):
        values = encoder.categories_[place]
        found, refuses = _encoded(encoder, place, values)
        if refuses:
            graph.refuse(column, _keys(values, texts))
        own = _own_columns(encoder, place)
        number = looked_up(graph, column, _keys(values, texts), np.arange(len(values) + 1.0).tolist())
        rows = graph.node("Gather", [graph.constant(found[:, own]), graph.cast(number, TensorProto.INT64)], axis=0)
        parts.append(graph.node("Reshape", [rows, graph.constant([-1, int(own.sum())], TensorProto.INT64)]))
    graph.node("Concat", parts, operator.outputs[0].full_name, axis=1)


def _encoded(encoder: Any, place: int, values: NDArray[Any]) -> tuple[NDArray[np.float64], bool]:
    """The encoding of each category of a column and, in the last row, of an unknown one; and whether that is refused.

    Other columns hold their first category. A refused last row is NaN.
    """
    row = np.array([one[0] for one in encoder.categories_], object)
    table = np.tile(row, (len(values), 1))
    table[:, place] = values
    known = _dense(encoder.transform(_typed(encoder, table)))
    row[place] = UNKNOWN if any(isinstance(one, str) for one in values) else _NUMBER
    try:
        unknown = _dense(encoder.transform(_typed(encoder, row[None, :])))
    except ValueError:
        return np.vstack([known, np.full((1, known.shape[1]), np.nan)]), True
    return np.vstack([known, unknown]), False


def _typed(encoder: Any, table: NDArray[Any]) -> NDArray[Any]:
    """The table with the type that the encoder was fitted on: objects if any column was."""
    return table if any(one.dtype.kind in "OU" for one in encoder.categories_) else table.astype(float)


def _dense(found: Any) -> NDArray[np.float64]:
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, float)


def _own_columns(encoder: Any, place: int) -> NDArray[np.bool_]:
    starts = np.concatenate([[0], np.cumsum(encoder._n_features_outs)])  # noqa: SLF001  the widths are not public
    columns = np.arange(starts[-1])
    return (columns >= starts[place]) & (columns < starts[place + 1])


def _keys(values: Any, texts: bool) -> list[Any]:
    """A column's categories for ONNX: texts as bytes, or numbers."""
    if not texts:
        return [float("nan") if value is None else float(value) for value in values]
    if odd := [value for value in values if value is not None and not isinstance(value, str)]:
        raise NoFastForm(f"{odd[0]!r} is a category among texts")
    return [(MISSING if value is None else value).encode() for value in values]


def columns_of_codes(scope: Any, variable: Any) -> list[bool]:
    """For each column of a value in skl2onnx's graph, whether an OrdinalEncoder made it: whole numbers or NaN."""
    source = next((one for one in scope.operators.values() if variable in one.outputs), None)
    if source is not None and isinstance(source.raw_operator, OrdinalEncoder):
        return [True] * len(source.raw_operator.categories_)
    if source is not None and source.type == "SklearnConcat":
        return [column for one in source.inputs for column in columns_of_codes(scope, one)]
    return [False] * variable.type.shape[1]


def _kept(imputer: Any) -> list[int]:
    """The columns that an imputer does not drop: those that it has a value for."""
    values = imputer.statistics_
    return [place for place, one in enumerate(values) if imputer.keep_empty_features or as_json(one) is not None]


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    imputer, graph = operator.raw_operator, Graph(scope, container)
    (given,) = operator.inputs
    texts = isinstance(given.type, StringTensorType)
    kept, table, output = _kept(imputer), given.full_name, operator.outputs[0].full_name
    known_missing = imputer.missing_values is None if texts else imputer.missing_values is not None
    if not known_missing or (not texts and as_json(imputer.missing_values) is not None):
        raise NoFastForm(f"SimpleImputer has missing_values={imputer.missing_values!r}")
    if texts and imputer.add_indicator:
        raise NoFastForm("SimpleImputer has add_indicator for texts")
    missing = (
        graph.node("Equal", [table, graph.constant([MISSING], TensorProto.STRING)])
        if texts
        else graph.node("IsNaN", [table])
    )
    values = [imputer.statistics_[place] for place in kept]
    fill = graph.constant([values], TensorProto.STRING) if texts else graph.constant([np.array(values, float)])
    chosen = graph.constant(kept, TensorProto.INT64)
    here = [graph.node("Gather", [one, chosen], axis=1) for one in (missing, table)]
    filled = graph.node("Where", [here[0], fill, here[1]], "" if imputer.add_indicator else output)
    if imputer.add_indicator:
        told = graph.constant(imputer.indicator_.features_, TensorProto.INT64)
        marks = graph.cast(graph.node("Gather", [missing, told], axis=1), TensorProto.DOUBLE)
        graph.node("Concat", [filled, marks], output, axis=1)
