"""What monitors publish on either platform: single values, and the values of many answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Datum:
    """One value of one metric.

    Attributes:
        variant: Empty for the endpoint as a whole.
        unit: `Count` of a number that adds up, `None` of a level.
        at: Epoch seconds.
        feature: None for the variant as a whole.
        segment: `column=value`; None for all.
    """

    name: str
    variant: str
    value: float
    unit: str
    at: float
    feature: str | None = None
    segment: str | None = None


@dataclass(frozen=True)
class Values:
    """Values of one metric, one per answer, at an epoch second.

    Attributes:
        rollout: The trial during which the variant answered; empty outside of one.
        counts: How often each value occurred; None: once.
    """

    name: str
    variant: str
    rollout: str
    values: Sequence[float]
    at: float
    counts: Sequence[int] | None = None


class Metrics(Protocol):
    """The store of metrics."""

    def put(self, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
        """Publish values; `once` names them, so that a repetition is recognised where `repeatable`.

        Raises:
            modelstack.rollout.core.errors.Unreachable: Some of them may have been published.
            modelstack.rollout.core.errors.RolloutError: None of them were published.
        """

    @property
    def repeatable(self) -> bool:
        """Whether a second `put` with the same name changes nothing."""
        return False
