"""Step: fit the model and take the reference for drift.

    python -m pipeline.train --parameters '{"max_iter": 80}' --out FOLDER

Writes `model.joblib`, `reference.json`, `example.json` (a request that it answers) and `training.json` (what the model
is called, and which rows it has seen).
Nothing is fitted before the rows to train on and those to evaluate on were checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import model
from model import data, parameters, training
from pipeline import example
from pipeline.contract import ContractBroken
from pipeline.recipe import canonical
from pipeline.reference import judged, reference
from pipeline.rows import check_rows, check_split, period, times
from pipeline.step import end_with_parent, in_words


def main(arguments: list[str] | None = None) -> None:
    """Run the step."""
    parser = argparse.ArgumentParser(description="Fit the model.")
    parser.add_argument("--parameters", required=True, help="JSON object")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    settings = parameters.parse(json.loads(given.parameters))
    rows, later = data.training(settings), data.evaluation(settings)
    check_rows(training=rows, evaluation=later)
    check_split(rows, later)
    print(f"read {len(rows):,} rows to train on{period(rows)}")
    trained = training.train(rows, settings)
    check_trained(trained)
    out: Path = given.out
    training.save(trained.estimator, str(out / "model.joblib"))
    kept = reference(rows)
    print(judged(kept))
    (out / "reference.json").write_text(canonical(kept.as_dict()))
    (out / example.FILE).write_text(canonical(example.request(rows)))
    facts = {
        "model": model.NAME,
        "model_sha256": hashlib.sha256((out / "model.joblib").read_bytes()).hexdigest(),
        "rows": len(rows),
        **times(rows),
        "trials": [vars(trial) for trial in trained.trials],
    }
    (out / "training.json").write_text(canonical(facts))


def check_trained(trained: object) -> None:
    """Refuse what is not of the form `contract.Trained`.

    Raises:
        ContractBroken: It lacks something.
    """
    lacks = [name for name in ("estimator", "trials") if not hasattr(trained, name)]
    if lacks:
        found = f"{type(trained).__name__} without {' and '.join(lacks)}"
        raise ContractBroken(
            [f"model/training.py: train(rows, settings): found {found}; expected an object with estimator and trials"]
        )


if __name__ == "__main__":
    in_words(main)
