"""A change of an alarm's state, on either platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

Measure = Literal["errors", "latency"]
"""Which measure of the answers an alarm watches, under the name that the rollout judge uses."""


@dataclass(frozen=True)
class Said:
    """Why an alarm is in its state, in the platform's words; `value` is the newest one, None if unknown."""

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
    """One change of an alarm's state to `OK`, `ALARM` or `INSUFFICIENT_DATA`.

    Attributes:
        at: When the state changed, epoch seconds; None if the event does not say.
        endpoint: None if the alarm's metrics name no endpoint, or several; likewise `variant`.
        metrics: `namespace/name` of each metric that it watches.
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
        """The reason of a rollback that this alarm causes."""
        told = {"value": self.said.value, "threshold": self.said.threshold}
        numbers = {name: number for name, number in told.items() if number is not None}
        return Reason("alarm", self.name, self.said.text, numbers, Kind.ALARM)


@dataclass(frozen=True)
class NotAnAlarm:
    """A part of an event that is no change of an alarm's state, and why not."""

    why: str
