"""The time of a cluster: that of its API server, by the dates of its answers.

    clock = ServerClock()
    clock.learn("Sat, 29 Nov 2025 05:59:42 GMT", took=0.02)
    clock.time()

Whoever carries a rollout on asks the API server anyway. So controllers on machines whose clocks differ agree on when a
trial began and when its time is over, and an hour that only one machine believes in ends no trial.

Source: RFC 9110, section 6.6.1 (Date).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

TOLERATED = 5.0
"""Seconds by which clocks may differ before the server's counts: a date has whole seconds, and comes late."""
_SLOW = 2.0  # seconds of a call after which its date says too little
_JITTER = 2.0  # seconds by which two dates of the same clock may seem to differ


@dataclass
class ServerClock:
    """`Clock` of an API server. May be used by several threads at once.

    Attributes:
        ahead: By how many seconds the server's clock is ahead of this machine's; 0 when they are about the same.
        now: The machine's clock, epoch seconds.
    """

    ahead: float = 0.0
    now: Callable[[], float] = time.time

    def learn(self, date: str | None, took: float) -> None:
        """What the server's answer says of its clock.

        Args:
            date: Of its answer; None when it has none.
            took: How long the answer took, seconds.
        """
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
