"""Step: score the model on data later than it was trained on.

    python -m pipeline.evaluate --parameters '{"max_iter": 80}' --trained FOLDER --out FOLDER

Reads what `train` wrote; writes `metrics.json`: `summary` (metric -> value, what gates bind to), `evaluation` (the
model's own details) and `training` (what was trained on).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model import data, evaluation, parameters, training
from pipeline.recipe import canonical
from pipeline.step import end_with_parent


class SplitRefused(Exception):
    """Evaluation data is not later than training data."""


def check_split(last_event: str, last_label: str, evaluation_start: np.datetime64) -> None:
    """Refuse to evaluate on anything that training could have known.

    Args:
        last_event: Time of the last row trained on, ISO 8601, UTC.
        last_label: When the last label trained on was known.
        evaluation_start: Time of the first row to evaluate on.

    Raises:
        SplitRefused: Evaluation starts before training ends.
    """
    end = max(np.datetime64(last_event), np.datetime64(last_label))
    if evaluation_start < end:
        raise SplitRefused(
            f"evaluation starts {evaluation_start}, before training ends {end} (UTC): "
            "metrics on data that training has seen would mean nothing; choose a later period for evaluation"
        )


def check_names(summary: Mapping[str, float], names: Collection[str]) -> None:
    """Refuse an evaluation that reports other metrics than the model says: gates are checked against what it says.

    Raises:
        ValueError: The names differ.
    """
    if set(summary) != set(names):
        raise ValueError(
            f"evaluation reported {', '.join(summary)}; METRICS in model/evaluation.py says {', '.join(names)}"
        )


def main(arguments: list[str] | None = None) -> None:
    """Run the step."""
    parser = argparse.ArgumentParser(description="Score the model on later data.")
    parser.add_argument("--parameters", required=True, help="JSON object")
    parser.add_argument("--trained", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    settings = parameters.parse(json.loads(given.parameters))
    trained: dict[str, Any] = json.loads((given.trained / "training.json").read_text())
    stored: Path = given.trained / "model.joblib"
    if hashlib.sha256(stored.read_bytes()).hexdigest() != trained["model_sha256"]:
        raise ValueError(f"{stored} is not the model that was trained here: delete {given.trained} and run again")
    rows = data.evaluation(settings)
    if not len(rows):
        raise ValueError(f"there is no evaluation data from {settings.evaluate_from} until {settings.evaluate_until}")
    check_split(trained["last_event"], trained["last_label"], rows.event_time.min())
    print(f"evaluating on {len(rows):,} rows, {rows.event_time.min()} to {rows.event_time.max()} UTC")
    found = evaluation.evaluate(training.load(str(stored)), rows)
    check_names(found.summary, evaluation.METRICS)
    (given.out / "metrics.json").write_text(
        canonical({"summary": found.summary, "evaluation": found.details, "training": trained})
    )
    print(", ".join(f"{name} {value:.4g}" for name, value in found.summary.items()))


if __name__ == "__main__":
    main()
