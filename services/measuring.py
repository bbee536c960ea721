"""What of an endpoint is measured, how often, and how long it is kept.

    Measuring.from_dict(rollout["spec"].get("monitoring", {})).drift_minutes     # 60

The Pulumi program writes it of the stack's config, `modelstack:monitoring`, `retention` and `slo.probe_minutes`, for
whatever measures: into the Rollout on Kubernetes, into the environment of the functions on AWS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from monitoring.labels.concept import FALSE_ALARMS, LOSS_RISE

DRIFT_FALSE_ALARMS = 0.05
_MOST_SEGMENTS = 3


@dataclass(frozen=True)
class Measuring:
    """What is measured of an endpoint; the defaults are those of the config.

    Raises:
        ValueError: A field has a value that is not allowed; the message names it.

    Attributes:
        drift_minutes: The shortest block that drift and the concept are judged by, of rows without times.
        drift_false_alarms: How many of drift are tolerated a year and variant.
        labels_minutes: How long a label waits for its answer before it counts as unknown.
        labels_days: After how many days the labels of a day have come.
        max_loss_rise: By which share of the sealed loss it may rise.
        concept_false_alarms: How many of a moved concept are tolerated a year and variant.
        segments: Fields of an instance by which errors are told apart.
        requests_days: How many days captured requests are kept, and files of labels, and what of both is of no use.
        probe_minutes: How often the endpoint is probed; 0: never.
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

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise _wrong(name, value, f"{low:g} to {high:g}")
        if len(self.segments) > _MOST_SEGMENTS:
            raise _wrong("segments", list(self.segments), f"a list of at most {_MOST_SEGMENTS} texts")

    @property
    def block_seconds(self) -> float:
        """The shortest block, in seconds."""
        return 60.0 * self.drift_minutes

    @property
    def wait_seconds(self) -> float:
        """How long a label waits for its answer, in seconds."""
        return 60.0 * self.labels_minutes

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        found = {key: getattr(self, name) for name, key in KEYS.items()}
        return found | {"segments": list(self.segments)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Measuring:
        """Read back what `as_dict` wrote. What is missing has a default; what a newer program wrote is left out.

        Raises:
            ValueError: A field has a value that is not allowed; the message names it.
        """
        given: dict[str, Any] = {name: value[key] for name, key in KEYS.items() if key in value}
        for name, item in given.items():
            if name == "segments":
                if not isinstance(item, list) or not all(isinstance(one, str) and one for one in item):
                    raise _wrong(name, item, "a list of texts")
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
"""The least and the most of each number, both allowed. What is more than the config allows does no harm."""
WHOLE = {"drift_minutes", "labels_minutes", "requests_days", "probe_minutes"}
"""The numbers that have no fraction."""


def camel(name: str) -> str:
    """A name of Python as a JSON object has it."""
    first, *others = name.split("_")
    return "".join([first, *(item.capitalize() for item in others)])


KEYS = {item.name: camel(item.name) for item in fields(Measuring)}
"""The fields, as they are called in the object."""


def _wrong(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"monitoring.{KEYS[name]}: got {value!r}, allowed is {allowed}")
