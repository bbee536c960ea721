"""This team's own metrics: `docs/how-to/own-metric.md` says how they are compared, drawn and watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstack.monitoring.custom import mean

MISSED_DELAY, FALSE_WARNING = 5.0, 1.0


@mean(better="lower", margin=0.25, high=MISSED_DELAY)
def passenger_cost(request: Mapping[str, Any], answer: Mapping[str, Any], label: bool) -> float:
    """Cost of a wrong prediction for a passenger: a delay without a warning costs five times a false warning."""
    if answer["late"] == label:
        return 0.0
    return MISSED_DELAY if label else FALSE_WARNING
