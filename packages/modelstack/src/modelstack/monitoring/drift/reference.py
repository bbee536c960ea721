"""The training reference of a release, sealed in its package as `reference.json`: its profile and its null."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from modelstack.monitoring.drift.shift import YEAR, DriftMonitor, Null, Promise
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.profile import Profile, an_object


@dataclass(frozen=True)
class Reference:
    """The baseline of drift: the profile of the training data, and how its blocks differed from one another."""

    profile: Profile
    null: Null

    @classmethod
    def from_dict(cls, value: object) -> Reference:
        """Read the content of `reference.json`; raises UnreadableProfile if it has another form."""
        return cls(Profile.from_dict(value), Null.from_dict(an_object(value, "reference").get("null")))

    def as_dict(self) -> dict[str, Any]:
        """The content of `reference.json`: the form of `Profile` with the additional field `null`."""
        return {**self.profile.as_dict(), "null": self.null.as_dict()}

    def monitor(self, false_alarms: float, every: float, state: object = None) -> DriftMonitor:
        """A monitor that judges rows as they arrive; `state` is the `as_dict` of an earlier one to continue from.

        `false_alarms` per year are tolerated, above 0 and below 1. A block lasts at least `every` seconds if the
        training rows had no times. Raises ValueError if the state is of another form or reference.
        """
        null = self.null if self.null.cut.span else replace(self.null, cut=Cut(every, self.null.cut.rows))
        return DriftMonitor(self.profile, null, Promise(false_alarms, YEAR / null.cut.span), state)
