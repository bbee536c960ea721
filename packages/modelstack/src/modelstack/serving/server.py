"""The state that the connections of one process share: limits, times, and the drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from modelstack.serving.exchange import Exchange
from modelstack.serving.metrics import Counts

_DRAINING = 1.0  # seconds without a request after which a connection is closed at a drain


@dataclass(frozen=True)
class Limits:
    """The limits of one request and connection; times are in seconds, sizes in bytes.

    Attributes:
        head: A request's target and headers.
        fields: A request's headers and trailers, as many as Envoy and Apache accept.
        chunks: Of a body, sent so or split on the way: each costs time, in which no other request is read.
        buffered: Of all connections of a process: requests that arrive or wait, and answers that clients do not read.
            Beyond it, connections that take the most, for the longest time, are ended.
        arrival: From a request's first byte to its last; also for a client to read an answer.
        idle: Between requests, more than the platform's own limit, so that it never sends a request on a connection
            that is being closed here.
        pipelined: Requests that may wait on one connection.
    """

    body: int = 6 * 1024 * 1024
    head: int = 64 * 1024
    fields: int = 100
    chunks: int = 10_000
    buffered: int = 16 * 1024 * 1024
    arrival: float = 20.0
    idle: float = 120.0
    pipelined: int = 16


class Looked(Protocol):
    """A connection, as its server sees it."""

    def look(self, now: float) -> None:
        """Time out."""

    def cost(self, now: float) -> float:
        """What it takes of the memory, by time."""
        ...

    def shed(self) -> None:
        """Take none any more."""


class Server:
    """Shared by the connections of one process.

    Args:
        handle: Called with each whole request; it answers the exchange now or later.
        refused: Called with the status and problem of each request that is refused here; returns a body.
        states: Shared memory, a byte a connection, for the supervisor when this process ends.
        since: The same, the time of its last answer, for the supervisor when there are too many connections.
        drained: Called when the last connection of a drain has ended.
        named: A header line for each answer, or none.
    """

    def __init__(
        self,
        handle: Callable[[Exchange], None],
        refused: Callable[[int, str], bytes],
        counts: Counts,
        states: memoryview,
        drained: Callable[[], None],
        *,
        since: memoryview[float],
        named: bytes = b"",
    ) -> None:
        self._drained = drained
        self.named = named
        self.handle = handle
        self.refused = refused
        self.counts = counts
        self.limits = Limits()
        self.states = states
        self.since = since
        self.buffered = 0
        self.connections: set[Looked] = set()
        self.draining_since = 0.0
        self.idle = self.limits.idle
        self.date = b""
        self._loop = asyncio.get_running_loop()
        self.soon = self._loop.call_soon
        self._tick()

    def drain(self) -> None:
        """Answer pending requests and those on open connections, and close each connection once it is idle."""
        self.draining_since = time.monotonic()
        self._tick()

    def hold(self, more: int) -> None:
        """Count bytes that a connection takes, and end those that take the most when all take too many."""
        self.buffered += more
        if more <= 0 or self.buffered <= self.limits.buffered:
            return
        now = time.monotonic()
        for connection in sorted(self.connections, key=lambda one: one.cost(now), reverse=True):
            if self.buffered <= self.limits.buffered * 3 // 4:
                return
            connection.shed()

    def _tick(self) -> None:
        now = time.monotonic()
        self.date = formatdate(usegmt=True).encode()
        self.idle = _DRAINING if self.draining_since else self.limits.idle
        for connection in list(self.connections):
            connection.look(now)
        self.counts.put("connections", len(self.connections))
        if self.draining_since and not self.connections:
            self._drained()
        else:
            self._loop.call_later(0.1 if self.draining_since else 1.0, self._tick)
