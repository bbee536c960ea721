"""The latest answers of the serving runtime, compared with a bare ASGI app's at half of that one's greatest load.

Client and server share the machine, with each other and with whatever else runs. So both get the same load, in
turns, and the row reports how long server and client waited for a core that others had.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rows import Row, sized
from bench.servers import Asked, Server, runtime, uvicorn
from modelstack.cli.loadtest import Load

_TURNS, _SECONDS, _CONNECTIONS = 6, 3.0, 8

_Measured = tuple[float, Asked]
"""Requests a second that were asked for, and what came of it."""


@dataclass(frozen=True)
class _Tail:
    """What the turns of one server came to: medians of them, seconds.

    Attributes:
        rate: Requests a second that were asked for.
        p50: Half of the answers came within it.
        p99: Of a hundred answers, 99 did.
        server: Share of the time that the server waited for a core.
        client: Share of the time that the client did.
    """

    rate: float
    p50: float
    p99: float
    server: float
    client: float

    @classmethod
    def of(cls, turns: Sequence[_Measured]) -> _Tail:
        loads = [asked for _, asked in turns]
        return cls(
            statistics.median(rate for rate, _ in turns),
            statistics.median(one.found.at(50) for one in loads),
            statistics.median(one.found.at(99) for one in loads),
            statistics.median(one.server.waited / one.found.seconds for one in loads),
            statistics.median(one.client.waited / one.found.seconds for one in loads),
        )

    def __str__(self) -> str:
        return (
            f"{self.rate:,.0f} a second: p50 {self.p50 * 1e3:.2f} ms, p99 {self.p99 * 1e3:.2f} ms, the server waited "
            f"for a core {self.server:.0%} of the time, the client {self.client:.0%}"
        )


def rows(folder: Path, ours: Mapping[str, str], body: bytes) -> list[Row]:
    """p99 over a bare ASGI app's, both at half of that one's greatest load. A smaller p50 is no fault.

    Args:
        folder: The unpacked package.
        ours: The runtime's environment.
        body: A request of one row.
    """
    with runtime(ours) as plain, uvicorn("asgi", "asgi_app", folder) as peer:
        turns = [_turn(plain, peer, body) for _ in range(sized(_TURNS, 1))]
    own, other = (_Tail.of(each) for each in zip(*turns, strict=True))
    told = f"{_CONNECTIONS} connections, {own}; a bare ASGI app as well, {other}"
    return [Row("serving_p99_vs_asgi_ort", round(own.p99 / other.p99, 2), "ratio", "<= 1", told)]


def _turn(plain: Server, peer: Server, body: bytes) -> tuple[_Measured, _Measured]:
    """Both at half of what the peer can do at this moment."""
    rate = _greatest(peer, body) / 2
    return _measured(plain, body, rate), _measured(peer, body, rate)


def _greatest(server: Server, body: bytes) -> float:
    return server.asked(body, Load(seconds=_seconds() / 2, connections=_CONNECTIONS)).found.per_second


def _measured(server: Server, body: bytes, rate: float) -> _Measured:
    return rate, server.asked(body, Load(rate=rate, seconds=_seconds(), connections=_CONNECTIONS))


def _seconds() -> float:
    return _SECONDS if sized(2, 1) > 1 else 0.3
