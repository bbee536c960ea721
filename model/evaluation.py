"""Metrics of the model on data later than its training data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from model.features import NAMES

BINS = 10
METRICS = {
    "log_loss": "mean negative log-likelihood, nats; lower is better",
    "auc": "area under the ROC curve, 0 to 1; 0.5 is chance",
    "brier": "mean squared error of the probability, 0 to 1; lower is better",
    "calibration_error": "expected calibration error over ten equally full bins, 0 to 1 (Naeini et al., AAAI 2015)",
    "base_rate": "share of late flights",
    "rows": "number of flights",
}


def evaluate(estimator: Any, rows: Any) -> dict[str, float]:
    """Score the estimator; raises ValueError if there are no rows, or only one of the two labels."""
    if len(np.unique(rows.label)) < 2:
        raise ValueError(f"cannot evaluate on {len(rows)} flights: both late and punctual ones are needed")
    return summary(rows.label, estimator.predict_proba(rows.table)[:, 1])


def details(estimator: Any, rows: Any) -> dict[str, Any]:
    """More for a reader: metrics by month, the calibration table, importance of each feature."""
    probability = estimator.predict_proba(rows.table)[:, 1]
    month = rows.event_time.astype("datetime64[M]")
    return {
        "by_month": [
            {"month": str(value), **summary(rows.label[month == value], probability[month == value])}
            for value in np.unique(month)
        ],
        "calibration": calibration(rows.label, probability),
        "importance": importance(estimator, rows),
    }


def summary(label: NDArray[np.bool_], probability: NDArray[np.float64]) -> dict[str, float]:
    """Metrics of predicted probabilities, by the names in METRICS; no auc if there is only one label."""
    metrics = {
        "log_loss": float(log_loss(label, probability, labels=[False, True])),
        "brier": float(brier_score_loss(label, probability)),
        "calibration_error": sum(
            bin["rows"] * abs(bin["predicted"] - bin["observed"]) for bin in calibration(label, probability)
        )
        / len(label),
        "base_rate": float(label.mean()),
        "rows": float(len(label)),
    }
    if len(np.unique(label)) == 2:
        metrics["auc"] = float(roc_auc_score(label, probability))
    return metrics


def calibration(label: NDArray[np.bool_], probability: NDArray[np.float64]) -> list[dict[str, float]]:
    """Predicted and observed shares in up to ten equally full bins of the predicted probability."""
    order = np.argsort(probability, kind="stable")
    return [
        {"predicted": float(probability[rows].mean()), "observed": float(label[rows].mean()), "rows": len(rows)}
        for rows in np.array_split(order, BINS)
        if len(rows)
    ]


def importance(estimator: Any, data: Any, rows: int = 5000) -> dict[str, float]:
    """Rise in log-loss (nats) when one feature is shuffled: an upper bound on the cost of its drift.

    Source: Breiman, Random Forests (2001), section 10; on an even sample of at most `rows` rows, one fixed shuffle.
    """
    sample = np.linspace(0, len(data) - 1, min(rows, len(data))).astype(int)
    table, label = data.table[sample], data.label[sample]
    shuffled = np.random.default_rng(0).permutation(len(sample))
    before = log_loss(label, estimator.predict_proba(table)[:, 1], labels=[False, True])
    losses: dict[str, float] = {}
    for column, name in enumerate(NAMES):
        changed = table.copy()
        changed[:, column] = table[shuffled, column]
        losses[name] = float(log_loss(label, estimator.predict_proba(changed)[:, 1], labels=[False, True]) - before)
    return losses
