"""The share of yes on either side of zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def train(rows: Any, parameters: Any) -> dict[str, float]:
    above = rows.columns["x"] > 0
    return {"above": float(rows.label[above].mean()), "below": float(rows.label[~above].mean())}


def save(estimator: Any, path: str) -> None:
    Path(path).write_text(json.dumps(estimator))


def load(path: str) -> Any:
    return json.loads(Path(path).read_text())
