"""Whether a model's predictions are fast enough for the event loop."""

from __future__ import annotations

_FORGETS = 0.8  # the weight of a batch after the next one


class Pace:
    """How long the last batches took, older ones with less weight; a fast one takes `quick` seconds at most.

    One slow batch affects only the next: on a busy machine a fast prediction waits for a core, too. After a second one
    predictions count as slow until both have lost their weight.
    """

    def __init__(self, quick: float) -> None:
        self._limit = quick
        self._slowest = self._second = 0.0
        self.quick = True
        """Whether the next batch is expected to be fast."""

    def note(self, seconds: float) -> None:
        """Record the seconds of a batch."""
        slowest, second = _FORGETS * self._slowest, _FORGETS * self._second
        self._slowest, self._second = (seconds, slowest) if seconds > slowest else (slowest, max(seconds, second))
        self.quick = seconds <= self._limit and self._second <= self._limit
