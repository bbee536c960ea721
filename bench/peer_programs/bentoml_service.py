"""BentoML and scikit-learn, as its own pages write a service. `bentoml serve bentoml_service:Model`, in the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bentoml
import joblib
import numpy as np
from pydantic import BaseModel, create_model

with Path("features.json").open() as file:
    _features = json.load(file)
_kinds: dict[str, Any] = {
    one["name"]: (str, ...) if one["kind"] == "text" else (float | None, None) if one.get("optional") else (float, ...)
    for one in _features
}
Instance = create_model("Instance", **_kinds)


class Prediction(BaseModel):
    """One answer."""

    late: bool
    probability: float


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Model:
    """The model."""

    def __init__(self) -> None:
        self._estimator = joblib.load("model.joblib")

    @bentoml.api(route="/invocations")
    def invocations(self, instances: list[Instance]) -> dict[str, list[Prediction]]:
        """Answer a request."""
        names = [one["name"] for one in _features]
        rows = [[getattr(one, name) for name in names] for one in instances]
        table = np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=object)
        found = self._estimator.predict_proba(table)[:, 1].tolist()
        return {"predictions": [Prediction(late=one >= 0.5, probability=one) for one in found]}
