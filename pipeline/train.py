"""Step: fit the model and take the reference for drift.

    python -m pipeline.train --parameters '{"max_iter": 80}' --out FOLDER

Writes `model.joblib`, `reference.json` and `training.json` (what the model is called, and which rows it has seen).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import model
from model import data, parameters, training
from pipeline.recipe import canonical
from pipeline.reference import reference
from pipeline.step import end_with_parent


def main(arguments: list[str] | None = None) -> None:
    """Run the step."""
    parser = argparse.ArgumentParser(description="Fit the model.")
    parser.add_argument("--parameters", required=True, help="JSON object")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    settings = parameters.parse(json.loads(given.parameters))
    rows = data.training(settings)
    if not len(rows):
        raise ValueError(f"there is no training data from {settings.train_from} until {settings.train_until}")
    print(f"read {len(rows):,} rows to train on, {rows.event_time.min()} to {rows.event_time.max()} UTC")
    trained = training.train(rows, settings)
    out: Path = given.out
    training.save(trained.estimator, str(out / "model.joblib"))
    (out / "reference.json").write_text(canonical(reference(rows.columns)))
    facts = {
        "model": model.NAME,
        "model_sha256": hashlib.sha256((out / "model.joblib").read_bytes()).hexdigest(),
        "rows": len(rows),
        "first_event": str(rows.event_time.min()),
        "last_event": str(rows.event_time.max()),
        "last_label": str(rows.label_at.max()),
        "trials": [vars(trial) for trial in trained.trials],
    }
    (out / "training.json").write_text(canonical(facts))


if __name__ == "__main__":
    main()
