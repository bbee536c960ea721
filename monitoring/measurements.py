"""What monitors publish, on whatever platform: single values, and the values of many answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Datum:
    """One value of one metric.

    Attributes:
        name: The metric.
        variant: Which variant it is about; empty for the endpoint as a whole.
        value: Its value.
        unit: `Count` of a number that adds up, `None` of a level.
        at: Epoch seconds.
        feature: Which feature it is about; None for the variant as a whole.
        segment: Which segment it is about, `column=value`; None for all.
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
    """Values of one metric, one an answer.

    Attributes:
        name: The metric.
        variant: Which variant answered.
        rollout: In whose trial it answered; empty outside of one.
        values: The values.
        at: Epoch seconds.
        counts: How often each value occurred; None: once.
    """

    name: str
    variant: str
    rollout: str
    values: Sequence[float]
    at: float
    counts: Sequence[int] | None = None


class Metrics(Protocol):
    """Where metrics go."""

    @property
    def repeatable(self) -> bool:
        """Whether a second `put` of the same name changes nothing."""
        ...

    def put(self, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
        """Publish values.

        Args:
            data: Single values.
            values: Values of answers.
            once: A name of these values, by which a repetition is known where `repeatable`; empty: they have none.

        Raises:
            rollout.core.errors.Unreachable: Some of them may have been published, or not.
            rollout.core.errors.RolloutError: None of them were published.
        """
        ...
