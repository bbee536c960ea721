"""The fast form of a model: the same answers as its scikit-learn estimator, without scikit-learn.

`modelstack.pipeline.fast_form` makes the ONNX model. It takes one tensor for each run of adjacent features of one kind,
named by the first of them: doubles for numbers and booleans, strings for texts, shape (rows, features of the run). Its
output, in double: `probability` (rows, classes), `value` (rows,), or `label` for a classifier without probabilities.
"""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MISSING = "\x00missing"
"""A missing text in the ONNX model, which has no None. NumPy would cut off a zero byte at its end."""
_SILENT = 4  # print fatal errors only: others are exceptions too

onnxruntime.set_default_logger_severity(_SILENT)


Table = NDArray[Any] | list[tuple[Any, ...]]
"""Shape (rows, features): floats, or objects (text or None, float or NaN), or a list of tuples with None."""


class FastForm:
    """A regressor."""

    takes_values = True
    """Accepts a list of tuples as well as a table."""

    def __init__(self, session: Any, about: dict[str, str]) -> None:
        self._run, self._outputs = session.run, [one.name for one in session.get_outputs()]
        self._runs: list[tuple[str, int, int, bool]] = []
        self._missing_texts = "missing_texts" in about
        end = 0
        for one in session.get_inputs():
            start, end = end, end + one.shape[1]
            self._runs.append((one.name, start, end, one.type == "tensor(string)"))

    def predict(self, table: Table) -> NDArray[Any]:
        """Predict each row. Raises ValueError when the model has no answer, as for an unexpected missing value."""
        return self._said(table)

    def _said(self, table: Table) -> NDArray[Any]:
        try:
            (found,) = self._run(self._outputs, self._split(table))
        except UnicodeEncodeError:
            (found,) = self._run(self._outputs, self._split(_encodable(table)))
        if isnan(sum(found.ravel().tolist())) and np.isnan(found).any():  # Python's sum is the fastest for few rows
            (row, *_), *_ = np.argwhere(np.isnan(found))
            raise ValueError(f"row {row}: the model has no answer for it")
        return found

    def _split(self, table: Table) -> dict[str, NDArray[Any]]:
        if isinstance(table, list):
            return {name: self._cut(table, start, end, text) for name, start, end, text in self._runs}
        if table.dtype != object:
            ((name, *_),) = self._runs
            return {name: table}
        given: dict[str, NDArray[Any]] = {}
        for name, start, end, text in self._runs:
            part = table[:, start:end]
            if not text:
                given[name] = part.astype(float)
            elif self._missing_texts:
                given[name] = np.where(part == None, MISSING, part)  # noqa: E711  by element
            else:
                given[name] = part
        return given

    def _cut(self, rows: list[tuple[Any, ...]], start: int, end: int, text: bool) -> NDArray[Any]:
        """Some features of rows that are tuples. A None becomes NaN among numbers."""
        if not text:
            return np.array([row[start:end] for row in rows], float)
        if not self._missing_texts:
            return np.array([row[start:end] for row in rows], object)
        return np.array([[MISSING if one is None else one for one in row[start:end]] for row in rows], object)


class Labels(FastForm):
    """A classifier without probabilities."""

    def __init__(self, session: Any, about: dict[str, str]) -> None:
        super().__init__(session, about)
        self.classes_ = np.array(json.loads(about["classes"]), about["classes_type"])

    def predict(self, table: Table) -> NDArray[Any]:
        """The class of each row; see `FastForm.predict`."""
        return self.classes_[self._said(table)]


class Probabilities(Labels):
    """A classifier."""

    def predict(self, table: Table) -> NDArray[Any]:
        """The most probable class of each row, the first of equal ones."""
        return self.classes_[self._said(table).argmax(axis=1)]

    def predict_proba(self, table: Table) -> NDArray[np.float64]:
        """The probability of each class, shape (rows, classes)."""
        return self._said(table)


def options() -> Any:
    """A session with one thread that prints nothing."""
    found = onnxruntime.SessionOptions()
    found.intra_op_num_threads = found.inter_op_num_threads = 1
    found.log_severity_level = _SILENT
    return found


def load(content: bytes) -> FastForm:
    """Load an ONNX model, whose digest was checked, with one thread."""
    session = onnxruntime.InferenceSession(content, options(), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    output = session.get_outputs()[0].name
    return {"value": FastForm, "label": Labels, "probability": Probabilities}[output](session, about)


def _encodable(table: Table) -> NDArray[Any]:
    """Replace texts that UTF-8 cannot encode, which no model knows either."""
    plain = np.array(table, object)
    for place, value in np.ndenumerate(plain):
        if isinstance(value, str):
            plain[place] = value.encode(errors="surrogatepass").decode(errors="replace")
    return plain
