"""A batch of joined labels as JSON values, which any platform claims and counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from modelstack.monitoring.labels.pairs import Batch, JoinedRow
from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR, LOG_LOSS
from modelstack.monitoring.labels.scores import Scores
from modelstack.monitoring.measurements import Datum, Values
from modelstack.rollout.core.catalogue import INVALID

_SQUARES = {name: f"{name}Squared" for name in (LOG_LOSS, ABSOLUTE_ERROR)}
SQUARES = frozenset(_SQUARES.values())
"""The metrics that hold another metric's squared values."""


def content(batch: Batch, rows: Mapping[str, JoinedRow], counts: Counter[str]) -> dict[str, Any]:
    """The JSON values of a batch that are claimed together."""
    checked = [
        {"variant": batch.variant, "trial": trial, "invalid": invalid, "answers": answers}
        for (trial, invalid), answers in batch.checked.items()
    ]
    return {
        "variant": batch.variant,
        "rows": [{"id": name, **vars(row)} for name, row in rows.items()],
        "checked": checked,
        "counts": +counts,
        "answered": batch.answered.as_dict(),
    }


def holds(content: Mapping[str, Any]) -> bool:
    """Whether a batch holds anything to send or store."""
    return any(content[name] for name in ("rows", "checked", "counts", "answered"))


def rows_of(content: Mapping[str, Any]) -> list[tuple[str, JoinedRow]]:
    """The joined answers of a batch, by their inference ids."""
    return [
        (row["id"], JoinedRow(**{key: value for key, value in row.items() if key != "id"})) for row in content["rows"]
    ]


def answered_of(content: Mapping[str, Any]) -> Scores:
    """The scores of a batch's answers."""
    return Scores.from_dict(content["answered"], "answered")


def measured(content: Mapping[str, Any], at: float) -> tuple[list[Datum], list[Values]]:
    """Counts and values that a batch publishes, with their time `at` in epoch seconds."""
    losses: dict[tuple[str, str, str], list[float]] = {}
    for row in content["rows"]:
        of = str(row["variant"]), str(row["trial"] or "")
        for name, values in row["losses"].items():
            losses.setdefault((name, *of), []).extend(values)
            if name in _SQUARES:
                losses.setdefault((_SQUARES[name], *of), []).extend(loss * loss for loss in values)
    found = [Values(*of, values, at) for of, values in losses.items()]
    found += [
        Values(INVALID, item["variant"], item["trial"] or "", [float(item["invalid"])], at, [item["answers"]])
        for item in content["checked"]
    ]
    return [Datum(name, "", count, "Count", at) for name, count in content["counts"].items()], found
