"""What a release was trained on, sealed in its package as `reference.json`: the profile, and how its blocks differed.

    reference = Reference.from_dict(json.loads(text))
    monitor = reference.monitor(0.05, 3600.0)    # a DriftMonitor

The form is that of `monitoring.statistics.profile`, with `null` beside its fields, the form of `shift.Null`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from monitoring.drift.shift import YEAR, DriftMonitor, Null, Promise
from monitoring.statistics.blocks import Cut
from monitoring.statistics.profile import Profile, an_object


@dataclass(frozen=True)
class Reference:
    """What drift is measured against.

    Attributes:
        profile: What the training data looked like.
        null: How its blocks differed from one another.
    """

    profile: Profile
    null: Null

    @classmethod
    def from_dict(cls, value: object) -> Reference:
        """Read the content of a package's `reference.json`.

        Raises:
            UnreadableProfile: It has another form.
        """
        return cls(Profile.from_dict(value), Null.from_dict(an_object(value, "reference").get("null")))

    def as_dict(self) -> dict[str, Any]:
        """The content of `reference.json`."""
        return {**self.profile.as_dict(), "null": self.null.as_dict()}

    def monitor(self, false_alarms: float, every: float, state: object = None) -> DriftMonitor:
        """Judge rows as they come.

        Args:
            false_alarms: How many are tolerated a year, above 0 and below 1.
            every: Seconds a block at least, where training's rows had no times and so tell no span.
            state: `as_dict` of the monitor that was here before.

        Raises:
            ValueError: The state is of another form, or of another reference.
        """
        null = self.null if self.null.cut.span else replace(self.null, cut=Cut(every, self.null.cut.rows))
        return DriftMonitor(self.profile, null, Promise(false_alarms, YEAR / null.cut.span), state)
