"""Program: a sealed model's answer to each row that it is compared on, with its loss.

    python -m modelstack.pipeline.answered --parameters JSON --model FOLDER [--answer FOLDER] [--evaluated] [--details]
    --out FILE

`--model` is an archive, verified and unpacked; its estimator is digested again before loading: the one that serves, or
with `--evaluated` the one that its metrics are of (see `modelstack.pipeline.refit`). The rows are the evaluation rows
of the parameters; rows that the model was trained on are refused. `answer.json` in the folder of `--answer`, by default
the model's own, defines the answers. Writes JSON lists with an entry per row, from `labels` on only with `--details`:

    loss        which loss (one text)
    keys        the row's name, and its time if it has one
    days        its day, UTC; null (for all) without times
    losses      the loss
    labels      the true answers
    decisions   the decided answers; of a regression, the value
    scores      the probability of the last of two classes, and `hits` whether that happened; null (for all) without
    segments    feature -> the row's segment
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstack.monitoring.labels.performance import LabelScore
from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR, ERROR, LOG_LOSS, Form
from modelstack.pipeline import parts, refit
from modelstack.pipeline.baseline import form_of, outcomes
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.rows import Rows, SplitRefused, as_json, check_split, period, tables
from modelstack.pipeline.step import end_with_parent, in_words

NAMES = {LOG_LOSS: "log_loss", ABSOLUTE_ERROR: "absolute_error", ERROR: "error"}
FREQUENT = 8
"""Values of a text column that are distinguished; all others are one segment."""
OTHER = "other"


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description="What a sealed model answers to each row.")
    parser.add_argument("--parameters", required=True, help="JSON object; says which rows")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--answer", type=Path)
    parser.add_argument("--evaluated", action="store_true")
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    rows, answers = asked(given.model, json.loads(given.parameters), evaluated=given.evaluated)
    form = form_for(given.answer or given.model, answers)
    name, _ = form.loss
    found = outcomes(form, answers, parts.labels(rows))
    times = None if rows.event_time is None else rows.event_time.astype("datetime64[s]").astype(str)
    told = {
        "loss": NAMES[name],
        "keys": rows.id.tolist() if times is None else [f"{one} {at}" for one, at in zip(rows.id, times, strict=True)],
        "days": None if times is None else [str(at)[:10] for at in times],
        "losses": [outcome.loss(name) for outcome in found],
    }
    given.out.write_text(
        canonical({**told, **(details(form, answers, found, rows) if given.details else {"rows": rows.id.tolist()})})
    )


def asked(sealed: Path, parameters: Mapping[str, Any], *, evaluated: bool) -> tuple[Rows, Any]:
    """The comparison rows of a sealed, unpacked model, and its answers: of the evaluated or of the served estimator."""
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
    if rows.event_time is None:
        known = tables(parts.data, parts.settings(manifest["parameters"]))
        check_split(known.refit if serves and known.refit is not None else known.training, rows)
        return
    trained = trained if serves else trained["evaluated"]
    start = rows.event_time.min()
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


def details(
    form: Form, answers: Sequence[Mapping[str, Any]], found: Sequence[LabelScore], rows: Rows
) -> dict[str, Any]:
    """What `--details` adds."""
    scored = form.binary and form.probability is not None
    said = [form.said(answer) for answer in answers]
    return {
        "labels": parts.labels(rows),
        "decisions": [one["value"] if form.kind == "regression" else one["decision"] for one in said],
        "scores": [one.scored.score if one.scored else None for one in found] if scored else None,
        "hits": [one.hit for one in found] if scored else None,
        "segments": {feature: segments(values) for feature, values in rows.columns.items() if values.ndim == 1},
    }


def segments(values: NDArray[Any]) -> list[str]:
    """The segment of each row by one feature: its frequent texts, or the thirds of its numbers."""
    plain = [as_json(value) for value in values]
    known = [value for value in plain if value is not None]
    if any(isinstance(value, str | bool) for value in known) or len(set(known)) <= FREQUENT:
        frequent = {value for value, _ in Counter(known).most_common(FREQUENT)}
        return ["missing" if one is None else _text(one) if one in frequent else OTHER for one in plain]
    low, high = np.quantile(np.array(known, float), [1 / 3, 2 / 3])
    names = (f"up to {low:.4g}", f"{low:.4g} to {high:.4g}", f"above {high:.4g}")
    return ["missing" if one is None else names[int(one > low) + int(one > high)] for one in plain]


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    in_words(main)
