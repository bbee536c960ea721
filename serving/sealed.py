"""A sealed model, as `predict(model, rows)` is given it.

model = read(folder)                        # from a package that was verified
model.predict_proba(rows)[:, 1]             # rows: those of a request, or of an evaluation
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np

FAST_FORM, ESTIMATOR = "model.onnx", "model.joblib"


@dataclass(frozen=True)
class Sealed:
    """An estimator and what was sealed with it.

    Attributes:
        estimator: The fast form where the package has one, else the estimator as training left it.
        parameters: The parameters of this version.
        folder: Where the package is unpacked; None while a model is evaluated that is not sealed yet.
    """

    estimator: Any
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    folder: Path | None = None

    def predict(self, rows: Any) -> Any:
        """The estimator's predictions, shape (rows,)."""
        return self.estimator.predict(self._asked(rows))

    def predict_proba(self, rows: Any) -> Any:
        """The probability of each class, shape (rows, classes)."""
        return self.estimator.predict_proba(self._asked(rows))

    def _asked(self, rows: Any) -> Any:
        """A fast form takes the rows of a request as they were read, which is quicker than a table."""
        fast = getattr(self.estimator, "takes_values", False) and hasattr(rows, "values")
        return rows.values if fast else rows.table


def read(folder: Path) -> Sealed:
    """Read the model of an unpacked, verified package.

    Raises:
        ModuleNotFoundError: It has no fast form, and what reads the estimator is not installed here.
    """
    manifest = json.loads((folder / "manifest.json").read_bytes())
    if (folder / FAST_FORM).exists():
        from serving.fast_form import load  # noqa: PLC0415  onnxruntime, which a model without it need not have

        estimator: Any = load((folder / FAST_FORM).read_bytes())
    else:
        sys.meta_path.insert(0, _NoPandas())
        import joblib  # noqa: PLC0415  brings scikit-learn's parts in, which must not find pandas

        estimator = joblib.load(folder / ESTIMATOR)
    return Sealed(estimator, manifest["parameters"], folder)


def predict(model: Sealed, rows: Any) -> dict[str, Any]:
    """The answers of a model that has no `predict` of its own: `prediction`, and `probability` of each class."""
    estimator = model.estimator
    if not hasattr(estimator, "classes_") or not hasattr(estimator, "predict_proba"):
        return {"prediction": model.predict(rows)}
    names = [one if isinstance(one, str) else json.dumps(one) for one in np.asarray(estimator.classes_).tolist()]
    shares = model.predict_proba(rows)
    return {"prediction": model.predict(rows), "probability": {name: shares[:, at] for at, name in enumerate(names)}}


class _NoPandas:
    """Hides pandas from this process, as if it were not installed; in the container it is not.

    scikit-learn imports it where it can, when it is loaded and again in a prediction: that would cost 63 MB, and 0.7 s
    of the first request.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used in serving", name=name)
        return None
