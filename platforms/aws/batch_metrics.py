"""A batch of losses and counts as it lies in the table, and as PutMetricData takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from monitoring.labels.pairs import INVALID, Batch, Row
from monitoring.labels.quality import ABSOLUTE_ERROR, LOG_LOSS
from monitoring.labels.scores import Scores
from monitoring.labels.standing import Gauge

NAMESPACE = "modelstack"
MOST = 500
"""Values in one PutMetricData, of at most 1,000."""
_VALUES = 150
_SQUARED = (LOG_LOSS, ABSOLUTE_ERROR)
Place = tuple[tuple[str, str], ...]


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


def metric_data(content: Mapping[str, Any], endpoint: str, at: float) -> list[dict[str, Any]]:
    """A batch as PutMetricData takes it: what is of a variant, what is of a trial once more by its id, and counts."""
    losses: dict[tuple[str, Place], list[float]] = {}
    for row in content["rows"]:
        for place in _places(endpoint, row):
            for name, values in row["losses"].items():
                losses.setdefault((name, place), []).extend(values)
                if name in _SQUARED:
                    losses.setdefault((f"{name}Squared", place), []).extend(loss * loss for loss in values)
    data = [
        _datum(name, place, at, values[start : start + _VALUES], "None")
        for (name, place), values in losses.items()
        for start in range(0, len(values), _VALUES)
    ]
    for item in content["checked"]:
        counts = [float(item["answers"])]
        data += [
            {**_datum(INVALID, place, at, [float(item["invalid"])], "None"), "Counts": counts}
            for place in _places(endpoint, item)
        ]
    whole = (("EndpointName", endpoint),)
    return data + [_datum(name, whole, at, [float(count)], "Count") for name, count in content["counts"].items()]


def _places(endpoint: str, item: Mapping[str, Any]) -> list[Place]:
    """Where a variant's values are published: by the variant, and by the trial that they belong to."""
    variant = (("EndpointName", endpoint), ("VariantName", str(item["variant"])))
    return [variant, (*variant, ("RolloutId", str(item["trial"])))] if item["trial"] else [variant]


def _datum(
    name: str, place: Iterable[tuple[str, str]], at: float, values: Sequence[float], unit: str
) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in place],
        "Timestamp": datetime.fromtimestamp(at, UTC),
        "Values": list(values),
        "Unit": unit,
    }


def gauge_data(gauges: Iterable[Gauge], endpoint: str, variant: str, at: float) -> list[dict[str, Any]]:
    """How a variant stands, as PutMetricData takes it."""
    place = (("EndpointName", endpoint), ("VariantName", variant))
    return [
        _datum(item.name, (*place, ("Segment", item.segment)) if item.segment else place, at, [item.value], "None")
        for item in gauges
    ]
