"""An alarm that has changed its state, whoever watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rollout.kinds import Kind
from rollout.reason import Reason

Measure = Literal["errors", "latency"]
"""What an alarm says of the answers of a variant, as a judge of rollouts calls it."""


@dataclass(frozen=True)
class Said:
    """Why an alarm is in its state.

    Attributes:
        text: The platform's own words, with no full stop of their own.
        value: The newest value that the state rests on; None when it is not known which that is.
        threshold: The alarm's threshold; None when that is not told.
    """

    text: str
    value: float | None = None
    threshold: float | None = None

    @property
    def brief(self) -> str:
        """Value and threshold where they are known, else the platform's own words."""
        if self.value is None:
            return self.text
        return f"value {self.value:.4g}" + (f", threshold {self.threshold:.4g}" if self.threshold is not None else "")


@dataclass(frozen=True)
class Alarm:
    """One change of an alarm's state.

    Attributes:
        name: The alarm's name.
        state: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
        said: Why, by the platform.
        at: When the state changed, epoch seconds; None when the event does not tell.
        endpoint: The endpoint that its metrics are about; None when they name none, or several.
        variant: The variant that its metrics are about; None when they name none, or several.
        metrics: `namespace/name` of each metric that it watches.
        measure: What it says of the answers; None when it is another thing.
    """

    name: str
    state: str
    said: Said
    at: float | None
    endpoint: str | None
    variant: str | None
    metrics: tuple[str, ...]
    measure: Measure | None = None

    @property
    def reason(self) -> Reason:
        """What a rollback because of it says."""
        told = {"value": self.said.value, "threshold": self.said.threshold}
        numbers = {name: number for name, number in told.items() if number is not None}
        return Reason("alarm", self.name, self.said.text, numbers, Kind.ALARM)


@dataclass(frozen=True)
class NotAnAlarm:
    """A part of an event that is no change of an alarm's state, and why not."""

    why: str
