"""Fits the model once more, on the rows of the evaluation too. The served model may know more than the evaluated one.

    more = refit.rows(data, training, settings)      # None where the evaluated estimator is to serve

Evaluation keeps the newest rows back, which are those that a model needs most. So a model may have a second fit, with
what the first one chose: its `data.refit` gives the rows, its `training.refit` fits. Metrics, gates and the comparison
with a champion are those of the first, which is sealed beside what serves: whoever has the package can check what it
promises.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.contract import ContractBroken

SERVING, EVALUATED = "model.joblib", "evaluated.joblib"


def rows(data: Any, training: Any, settings: Any) -> Any:
    """The rows of the second fit, of the form `contract.Rows`; None where there is none.

    Args:
        data: The model's module of this name.
        training: The same.
        settings: What the model's `parse` returned.

    Raises:
        ContractBroken: There are rows, and nothing that fits on them.
    """
    given = getattr(data, "refit", None)
    found = given(settings) if given else None
    if found is not None and not hasattr(training, "refit"):
        raise ContractBroken(
            ["model/training.py: found no refit; expected refit(rows, settings, trained), as model/data.py has a refit"]
        )
    return found


def evaluated(folder: Path) -> Path:
    """The estimator of a folder that was evaluated: beside one that serves, or the same."""
    beside = folder / EVALUATED
    return beside if beside.exists() else folder / SERVING
