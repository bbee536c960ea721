"""The features of a flight, all known before departure. Requests and training rows outside these ranges are refused."""

from __future__ import annotations

from typing import Any

FEATURES: dict[str, dict[str, Any]] = {
    "carrier": {"pattern": "[A-Z0-9]{2}", "example": "UA"},
    "origin": {"pattern": "[A-Z]{3}", "example": "EWR"},
    "dest": {"pattern": "[A-Z]{3}", "example": "IAH"},
    "departure_hour": {"unit": "local hours, scheduled", "low": 0, "high": 24},
    "arrival_hour": {"unit": "local hours at the destination, scheduled", "low": 0, "high": 24},
    "day_of_week": {"unit": "1 is Monday, local", "low": 1, "high": 7},
    "distance": {"unit": "miles", "low": 1, "high": 12_000},
    "temperature": {"unit": "degrees Fahrenheit at the origin", "low": -80, "high": 140, "optional": True},
    "dew_point": {"unit": "degrees Fahrenheit at the origin", "low": -120, "high": 100, "optional": True},
    "humidity": {"unit": "relative, percent", "low": 0, "high": 100, "optional": True},
    "wind_direction": {"unit": "degrees", "low": 0, "high": 360, "optional": True},
    "wind_speed": {"unit": "miles per hour", "low": 0, "high": 200, "optional": True},
    "wind_gust": {"unit": "miles per hour", "low": 0, "high": 250, "optional": True},
    "precipitation": {"unit": "inches in the hour", "low": 0, "high": 12, "optional": True},
    "pressure": {"unit": "millibars at sea level", "low": 850, "high": 1100, "optional": True},
    "visibility": {"unit": "miles", "low": 0, "high": 100, "optional": True},
}
NAMES = tuple(FEATURES)
CATEGORICAL = [place for place, feature in enumerate(FEATURES.values()) if "pattern" in feature]
"""Positions of the code features; a code not in the training data is allowed, and treated as missing."""
