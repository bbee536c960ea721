"""Which day of the data was it when something happened?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

_APART_S = 0.25  # two notes nearer than this tell nothing more


@dataclass
class Clock:
    """Pairs of a real time (epoch seconds) and the time of the events that were sent then, both ascending."""

    notes: list[tuple[float, float]] = field(default_factory=list)

    def note(self, now: float, at: datetime) -> None:
        """An event of time `at` is sent now."""
        if not self.notes or now - self.notes[-1][0] >= _APART_S:
            self.notes.append((now, at.timestamp()))

    def at(self, now: float) -> float:
        """The time of the events (epoch seconds) at a real time; before the first note and after the last, that one's.

        Raises:
            ValueError: Nothing was noted.
        """
        if not self.notes:
            raise ValueError("no event was sent, so no time has a day")
        real, told = zip(*self.notes, strict=True)
        return float(np.interp(now, real, told))
