"""Periodic work of the leader."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Rounds:
    """Iterations for several threads of the controller, each with its own interval."""

    names: Callable[[], Collection[str]]
    leads: Callable[[], bool]
    stopping: threading.Event

    def every(self, seconds: float) -> Iterator[Collection[str] | None]:
        """The endpoints after each pause, until `stopping` is set; None while another process leads."""
        while not self.stopping.wait(seconds):
            yield self.names() if self.leads() else None
