"""What the model is told about a flight: names, units, and the values each feature may have.

Everything here is known before departure. Training, the request check and the drift reference all read this one list.

    check({"carrier": "UA", ...})      # [] or a list of problems, each naming the field, the value and what is allowed
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Numeric:
    """A number in [low, high], in `unit`; with `optional` it may be null or left out, as trees take missing values."""

    name: str
    unit: str
    low: float
    high: float
    optional: bool = False
    kind = "numeric"

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with a value from a request, or None."""
        if value is None and self.optional:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high:
            return None
        also = ", or null" if self.optional else ""
        return f"a number from {self.low:g} to {self.high:g} ({self.unit}){also}"


@dataclass(frozen=True)
class Categorical:
    """A code that matches `pattern`. A code not seen in training is allowed and treated as missing."""

    name: str
    pattern: str
    example: str
    optional = False
    kind = "categorical"

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with a value from a request, or None."""
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return None
        return f"a string like {self.example!r} (matching {self.pattern})"


Feature = Numeric | Categorical

FEATURES: tuple[Feature, ...] = (
    Categorical("carrier", "[A-Z0-9]{2}", "UA"),
    Categorical("origin", "[A-Z]{3}", "EWR"),
    Categorical("dest", "[A-Z]{3}", "IAH"),
    Numeric("departure_hour", "local hours, scheduled", 0, 24),
    Numeric("arrival_hour", "local hours at the destination, scheduled", 0, 24),
    Numeric("day_of_week", "1 is Monday, local", 1, 7),
    Numeric("distance", "miles", 1, 12_000),
    Numeric("temperature", "degrees Fahrenheit at the origin", -80, 140, optional=True),
    Numeric("dew_point", "degrees Fahrenheit at the origin", -120, 100, optional=True),
    Numeric("humidity", "relative, percent", 0, 100, optional=True),
    Numeric("wind_direction", "degrees", 0, 360, optional=True),
    Numeric("wind_speed", "miles per hour", 0, 200, optional=True),
    Numeric("wind_gust", "miles per hour", 0, 250, optional=True),
    Numeric("precipitation", "inches in the hour", 0, 12, optional=True),
    Numeric("pressure", "millibars at sea level", 850, 1100, optional=True),
    Numeric("visibility", "miles", 0, 100, optional=True),
)
NAMES = tuple(feature.name for feature in FEATURES)


def check(instance: Any) -> list[str]:
    """Return what is wrong with one instance of a request, a line each: the field, the value and what is allowed."""
    if not isinstance(instance, Mapping):
        return [f"{_shown(instance)} is not allowed: expected an object with the fields {', '.join(NAMES)}"]
    problems = [
        f"{_shown(name)}: unknown field; allowed are {', '.join(NAMES)}" for name in instance if name not in NAMES
    ]
    for feature in FEATURES:
        expected = feature.problem(instance.get(feature.name))
        if expected and feature.name not in instance:
            problems.append(f"{feature.name}: missing; expected {expected}")
        elif expected:
            problems.append(f"{feature.name}: {_shown(instance[feature.name])} is not allowed: expected {expected}")
    return problems


def table(instances: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Turn checked instances into the estimator's input: strings and floats (NaN if missing), (instances, features)."""
    import numpy as np  # noqa: PLC0415  the request check above is used where there is no numpy

    rows = np.empty((len(instances), len(FEATURES)), dtype=object)
    for row, instance in zip(rows, instances, strict=True):
        for column, feature in enumerate(FEATURES):
            value = instance.get(feature.name)
            row[column] = value if feature.kind == "categorical" else nan if value is None else float(value)
    return rows


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
