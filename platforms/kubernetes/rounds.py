"""When does this process look at the endpoints of its namespace? Again and again, while it holds the Lease.

for names in Rounds(lambda: process.names, lambda: process.leads, stopping).every(5.0):
...                                     # None: another process does it
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Rounds:
    """What several threads of the controller go by, each with a pause of its own.

    Attributes:
        names: The endpoints of the namespace.
        leads: Whether this process holds the Lease.
        stopping: Ends them, after what is under way.
    """

    names: Callable[[], Collection[str]]
    leads: Callable[[], bool]
    stopping: threading.Event

    def every(self, seconds: float) -> Iterator[Collection[str] | None]:
        """The endpoints after each pause, until all is to end; None while another process leads."""
        while not self.stopping.wait(seconds):
            yield self.names() if self.leads() else None
