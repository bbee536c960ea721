"""How good was an answer, and how good were those of a day?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstack.cli.errors import OperatorError
from modelstack.monitoring.labels.quality import LOG_LOSS, Form

Losses = dict[str, float]
"""Event's id -> loss of the answer to it, nats."""


@dataclass(frozen=True)
class Day:
    """The mean losses of one day, of each policy on the same events.

    Attributes:
        day: UTC, YYYY-MM-DD.
        events: How many events have an answer by every policy.
        means: Policy -> mean loss.
    """

    day: str
    events: int
    means: Mapping[str, float]


def form(model: Path) -> Form:
    """What the answers of a model mean.

    Args:
        model: Its folder.

    Raises:
        OperatorError: It does not say, or its answers have no probability.
    """
    try:
        found = Form.from_dict(json.loads((model / "answer.json").read_bytes()))
    except (OSError, ValueError) as error:
        raise OperatorError(f"{model}/answer.json: {error}", "See docs/reference/model.md.", 2) from error
    if found.probability is None:
        raise OperatorError(f"{model}/answer.json names no probability, so there is no log-loss", None, 2)
    return found


def loss(said: Form, prediction: Mapping[str, Any], label: Any) -> float:
    """The log-loss of a prediction, as it is published too: within 0 and 5 nats."""
    return said.losses(said.said(prediction), said.label(label))[LOG_LOSS]


def by_day(policies: Mapping[str, Losses], day_of: Mapping[str, str], days: Sequence[str]) -> list[Day]:
    """The mean loss of each day, over the events that every policy has an answer to.

    Args:
        policies: Policy -> its losses.
        day_of: Event's id -> its day.
        days: The days in order; one without events is left out.
    """
    shared = set(day_of).intersection(*policies.values())
    sums = {day: dict.fromkeys(policies, 0.0) for day in days}
    counts = dict.fromkeys(days, 0)
    for name in shared:
        day = day_of[name]
        if day in counts:
            counts[day] += 1
            for policy, losses in policies.items():
                sums[day][policy] += losses[name]
    return [
        Day(day, counts[day], {policy: total / counts[day] for policy, total in sums[day].items()})
        for day in days
        if counts[day]
    ]


def smoothed(days: Sequence[Day], policy: str, width: int = 7) -> list[tuple[str, float]]:
    """The mean over each day and the days before it, by events."""
    found: list[tuple[str, float]] = []
    for place, day in enumerate(days):
        some = days[max(0, place - width + 1) : place + 1]
        total = sum(one.events for one in some)
        found.append((day.day, sum(one.events * one.means[policy] for one in some) / total))
    return found
