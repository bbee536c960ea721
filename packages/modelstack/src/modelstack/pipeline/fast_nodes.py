"""Adds nodes to the graph that skl2onnx builds. Names are the same each time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from onnx import TensorProto, helper

MACHINE_LEARNING = "ai.onnx.ml"
REFUSED = "refused"
"""Prefix of values that are 0 for each row, shape (rows, 1), or NaN for a row that a step refuses."""


class NoFastForm(Exception):
    """An estimator has no fast form; the message says why, in a line.

    It is sealed, and so must be reproducible: library messages are cut to the first line, without memory addresses.
    """

    def __init__(self, why: str, cause: Exception | None = None) -> None:
        lines = str(cause).strip().splitlines() if cause else []
        said = f"{why}: {lines[0] if lines else type(cause).__name__}" if cause else why
        super().__init__(re.sub(r" at 0x[0-9a-fA-F]+", "", said)[:300])


def tensor(kind: int, values: list[Any]) -> TensorProto:
    """A constant of one dimension, for an attribute of a node."""
    return helper.make_tensor("", kind, (len(values),), values)


class Graph:
    """Adds nodes to a graph of skl2onnx."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def node(self, kind: str, inputs: list[str], output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name, by default a new one."""
        output = output or self._scope.get_unique_variable_name(kind)
        version = self._container.target_opset_any_domain(domain)
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, inputs, [output], op_domain=domain, op_version=version, name=name, **attributes)
        return output

    def cast(self, value: str, kind: int) -> str:
        """Add a change of type."""
        return self.node("Cast", [value], to=kind)

    def constant(self, values: Any, kind: int = TensorProto.DOUBLE) -> str:
        """Add a constant array, and return its name."""
        texts = kind == TensorProto.STRING
        array = np.asarray(values, object if texts else None)
        name = self._scope.get_unique_variable_name("constant")
        content = [one.encode() for one in array.ravel()] if texts else array.ravel().tolist()
        self._container.add_initializer(name, kind, list(array.shape), content)
        return name

    def refuse(self, column: str, keys: list[Any]) -> None:
        """Refuse rows whose value in a column is not among the keys, whatever later nodes do."""
        allowed = [*(0.0 for _ in keys), float("nan")]
        looked_up(self, column, keys, allowed, self._scope.get_unique_variable_name(REFUSED))

    def column(self, table: str, place: int) -> str:
        """Select one column, shape (rows, 1)."""
        return self.node("Gather", [table, self.constant([place], TensorProto.INT64)], axis=1)


def looked_up(graph: Graph, column: str, keys: list[Any], values: list[float], output: str = "") -> str:
    """Add a look-up of each row's value in a column, both of shape (rows, 1).

    `values` has one for each key and a last one for everything else. Keys are bytes or numbers; NaN equals itself here.
    """
    kind = TensorProto.STRING if any(isinstance(key, bytes) for key in keys) else TensorProto.DOUBLE
    return graph.node(
        "LabelEncoder",
        [column],
        output,
        domain=MACHINE_LEARNING,
        keys_tensor=tensor(kind, keys),
        values_tensor=tensor(TensorProto.DOUBLE, values[:-1]),
        default_tensor=tensor(TensorProto.DOUBLE, values[-1:]),
    )
