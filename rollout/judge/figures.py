"""What is known of one metric, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from rollout.judge.metrics import Metric, Tally

Answer = Literal["worse", "not worse", "unknown"]


def proofs(needed: Mapping[str, float], **logs: float) -> dict[str, float]:
    """The evidence for each answer that is asked for, with what is needed of it."""
    found: dict[str, float] = {}
    for name, least in needed.items():
        found |= {f"evidence_{name}": e_value(logs.get(name, 0.0)), f"evidence_needed_{name}": least}
    return found


def numbers(metric: Metric, champion: Tally, challenger: Tally) -> dict[str, float]:
    """Counts and means of both, in the metric's own unit and direction."""
    label = {"rate": "rate", "quantile": "slower", "mean": "mean"}[metric.kind]
    found = {"margin": metric.margin}
    for who, tally in (("champion", champion), ("challenger", challenger)):
        value = tally.total / tally.count if tally.count else 0.0
        if metric.better == "higher":
            value = 1 - value
        if metric.kind == "mean":
            value = metric.low + value * (metric.high - metric.low)
        found |= {f"{who}_count": float(tally.count), f"{who}_{label}": value if tally.count else 0.0}
    return found


def e_value(log: float) -> float:
    """The e-value, capped so that it stays a number that JSON can hold."""
    return math.exp(min(log, 300.0))
