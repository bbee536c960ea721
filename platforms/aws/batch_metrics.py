"""A batch of losses and counts as PutMetricData takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monitoring.labels.claimed import losses_of
from monitoring.labels.standing import Gauge
from platforms.aws.metrics import ROLLOUT, SEGMENT, Datum, datum, place
from rollout.core.catalogue import INVALID

_VALUES = 150
Side = tuple[str, str]
"""A variant, and a rollout; empty for all that the variant answered."""


def metric_data(content: Mapping[str, Any], endpoint: str, at: float) -> list[Datum]:
    """A batch as PutMetricData takes it: what is of a variant, what is of a trial once more by its id, and counts."""
    losses: dict[tuple[str, Side], list[float]] = {}
    for (name, variant, trial), values in losses_of(content).items():
        for side in _sides(variant, trial):
            losses.setdefault((name, side), []).extend(values)

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
        for side in _sides(str(item["variant"]), str(item["trial"] or ""))
    ]
    return data + [datum(name, place(endpoint), [count], "Count", at) for name, count in content["counts"].items()]


def _sides(variant: str, trial: str) -> list[Side]:
    """By what a variant's values are published: by the variant, and by the rollout that they belong to, too."""
    return [(variant, ""), (variant, trial)] if trial else [(variant, "")]


def gauge_data(gauges: Iterable[Gauge], endpoint: str, variant: str, at: float) -> list[Datum]:
    """How a variant stands, as PutMetricData takes it."""
    return [
        datum(item.name, place(endpoint, variant, **{SEGMENT: item.segment or ""}), [item.value], "None", at)
        for item in gauges
    ]
