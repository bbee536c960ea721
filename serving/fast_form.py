"""The fast form of a model: the same answers as its scikit-learn estimator, without scikit-learn.

    model = load(Path("model.onnx").read_bytes())
    model.predict(table)             # and for classifiers model.classes_ and, if the estimator has it, predict_proba
    model.predict(rows.values)       # the same from the rows of a request, with no table made of them

The bytes are an ONNX model that `pipeline.fast_form` made. It takes one tensor for each run of neighbouring features of
one kind, named by the first of them: doubles for numbers and booleans, strings for texts, shape (rows, features of the
run). It has one output, in double: `probability` (rows, classes), or `value` (rows,), or `label` for a classifier that
has no probabilities.
"""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MISSING = "\x00missing"
"""The text that stands for a missing one in the ONNX model, which knows no None. It may not end in a zero byte, which
NumPy cuts off."""
_SILENT = 4  # only what ends the process is printed: what goes wrong is an exception too

onnxruntime.set_default_logger_severity(_SILENT)


Table = NDArray[Any] | list[tuple[Any, ...]]
"""Shape (rows, features). An array of floats, or of objects that are texts (None if missing) and floats (NaN). Or a
tuple for each row, with None for what is missing."""


class FastForm:
    """A regressor."""

    takes_values = True
    """Says that a list of tuples does as well as a table."""

    def __init__(self, session: Any, about: dict[str, str]) -> None:
        self._run, self._outputs = session.run, [one.name for one in session.get_outputs()]
        self._runs: list[tuple[str, int, int, bool]] = []
        self._missing_texts = "missing_texts" in about
        end = 0
        for one in session.get_inputs():
            start, end = end, end + one.shape[1]
            self._runs.append((one.name, start, end, one.type == "tensor(string)"))

    def predict(self, table: Table) -> NDArray[Any]:
        """Answer each row.

        Args:
            table: See `Table`.

        Raises:
            ValueError: The model has no answer for a row, as for a missing value that it was not trained for.
        """
        return self._said(table)

    def _said(self, table: Table) -> NDArray[Any]:
        try:
            (found,) = self._run(self._outputs, self._split(table))
        except UnicodeEncodeError:
            (found,) = self._run(self._outputs, self._split(_encodable(table)))
        if isnan(sum(found.ravel().tolist())) and np.isnan(found).any():  # for few rows Python's sum is the quickest
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
    """A classifier that has no probabilities."""

    def __init__(self, session: Any, about: dict[str, str]) -> None:
        super().__init__(session, about)
        self.classes_ = np.array(json.loads(about["classes"]), about["classes_type"])

    def predict(self, table: Table) -> NDArray[Any]:
        """Decide on each row; see `FastForm.predict`."""
        return self.classes_[self._said(table)]


class Probabilities(Labels):
    """A classifier."""

    def predict(self, table: Table) -> NDArray[Any]:
        """Decide on each row: the class that is most probable, of equal ones the first."""
        return self.classes_[self._said(table).argmax(axis=1)]

    def predict_proba(self, table: Table) -> NDArray[np.float64]:
        """The probability of each class, shape (rows, classes)."""
        return self._said(table)


def load(content: bytes) -> FastForm:
    """Make a model ready to answer, with one thread.

    Args:
        content: The ONNX model, from a file whose digest was checked.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    output = session.get_outputs()[0].name
    return {"value": FastForm, "label": Labels, "probability": Probabilities}[output](session, about)


def _encodable(table: Table) -> NDArray[Any]:
    """Texts that UTF-8 cannot hold as others, which no model knows either."""
    plain = np.array(table, object)
    for place, value in np.ndenumerate(plain):
        if isinstance(value, str):
            plain[place] = value.encode(errors="surrogatepass").decode(errors="replace")
    return plain
