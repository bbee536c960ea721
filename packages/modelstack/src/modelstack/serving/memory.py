"""The shared memory of the supervisor and its workers: counts, heartbeats, and the state of each connection."""

from __future__ import annotations

import mmap
import os
import tempfile

from modelstack.serving.metrics import BYTES, Counts

IDLE, BUSY, WRITING = 0, 1, 2
"""States of a connection: no request; a request whose answer has not begun to leave; or a partly sent answer, which
only its worker can end."""
MOST_CONNECTIONS = 1024
"""Open connections of all workers; beyond it, one that has waited for an answer for long makes room for the next."""


class Memory:
    """The shared memory behind a descriptor, mapped into this process; the supervisor's counts are the last."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self.descriptor = descriptor
        self._workers = workers
        counted = (workers + 1) * BYTES
        whole = memoryview(mmap.mmap(descriptor, _size(workers)))
        self._counts = whole[:counted]
        self._beats, self._blocked = (
            whole[counted + part * workers * 8 : counted + (part + 1) * workers * 8].cast("d") for part in range(2)
        )
        connections = whole[counted + 2 * workers * 8 :]
        self.since = connections[: MOST_CONNECTIONS * 8].cast("d")
        self.states = connections[MOST_CONNECTIONS * 8 :]

    @classmethod
    def create(cls, workers: int) -> Memory:
        """Create it, zeroed."""
        if hasattr(os, "memfd_create"):  # no file, because a container's disk may be read-only
            descriptor = os.memfd_create("serving")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.truncate(descriptor, _size(workers))
        return cls(descriptor, workers)

    def counts(self, worker: int) -> Counts:
        """The counts of a worker; number `workers` is the supervisor."""
        return Counts(self._counts, worker)

    def every(self) -> list[Counts]:
        """The counts of all workers and of the supervisor."""
        return [self.counts(worker) for worker in range(self._workers + 1)]

    def beat(self, worker: int, now: float) -> None:
        """Record that a worker's loop runs."""
        self._beats[worker] = now

    def beaten(self, worker: int) -> float:
        """A worker's last heartbeat, by `time.monotonic`."""
        return self._beats[worker]

    def block(self, worker: int, since: float) -> None:
        """Record since when a prediction blocks a worker's loop; 0 for none."""
        self._blocked[worker] = since

    def blocked(self, worker: int) -> float:
        """Since when one does, by `time.monotonic`; 0 for none."""
        return self._blocked[worker]


def _size(workers: int) -> int:
    return (workers + 1) * BYTES + 2 * workers * 8 + 9 * MOST_CONNECTIONS
