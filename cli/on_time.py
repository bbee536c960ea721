"""Let an event loop wake within microseconds of a given time, where epoll knows whole milliseconds only.

with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(OnTime())) as runner:
    runner.run(...)
"""

from __future__ import annotations

import select
import selectors


class OnTime(selectors.DefaultSelector):
    """Waits by `select`, then asks the system's own selector what is there.

    A request that is sent late would seem slow. Waiting awake for the right moment instead takes a core, which the
    server then misses: on two cores that others use, too, answers came ten times later for it.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait up to so many seconds; None for as long as it takes."""
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)
