"""Step: fit the model and take the reference for drift.

    python -m pipeline.train --parameters '{"max_iter": 80}' --out FOLDER

Writes `model.joblib`, `reference.json`, `example.json` (a request that it answers) and `training.json` (what the model
is called, and which rows it has seen). Of a model that is fitted once more after its evaluation, these are about what
serves, and `evaluated.joblib` is the estimator to evaluate: see `pipeline.refit`.
Nothing is fitted before all rows were checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import model
from model import data, parameters, training
from pipeline import example, refit
from pipeline.contract import ContractBroken, Rows
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
    rows, later, more = data.training(settings), data.evaluation(settings), refit.rows(data, training, settings)
    check_rows(training=rows, evaluation=later, **({} if more is None else {"refit": more}))
    check_split(rows, later)
    out: Path = given.out
    print(f"read {len(rows):,} rows to train on{period(rows)}")
    trained = training.train(rows, settings)
    check_trained(trained, "train(rows, settings)")
    facts: dict[str, Any] = {"model": model.NAME, "trials": [vars(trial) for trial in trained.trials]}
    if more is None:
        facts |= _saved(out / refit.SERVING, trained, rows)
    else:
        facts["evaluated"] = _saved(out / refit.EVALUATED, trained, rows)
        print(f"what serves is fitted once more, on {len(more):,} rows{period(more)}")
        again = training.refit(more, settings, trained)
        check_trained(again, "refit(rows, settings, trained)")
        facts |= _saved(out / refit.SERVING, again, more)
    (out / "training.json").write_text(canonical(facts))
    known = rows if more is None else more
    kept = reference(known)
    print(judged(kept))
    (out / "reference.json").write_text(canonical(kept.as_dict()))
    (out / example.FILE).write_text(canonical(example.request(known)))


def _saved(path: Path, trained: Any, rows: Rows) -> dict[str, Any]:
    """Write an estimator, and return what is to be known of it."""
    training.save(trained.estimator, str(path))
    return {"model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": len(rows), **times(rows)}


def check_trained(trained: object, what: str) -> None:
    """Refuse what is not of the form `contract.Trained`.

    Args:
        trained: What the model's function returned.
        what: The function, as it was called.

    Raises:
        ContractBroken: It lacks something.
    """
    lacks = [name for name in ("estimator", "trials") if not hasattr(trained, name)]
    if lacks:
        found = f"{type(trained).__name__} without {' and '.join(lacks)}"
        raise ContractBroken(
            [f"model/training.py: {what}: found {found}; expected an object with estimator and trials"]
        )


if __name__ == "__main__":
    in_words(main)
