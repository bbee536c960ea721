"""Step: score the model on data that training could not know.

    python -m pipeline.evaluate --parameters '{"max_iter": 80}' --trained FOLDER --out FOLDER

Reads what `train` wrote, of two estimators that which knows less (see `pipeline.refit`); writes `metrics.json`:
`summary` (metric -> value, what gates bind to), `evaluation` (the model's own details) and `training` (what was trained
on). And `baseline.json`, if the model tells its answers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Collection, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import model
from model import data, evaluation, parameters, training
from pipeline import refit
from pipeline.baseline import FILE, baseline, judged
from pipeline.contract import ContractBroken
from pipeline.recipe import canonical
from pipeline.rows import period, seconds
from pipeline.step import end_with_parent, in_words


def check_evaluation(found: Any, names: Collection[str]) -> None:
    """Refuse an outcome that is not of the form `contract.Evaluation`.

    Args:
        found: What the model's evaluation returned.
        names: The metrics that the model says it reports: gates were checked against these.

    Raises:
        ContractBroken: Something is wrong with it; every problem is named.
    """
    problems = [f"model/evaluation.py: evaluate(estimator, rows): {text}" for text in _wrong(found, names)]
    if problems:
        raise ContractBroken(problems)


def _wrong(found: Any, names: Collection[str]) -> Iterator[str]:
    if not hasattr(found, "summary") or not hasattr(found, "details"):
        yield f"found {type(found).__name__}; expected an object with summary and details"
        return
    if set(found.summary) != set(names):
        yield f"found a summary of {', '.join(found.summary)}; expected the names in METRICS, {', '.join(names)}"
    for name, value in found.summary.items():
        if not isinstance(value, int | float) or not isfinite(value):
            yield f"summary[{name!r}]: found {value!r}; expected a finite number (a float)"
    try:
        canonical(found.details)
    except (TypeError, ValueError) as error:
        yield f"details: found what is no JSON ({error}); expected JSON values"


def main(arguments: list[str] | None = None) -> None:
    """Run the step."""
    parser = argparse.ArgumentParser(description="Score the model on other data than it was trained on.")
    parser.add_argument("--parameters", required=True, help="JSON object")
    parser.add_argument("--trained", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    settings = parameters.parse(json.loads(given.parameters))
    trained: dict[str, Any] = json.loads((given.trained / "training.json").read_text())
    stored = refit.evaluated(given.trained)
    if hashlib.sha256(stored.read_bytes()).hexdigest() != trained.get("evaluated", trained)["model_sha256"]:
        raise ValueError(f"{stored} is not the model that was trained here: delete {given.trained} and run again")
    rows = data.evaluation(settings)
    print(f"evaluating on {len(rows):,} rows{period(rows)}")
    estimator = training.load(str(stored))
    found = evaluation.evaluate(estimator, rows)
    check_evaluation(found, evaluation.METRICS)
    (given.out / "metrics.json").write_text(
        canonical({"summary": found.summary, "evaluation": found.details, "training": trained})
    )
    if answers := getattr(evaluation, "answers", None):
        kept = baseline(Path(model.__file__).parent, answers(estimator, rows), seconds(rows))
        (given.out / FILE).write_text(canonical(kept.as_dict()))
        print(judged(kept))
    print(", ".join(f"{name} {value:.4g}" for name, value in found.summary.items()))


if __name__ == "__main__":
    in_words(main)
