"""How good is the model on wines that it has not seen?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from model.data import Wines
from model.serving import predicted

METRICS = {
    "accuracy": "share of wines whose cultivar was found, 0 to 1",
    "log_loss": "mean negative log-likelihood, nats; lower is better",
}


@dataclass(frozen=True)
class Evaluation:
    """Metric -> value, and details for a reader."""

    summary: dict[str, float]
    details: dict[str, Any]


def evaluate(estimator: Any, rows: Wines) -> Evaluation:
    """Score an estimator."""
    found = estimator.predict(rows.table)
    return Evaluation(
        summary={
            "accuracy": float(accuracy_score(rows.label, found)),
            "log_loss": float(log_loss(rows.label, estimator.predict_proba(rows.table), labels=estimator.classes_)),
        },
        details={"confusion": confusion_matrix(rows.label, found).tolist()},
    )


def answers(estimator: Any, rows: Wines) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield for each wine what the server would answer, and its cultivar."""
    for shares, label in zip(estimator.predict_proba(rows.table), rows.label, strict=True):
        yield predicted(estimator, shares), str(label)
