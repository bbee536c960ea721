"""Program: the loss of a sealed model on each row that it is compared on.

    python -m pipeline.losses --parameters JSON --model FOLDER --answer FOLDER [--evaluated] --out FILE

`--model` is an archive, verified and unpacked; its estimator is digested again before loading: the one that serves, or
with `--evaluated` the one that its metrics are of (see `pipeline.refit`). The rows are the evaluation rows of the
parameters; rows that the model was trained on are refused. `answer.json` in the folder of `--answer` defines the
answers of all compared models. Writes `loss` (which one), `losses` (per row), `rows` (their names) and `days` (UTC;
null for rows without a time).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.labels.quality import ABSOLUTE_ERROR, ERROR, LOG_LOSS, Form
from pipeline import parts, refit
from pipeline.baseline import form_of, outcomes
from pipeline.contract import ContractBroken
from pipeline.recipe import canonical
from pipeline.rows import Rows, SplitRefused, check_split, have_times, period, tables
from pipeline.step import end_with_parent, in_words

NAMES = {LOG_LOSS: "log_loss", ABSOLUTE_ERROR: "absolute_error", ERROR: "error"}


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description="The loss of a sealed model on each row.")
    parser.add_argument("--parameters", required=True, help="JSON object; says which rows")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--answer", required=True, type=Path)
    parser.add_argument("--evaluated", action="store_true")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    rows, answers = asked(given.model, json.loads(given.parameters), evaluated=given.evaluated)
    form = form_for(given.answer, answers)
    name, _ = form.loss
    found = [outcome.loss(name) for outcome in outcomes(form, answers, parts.labels(rows))]
    days: Any = np.asarray(rows.event_time, "datetime64[D]").astype(str).tolist() if have_times(rows) else None
    given.out.write_text(canonical({"loss": NAMES[name], "losses": found, "rows": rows.id.tolist(), "days": days}))


def asked(sealed: Path, parameters: Mapping[str, Any], *, evaluated: bool) -> tuple[Rows, Any]:
    """The rows that a sealed, unpacked model is compared on, none of which it has seen, and its answers to them.

    With `evaluated` the estimator that its metrics are of answers, else the one that serves.
    """
    manifest = json.loads((sealed / "manifest.json").read_bytes())
    rows = tables(parts.data, parts.settings(parameters)).evaluation
    stored = refit.evaluated(sealed) if evaluated else sealed / refit.SERVING
    trained = json.loads((sealed / "metrics.json").read_bytes())["training"]
    check_unseen(rows, manifest, trained, serves=stored.name == refit.SERVING)
    print(f"{manifest['recipe'][:12]} answers {len(rows):,} rows{period(rows)}")
    return rows, parts.answers(estimator_of(stored, manifest), rows, manifest["parameters"])


def form_for(folder: Path, answers: Any) -> Form:
    """The meaning of the answers, from the folder's `answer.json`; refuses a model without it or without answers."""
    form = form_of(folder)
    if answers is None or form is None:
        raise ContractBroken(
            ["model/serving.py: found no predict; expected predict(model, rows), by which models are compared"]
        )
    return form


def check_unseen(rows: Rows, manifest: Mapping[str, Any], trained: Mapping[str, Any], *, serves: bool) -> None:
    """Refuse rows that an estimator was trained on, by its sealed times or by the rows' names."""
    if not have_times(rows):
        known = tables(parts.data, parts.settings(manifest["parameters"]))
        check_split(known.refit if serves and known.refit is not None else known.training, rows)
        return
    trained = trained if serves else trained["evaluated"]
    start = np.min(np.asarray(rows.event_time))
    end = max(np.datetime64(trained["last_event"]), np.datetime64(trained["last_label"]))
    if start < end:
        raise SplitRefused(
            f"the rows to compare on start {start}, and {manifest['recipe'][:12]} was trained on what was known by "
            f"{end} (UTC): a model that has seen them would seem better than it is"
        )


def estimator_of(stored: Path, manifest: Mapping[str, Any]) -> Any:
    """The estimator of an unpacked package, digested again before it is loaded."""
    if hashlib.sha256(stored.read_bytes()).hexdigest() != manifest["files"][stored.name]:
        raise ValueError(f"{stored} is not what the manifest names")
    return parts.load(stored)


if __name__ == "__main__":
    in_words(main)
