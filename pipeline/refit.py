"""Fits the model once more, on the rows of the evaluation too. The served model may know more than the evaluated one.

Evaluation keeps the newest rows back, which are those that a model needs most. So a model may have a second fit, with
what the first one chose: its `data.refit` gives the rows, its `training.refit` fits (without it, `train` does).
Metrics, gates and the comparison with a champion are those of the first, which is sealed beside what serves: whoever
has the package can check what it promises.
"""

from __future__ import annotations

from pathlib import Path

SERVING, EVALUATED = "model.joblib", "evaluated.joblib"


def evaluated(folder: Path) -> Path:
    """The estimator of a folder that was evaluated: beside one that serves, or the same."""
    beside = folder / EVALUATED
    return beside if beside.exists() else folder / SERVING
