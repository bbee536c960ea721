"""How often is it right?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METRICS = {"accuracy": "share of right answers"}


@dataclass(frozen=True)
class Evaluation:
    """What evaluation found."""

    summary: dict[str, float]
    details: None = None


def evaluate(estimator: Any, rows: Any) -> Evaluation:
    """Score an estimator."""
    found = list(answers(estimator, rows))
    return Evaluation({"accuracy": sum(said["yes"] == label for said, label in found) / len(found)})


def answers(estimator: Any, rows: Any) -> Iterator[tuple[dict[str, Any], bool]]:
    """A prediction and its label for each row."""
    for x, label in zip(rows.columns["x"], rows.label, strict=True):
        probability = estimator["above" if x > 0 else "below"]
        yield {"yes": probability > 0.5, "probability": probability}, bool(label)
