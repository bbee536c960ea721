"""The settings of an endpoint's monitoring: what is measured, how often, and how long it is stored.

The Pulumi program derives them from `modelstack:monitoring`, `retention` and `slo.probe_minutes`. It passes them in
the Rollout on Kubernetes, and in the environment of the functions on AWS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from modelstack.monitoring.labels.concept import FALSE_ALARMS, LOSS_RISE

DRIFT_FALSE_ALARMS = 0.05
_MOST_SEGMENTS = 3


@dataclass(frozen=True)
class Measuring:
    """The monitoring of an endpoint, with the defaults of the config; raises `ValueError` for a value out of `BOUNDS`.

    Attributes:
        drift_minutes: The shortest block by which drift and concept are judged, for rows without times.
        drift_false_alarms: Tolerated false alarms on drift, per year and variant.
        labels_minutes: How long a label waits for its prediction before it counts as unknown.
        labels_days: After how many days the labels of a day are complete.
        max_loss_rise: The share by which the loss may rise above the sealed one.
        concept_false_alarms: Tolerated false alarms on a moved concept, per year and variant.
        segments: Fields of an instance by which errors are grouped.
        requests_days: How many days captured requests, files of labels, and rejected lines of both are stored.
        probe_minutes: The time between two probes; 0: never.
        custom: The digest of the project's own metrics; empty without one.
    """

    drift_minutes: int = 60
    drift_false_alarms: float = DRIFT_FALSE_ALARMS
    labels_minutes: int = 60
    labels_days: float = 1.0
    max_loss_rise: float = LOSS_RISE
    concept_false_alarms: float = FALSE_ALARMS
    segments: tuple[str, ...] = ()
    requests_days: int = 30
    probe_minutes: int = 0
    custom: str = ""

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise _wrong(name, value, f"{low:g} to {high:g}")
        if len(self.segments) > _MOST_SEGMENTS:
            raise _wrong("segments", list(self.segments), f"a list of at most {_MOST_SEGMENTS} texts")

    @property
    def block_seconds(self) -> float:
        """The shortest block by which drift is judged."""
        return 60.0 * self.drift_minutes

    @property
    def wait_seconds(self) -> float:
        """How long a label waits for its prediction."""
        return 60.0 * self.labels_minutes

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        found = {key: getattr(self, name) for name, key in KEYS.items()}
        del found["custom"]
        return found | {"segments": list(self.segments)} | ({"custom": self.custom} if self.custom else {})

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Measuring:
        """The inverse of `as_dict`; missing fields have defaults, unknown ones of a newer program are ignored."""
        given: dict[str, Any] = {name: value[key] for name, key in KEYS.items() if key in value}
        for name, item in given.items():
            if name == "segments":
                if not isinstance(item, list) or not all(isinstance(one, str) and one for one in item):
                    raise _wrong(name, item, "a list of texts")
            elif name == "custom":
                if not isinstance(item, str):
                    raise _wrong(name, item, "a text")
            elif isinstance(item, bool) or not isinstance(item, (int, float)):
                raise _wrong(name, item, "a number")
            elif name in WHOLE and math.floor(item) != item:
                raise _wrong(name, item, "a whole number")
        return cls(**given | {"segments": tuple(given.get("segments", ()))})


BOUNDS: Mapping[str, tuple[float, float]] = {
    "drift_minutes": (1, 720),
    "drift_false_alarms": (0, 0.5),
    "labels_minutes": (1, 10_080),
    "labels_days": (0, 45),
    "max_loss_rise": (0, 10),
    "concept_false_alarms": (0, 0.5),
    "requests_days": (1, 3650),
    "probe_minutes": (0, 60),
}
"""Lowest and highest allowed value. They are wider than those of the config."""
WHOLE = {"drift_minutes", "labels_minutes", "requests_days", "probe_minutes"}


def camel(name: str) -> str:
    """The camelCase form of a Python name."""
    first, *others = name.split("_")
    return "".join([first, *(item.capitalize() for item in others)])


KEYS = {item.name: camel(item.name) for item in fields(Measuring)}
"""Field -> its key in the object."""


def _wrong(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"monitoring.{KEYS[name]}: got {value!r}, allowed is {allowed}")
