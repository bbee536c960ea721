"""The clock of every platform."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
