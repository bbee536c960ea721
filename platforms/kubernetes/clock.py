"""The time of a cluster, from the Date header of its API server's responses.

So controllers on machines with different clocks agree on when a trial began and when it times out.

Source: RFC 9110, section 6.6.1 (Date).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

TOLERATED = 5.0  # seconds of difference that are ignored: a Date has whole seconds, and responses take time
_SLOW = 2.0  # seconds of a call after which its date says too little
_JITTER = 2.0  # seconds by which two dates of the same clock may seem to differ


@dataclass
class ServerClock:
    """`Clock` of an API server, `ahead` of this machine's by so many seconds, 0 within the tolerance. Thread-safe."""

    ahead: float = 0.0
    now: Callable[[], float] = time.time

    def learn(self, date: str | None, took: float) -> None:
        """Update from the Date of a response, None if it has none, that took so many seconds."""
        try:
            told = parsedate_to_datetime(date).timestamp() if date and took <= _SLOW else None
        except ValueError:
            return
        if told is None:
            return
        ahead = told - self.now()
        if abs(ahead) <= TOLERATED:
            self.ahead = 0.0
        elif abs(ahead - self.ahead) > _JITTER:
            self.ahead = ahead

    def time(self) -> float:
        """Epoch seconds."""
        return self.now() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
