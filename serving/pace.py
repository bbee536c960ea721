"""Are a model's predictions so quick that they may run on the event loop?

pace = Pace(quick=0.010)
pace.note(0.0002)            # seconds of a batch that has run
pace.quick                   # True: so may the next one
"""

from __future__ import annotations

_FORGETS = 0.8  # what a batch still counts after the next one


class Pace:
    """How long the last batches took, older ones counting less.

    After a slow batch the next one is taken for slow. After a second slow one those that follow are, until both count
    for little. One alone tells nothing of the model: on a busy machine a quick prediction waits for a core, too.

    Args:
        quick: Seconds that a quick batch takes at most.
    """

    def __init__(self, quick: float) -> None:
        self._limit = quick
        self._slowest = self._second = 0.0
        self.quick = True
        """Whether the next batch is taken for quick."""

    def note(self, seconds: float) -> None:
        """Take the seconds of a batch that has run."""
        slowest, second = _FORGETS * self._slowest, _FORGETS * self._second
        self._slowest, self._second = (seconds, slowest) if seconds > slowest else (slowest, max(seconds, second))
        self.quick = seconds <= self._limit and self._second <= self._limit
