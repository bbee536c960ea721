"""Step: what a sealed model answers to each row that it is compared on, beside what is true.

    python -m pipeline.answered --parameters JSON --model FOLDER --out FILE

The folder of `--model` is a sealed archive, verified and unpacked. The estimator is the one that its metrics are of
(see `pipeline.refit`). The rows are those to evaluate on with the parameters, and rows that it has seen are refused.
Writes JSON, a list with an entry for each row unless it says otherwise:

    loss        which loss (one text)
    keys        what the row is called: its name, and its time if it has one
    days        on which day it was, UTC; null (for all) without times
    losses      the loss
    labels      what is true
    decisions   what the answer decides for; of a regression, its value
    scores      the probability of the last of two classes, and `hits` whether that happened; null (for all) without
    segments    feature -> where the row belongs there, a text for each row
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.labels.performance import Outcome
from monitoring.labels.quality import Form
from pipeline import parts
from pipeline.baseline import outcomes
from pipeline.losses import NAMES, asked, form_for
from pipeline.recipe import canonical
from pipeline.rows import Rows, as_json
from pipeline.step import end_with_parent, in_words

FREQUENT = 8
"""Values of a column of texts that are told apart; all others are one segment."""
OTHER = "other"


def main(arguments: list[str] | None = None) -> None:
    """Run the step."""
    parser = argparse.ArgumentParser(description="What a sealed model answers to each row.")
    parser.add_argument("--parameters", required=True, help="JSON object; says which rows")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    rows, answers = asked(given.model, json.loads(given.parameters), evaluated=True)
    form = form_for(given.model, answers)
    given.out.write_text(canonical(told(form, answers, outcomes(form, answers, parts.labels(rows)), rows)))


def told(form: Form, answers: Sequence[Mapping[str, Any]], found: Sequence[Outcome], rows: Rows) -> dict[str, Any]:
    """What the step writes.

    Args:
        form: What the fields of an answer mean.
        answers: The prediction of each row.
        found: The same, held against its label.
        rows: The rows.
    """
    name, _ = form.loss
    scored = form.binary and form.probability is not None
    times = None if rows.event_time is None else rows.event_time.astype("datetime64[s]").astype(str)
    said = [form.said(answer) for answer in answers]
    return {
        "loss": NAMES[name],
        "keys": rows.id.tolist() if times is None else [f"{one} {at}" for one, at in zip(rows.id, times, strict=True)],
        "days": None if times is None else [str(at)[:10] for at in times],
        "losses": [outcome.loss(name) for outcome in found],
        "labels": parts.labels(rows),
        "decisions": [one["value"] if form.kind == "regression" else one["decision"] for one in said],
        "scores": [one.scored.score if one.scored else None for one in found] if scored else None,
        "hits": [one.hit for one in found] if scored else None,
        "segments": {feature: segments(values) for feature, values in rows.columns.items()},
    }


def segments(values: NDArray[Any]) -> list[str]:
    """Where each row belongs by one feature: the frequent texts, or the thirds of its numbers.

    Args:
        values: Of each row, shape (rows,).
    """
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
