"""A sealed model, as `predict(model, rows)` gets it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from modelstack.serving.parameter_types import NoParameters, parse

FAST_FORM, ESTIMATOR = "model.onnx", "model.joblib"


_MAPPING = ("get", "items", "keys", "values")


class Values:
    """The parameters of a version as attributes, like `settings` in training: `model.parameters.max_iter`.

    Packages that were sealed earlier read items, which are JSON values: `model.parameters["max_iter"]`.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)

    @cached_property
    def _settings(self) -> Any:
        declared = import_module("model.parameters").Parameters if find_spec("model.parameters") else NoParameters
        return parse(declared, self._given)

    def __getattr__(self, name: str) -> Any:
        if name in _MAPPING and name not in self._given:
            return getattr(self._given, name)
        if name.startswith("_"):  # of an instance that is being copied
            raise AttributeError(name)
        return getattr(self._settings, name)

    def __getitem__(self, name: str) -> Any:
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)


@dataclass(frozen=True)
class Sealed:
    """An estimator or its fast form, the version's parameters, and the unpacked folder; None before sealing."""

    estimator: Any
    parameters: Values = field(default_factory=lambda: Values({}))
    folder: Path | None = None

    def predict(self, rows: Any) -> Any:
        """The estimator's predictions, shape (rows, ...), or the answers by name."""
        return self.estimator.predict(self._asked(rows))

    def predict_proba(self, rows: Any) -> Any:
        """The probability of each class, shape (rows, classes)."""
        return self.estimator.predict_proba(self._asked(rows))

    def _asked(self, rows: Any) -> Any:
        """An estimator with `takes_rows` gets the rows, a fast form their values, which is faster than a table."""
        if getattr(self.estimator, "takes_rows", False):
            return rows
        fast = getattr(self.estimator, "takes_values", False) and hasattr(rows, "values") and not rows.arrays
        return rows.values if fast else rows.table


def read(folder: Path) -> Sealed:
    """Read the model of an unpacked, verified package."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    if "onnx" in manifest:
        from modelstack.serving.onnx_file import OnnxFile  # noqa: PLC0415  other models do not need it

        estimator: Any = OnnxFile(path=str(folder / manifest["onnx"]))
    elif (folder / FAST_FORM).exists():
        from modelstack.serving.fast_form import load  # noqa: PLC0415  needs onnxruntime, which other models do not

        estimator = load((folder / FAST_FORM).read_bytes())
    else:
        sys.meta_path.insert(0, _NoPandas())
        import joblib  # noqa: PLC0415  imports scikit-learn, which must not find pandas

        estimator = joblib.load(folder / ESTIMATOR)
    return Sealed(estimator, Values(manifest["parameters"]), folder)


def predict(model: Sealed, rows: Any) -> dict[str, Any]:
    """The answers of a model without its own `predict`: `prediction`, and `probability` of each class."""
    estimator = model.estimator
    if isinstance(found := model.predict(rows), Mapping):
        return dict(found)
    if not hasattr(estimator, "classes_") or not hasattr(estimator, "predict_proba"):
        return {"prediction": found}
    names = [one if isinstance(one, str) else json.dumps(one) for one in np.asarray(estimator.classes_).tolist()]
    shares = model.predict_proba(rows)
    return {"prediction": found, "probability": {name: shares[:, at] for at, name in enumerate(names)}}


class _NoPandas:
    """Hides pandas from this process, as in the container, where it is not installed.

    scikit-learn imports it if it can, on loading and in a prediction: that costs 63 MB, and 0.7 s of the first request.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used in serving", name=name)
        return None
