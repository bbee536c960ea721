"""Fit the model: logistic regression on standardised measurements. Its outcome is the same each time."""

from __future__ import annotations

from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.parameters import Parameters


def train(rows: Any, settings: Parameters) -> Pipeline:
    """Fit on all rows."""
    print(f"fitting on {len(rows)} wines")
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=settings.strength, max_iter=1000))
    return estimator.fit(rows.table, rows.label)
