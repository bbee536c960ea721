"""An ONNX file as a model: its inputs are the features, its outputs the answer.

An input that is named as a feature gets this feature, shape (rows, ...). A single input of another name gets the table:
a column for each number of the features, in their order. Each output has a value, or an array, for each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = "model.onnx"
_KINDS = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2", "tensor(bool)": "?"}
_KINDS |= {
    f"tensor({sign}int{bits})": f"{sign[:1] or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_KINDS["tensor(string)"] = "O"


@dataclass(frozen=True)
class OnnxFile:
    """A model that is an ONNX file: its `content`, the file at `path`, or else `model.onnx` of the package `model`."""

    content: bytes = b""
    path: str = ""
    takes_rows = True
    """`predict` gets rows and not their table."""

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.content, "path": ""}  # and no session

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # noqa: PLC0415  the pipeline imports this module for every model

        from modelstack.serving.fast_form import options  # noqa: PLC0415

        source = self.content or self.path or str(Path(next(iter(import_module("model").__path__))) / FILE)
        return onnxruntime.InferenceSession(source, options(), providers=["CPUExecutionProvider"])

    @cached_property
    def _inputs(self) -> list[tuple[str, str, bool]]:
        """Name, NumPy's kind, and whether a row has one value in a list of its own, as converters make inputs."""
        return [(one.name, _KINDS[one.type], one.shape[1:] == [1]) for one in self._session.get_inputs()]

    @cached_property
    def _outputs(self) -> list[str]:
        return [one.name for one in self._session.get_outputs()]

    def predict(self, rows: Any) -> dict[str, NDArray[Any]]:
        """The outputs by name, each of shape (rows, ...)."""
        found = self._session.run(self._outputs, self._given(rows))
        return {name: _by_row(name, values, len(rows)) for name, values in zip(self._outputs, found, strict=True)}

    def _given(self, rows: Any) -> dict[str, NDArray[Any]]:
        columns: Mapping[str, Any] = rows.columns
        if len(self._inputs) == 1 and self._inputs[0][0] not in columns:
            ((name, kind, _),) = self._inputs
            return {name: rows.table.astype(kind, copy=False)}
        if unknown := sorted(name for name, *_ in self._inputs if name not in columns):
            raise ValueError(
                f"the ONNX file has the inputs {', '.join(unknown)}: expected some of {', '.join(columns)}"
            )
        given = {name: np.asarray(columns[name], kind) for name, kind, _ in self._inputs}
        return {name: given[name].reshape(-1, 1) if listed else given[name] for name, _, listed in self._inputs}


def _by_row(name: str, values: Any, rows: int) -> Any:
    if isinstance(values, list):  # a sequence of maps, as converters of classifiers make it: class -> probability
        return {str(one): np.array([row[one] for row in values]) for one in values[0]}
    if values.ndim == 0 or len(values) != rows:
        raise ValueError(
            f"the output {name} has the shape {values.shape}: expected ({rows}, ...), {rows} as in the inputs"
        )
    return values[:, 0] if values.shape[1:] == (1,) else values
