"""Program: a sealed model's answer to each row that it is compared on, with its label.

    python -m pipeline.answered --parameters JSON --model FOLDER --out FILE

Model, rows and refusals are those of `pipeline.losses --evaluated`. Writes JSON lists with an entry per row:

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
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.labels.performance import LabelScore
from monitoring.labels.quality import Form
from pipeline import parts
from pipeline.baseline import outcomes
from pipeline.losses import NAMES, asked, form_for
from pipeline.recipe import canonical
from pipeline.rows import Rows, as_json
from pipeline.step import end_with_parent, in_words

FREQUENT = 8
"""Values of a text column that are distinguished; all others are one segment."""
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


def told(form: Form, answers: Sequence[Mapping[str, Any]], found: Sequence[LabelScore], rows: Rows) -> dict[str, Any]:
    """The content of the output file."""
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
