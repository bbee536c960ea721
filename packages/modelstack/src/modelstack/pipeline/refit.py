"""The optional second fit of a model, which includes the evaluation rows, so the served model may know more.

Evaluation withholds the newest rows, which a model needs most. So `data.refit` may give more rows, and `training.refit`
(or `train`) fits them with what the first fit chose. Metrics, gates and the comparison with a champion are of the first
fit, which is sealed next to the served one, so that its metrics can be verified.
"""

from __future__ import annotations

from pathlib import Path

SERVING, EVALUATED = "model.joblib", "evaluated.joblib"


def evaluated(folder: Path) -> Path:
    """The evaluated estimator of a folder: next to one that serves, or the same."""
    beside = folder / EVALUATED
    return beside if beside.exists() else folder / SERVING
