"""A batch of losses and counts as it lies in the table, and as PutMetricData takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from monitoring.labels.pairs import Batch, Row
from monitoring.labels.quality import ABSOLUTE_ERROR, LOG_LOSS
from monitoring.labels.scores import Scores
from monitoring.labels.standing import Gauge
from platforms.aws.metrics import ROLLOUT, SEGMENT, Datum, datum, place
from rollout.core.catalogue import INVALID

_VALUES = 150
_SQUARED = (LOG_LOSS, ABSOLUTE_ERROR)
Side = tuple[str, str]
"""A variant, and a rollout; empty for all that the variant answered."""


def content(batch: Batch, rows: Mapping[str, Row], counts: Counter[str]) -> dict[str, Any]:
    """What of a batch is claimed together, as JSON values."""
    checked = [
        {"variant": batch.variant, "trial": trial, "invalid": invalid, "answers": answers}
        for (trial, invalid), answers in batch.checked.items()
    ]
    return {
        "variant": batch.variant,
        "rows": [{"id": name, **asdict(row)} for name, row in rows.items()],
        "checked": checked,
        "counts": +counts,
        "answered": batch.answered.as_dict(),
    }


def holds(content: Mapping[str, Any]) -> bool:
    """Whether a batch holds anything to send or to keep."""
    return any(content[name] for name in ("rows", "checked", "counts", "answered"))


def rows_of(content: Mapping[str, Any]) -> list[tuple[str, Row]]:
    """The joined answers of a batch, by their inference ids."""
    return [(row["id"], Row(**{key: value for key, value in row.items() if key != "id"})) for row in content["rows"]]


def answered_of(content: Mapping[str, Any]) -> Scores:
    """The scores of a batch's answers."""
    return Scores.from_dict(content["answered"], "answered")


def metric_data(content: Mapping[str, Any], endpoint: str, at: float) -> list[Datum]:
    """A batch as PutMetricData takes it: what is of a variant, what is of a trial once more by its id, and counts."""
    losses: dict[tuple[str, Side], list[float]] = {}
    for row in content["rows"]:
        for side in _sides(row):
            for name, values in row["losses"].items():
                losses.setdefault((name, side), []).extend(values)
                if name in _SQUARED:
                    losses.setdefault((f"{name}Squared", side), []).extend(loss * loss for loss in values)

    def of(side: Side) -> dict[str, str]:
        variant, trial = side
        return place(endpoint, variant, **{ROLLOUT: trial})

    data = [
        datum(name, of(side), values[start : start + _VALUES], "None", at)
        for (name, side), values in losses.items()
        for start in range(0, len(values), _VALUES)
    ]
    data += [
        datum(INVALID, of(side), [item["invalid"]], "None", at, counts=[float(item["answers"])])
        for item in content["checked"]
        for side in _sides(item)
    ]
    return data + [datum(name, place(endpoint), [count], "Count", at) for name, count in content["counts"].items()]


def _sides(item: Mapping[str, Any]) -> list[Side]:
    """By what a variant's values are published: by the variant, and by the rollout that they belong to, too."""
    variant, trial = str(item["variant"]), str(item["trial"] or "")
    return [(variant, ""), (variant, trial)] if trial else [(variant, "")]


def gauge_data(gauges: Iterable[Gauge], endpoint: str, variant: str, at: float) -> list[Datum]:
    """How a variant stands, as PutMetricData takes it."""
    return [
        datum(item.name, place(endpoint, variant, **{SEGMENT: item.segment or ""}), [item.value], "None", at)
        for item in gauges
    ]
