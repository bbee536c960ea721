"""Fit the model: logistic regression on standardised measurements. Its outcome is the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.data import Wines
from model.parameters import Parameters


@dataclass(frozen=True)
class Trained:
    """A fitted estimator; nothing else was tried."""

    estimator: Pipeline
    trials: tuple[()] = ()


def train(rows: Wines, settings: Parameters) -> Trained:
    """Fit on all rows."""
    print(f"fitting on {len(rows)} wines")
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=settings.strength, max_iter=1000))
    return Trained(estimator.fit(rows.table, rows.label))


def save(estimator: Pipeline, path: str) -> None:
    """Write an estimator."""
    joblib.dump(estimator, path)


def load(path: str) -> Any:
    """Read an estimator."""
    return joblib.load(path)
