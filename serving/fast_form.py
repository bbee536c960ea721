"""The fast form of a model: the same answers as its scikit-learn estimator, without scikit-learn.

    model = load(Path("model.onnx").read_bytes())
    model.predict(table)             # and for classifiers model.classes_ and, if the estimator has it, predict_proba

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

MISSING = "\x00missing\x00"
"""The text that stands for a missing one in the ONNX model, which knows no None."""
_SILENT = 4  # only what ends the process is printed: what goes wrong is an exception too

onnxruntime.set_default_logger_severity(_SILENT)


class FastForm:
    """A regressor."""

    def __init__(self, session: Any, about: dict[str, str]) -> None:
        self._run, (self._output,) = session.run, [one.name for one in session.get_outputs()]
        self._runs: list[tuple[str, int, int, bool]] = []
        self._missing_texts = "missing_texts" in about
        end = 0
        for one in session.get_inputs():
            start, end = end, end + one.shape[1]
            self._runs.append((one.name, start, end, one.type == "tensor(string)"))

    def predict(self, table: NDArray[Any]) -> NDArray[Any]:
        """Answer each row.

        Args:
            table: Shape (rows, features): floats, or objects that are texts (None if missing) and floats (NaN).

        Raises:
            ValueError: The model has no answer for a row, as for a missing value that it was not trained for.
        """
        return self._said(table)

    def _said(self, table: NDArray[Any]) -> NDArray[Any]:
        try:
            (found,) = self._run([self._output], self._split(table))
        except UnicodeEncodeError:
            (found,) = self._run([self._output], self._split(_encodable(table)))
        if isnan(found.sum()) and np.isnan(found).any():
            (row, *_), *_ = np.argwhere(np.isnan(found))
            raise ValueError(f"row {row}: the model has no answer for it")
        return found

    def _split(self, table: NDArray[Any]) -> dict[str, NDArray[Any]]:
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


class Labels(FastForm):
    """A classifier that has no probabilities."""

    def __init__(self, session: Any, about: dict[str, str]) -> None:
        super().__init__(session, about)
        self.classes_ = np.array(json.loads(about["classes"]), about["classes_type"])

    def predict(self, table: NDArray[Any]) -> NDArray[Any]:
        """Decide on each row; see `FastForm.predict`."""
        return self.classes_[self._said(table)]


class Probabilities(Labels):
    """A classifier."""

    def predict(self, table: NDArray[Any]) -> NDArray[Any]:
        """Decide on each row: the class that is most probable, of equal ones the first."""
        return self.classes_[self._said(table).argmax(axis=1)]

    def predict_proba(self, table: NDArray[Any]) -> NDArray[np.float64]:
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


def _encodable(table: NDArray[Any]) -> NDArray[Any]:
    """Texts that UTF-8 cannot hold as others, which no model knows either."""
    plain = table.copy()
    for place, value in np.ndenumerate(table):
        if isinstance(value, str):
            plain[place] = value.encode(errors="surrogatepass").decode(errors="replace")
    return plain
