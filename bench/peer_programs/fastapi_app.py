"""FastAPI, pydantic and scikit-learn, as most teams would write it. `uvicorn fastapi_app:app`, in the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, create_model

_estimator = joblib.load("model.joblib")
with Path("features.json").open() as file:
    _features = json.load(file)
_kinds: dict[str, Any] = {
    one["name"]: (str, ...) if one["kind"] == "text" else (float | None, None) if one.get("optional") else (float, ...)
    for one in _features
}
Instance = create_model("Instance", **_kinds)


class Asked(BaseModel):
    """A request."""

    instances: list[Instance]


class Prediction(BaseModel):
    """One answer."""

    late: bool
    probability: float


class Answered(BaseModel):
    """The answers to a request."""

    predictions: list[Prediction]


app = FastAPI()


@app.post("/invocations")
def invocations(asked: Asked) -> Answered:
    """Answer a request; in a thread, as FastAPI runs what blocks."""
    names = [one["name"] for one in _features]
    rows = [[getattr(one, name) for name in names] for one in asked.instances]
    table = np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=object)
    found = _estimator.predict_proba(table)[:, 1].tolist()
    return Answered(predictions=[Prediction(late=one >= 0.5, probability=one) for one in found])
