"""The share of yes on either side of zero."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trained:
    """A fitted model."""

    estimator: dict[str, float]
    trials: tuple[Any, ...] = ()


def train(rows: Any, parameters: Any) -> Trained:
    """Count."""
    above = rows.columns["x"] > 0
    return Trained({"above": float(rows.label[above].mean()), "below": float(rows.label[~above].mean())})


def refit(rows: Any, parameters: Any, trained: Trained) -> Trained:
    """Count more."""
    return train(rows, parameters)


def save(estimator: Any, path: str) -> None:
    """Write an estimator."""
    Path(path).write_text(json.dumps(estimator))


def load(path: str) -> Any:
    """Read an estimator."""
    return json.loads(Path(path).read_text())
