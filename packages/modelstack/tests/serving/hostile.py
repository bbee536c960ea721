"""Hostile clients of an HTTP server, and honest ones next to them.

    python packages/modelstack/tests/serving/hostile.py PORT PATH CONNECTIONS SECONDS < BODY

Each connection attacks in one of the ways of `ATTACKS`, again and again, on a new connection after the server has ended
it. BODY is a valid request of JSON, which honest clients send. Prints one line of JSON: how many requests they sent,
how many were answered with 200, and their slowest answer in seconds. It needs Python's own library alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

LARGEST = 6 * 1024 * 1024
_HONEST = 8
_PAUSE, _PATIENCE = 0.1, 20.0

Send = Callable[[bytes], Awaitable[None]]


class Attacks:
    """The ways; each is given what sends bytes, and returns when there is nothing more to send."""

    def __init__(self, path: str, body: bytes) -> None:
        self._post = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
        self._get = f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode()
        self._valid = self._post + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def silent(self, send: Send) -> None:
        """Nothing."""

    async def half_head(self, send: Send) -> None:
        """A head that does not end, at once."""
        await send(self._post + b"X-A: " + b"a" * 50_000)

    async def slow_head(self, send: Send) -> None:
        """A header a second."""
        await send(self._post)
        for number in itertools.count():
            await send(b"X-%d: %d\r\n" % (number, number))
            await asyncio.sleep(1)

    async def many_headers(self, send: Send) -> None:
        """As many short headers as fit."""
        await send(self._get + b"".join(b"%x:\r\n" % number for number in range(9000)))

    async def slow_body(self, send: Send) -> None:
        """A large body, a kilobyte a second."""
        await send(self._post + b"Content-Length: %d\r\n\r\n" % LARGEST + b" " * 60_000)
        while True:
            await send(b" " * 1000)
            await asyncio.sleep(1)

    async def large_body(self, send: Send) -> None:
        """A large body, all of it except for the last byte, at once."""
        await send(self._post + b"Content-Length: %d\r\n\r\n" % LARGEST + b" " * (LARGEST - 1))

    async def small_chunks(self, send: Send) -> None:
        """A body in chunks of two bytes."""
        await send(self._post + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            await send(b"2\r\n  \r\n" * 10_000)

    async def trailers(self, send: Send) -> None:
        """Trailers without an end."""
        await send(self._post + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        for number in itertools.count():
            await send(b"".join(b"X-%d-%d: a\r\n" % (number, one) for one in range(2000)))

    async def never_reading(self, send: Send) -> None:
        """Valid requests in a row, whose answers are not read."""
        while True:
            await send(self._valid * 10)

    async def pipelined(self, send: Send) -> None:
        """Very many requests at once."""
        await send((self._get + b"\r\n") * 3000)

    async def upgrades(self, send: Send) -> None:
        """Very many wishes for another protocol at once."""
        await send((self._get + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n") * 2000)

    async def used_once(self, send: Send) -> None:
        """One valid request, and then nothing."""
        await send(self._valid)

    async def bomb(self, send: Send) -> None:
        """A body whose values take many times its bytes."""
        body = b'{"instances":[' + b"{}," * (LARGEST // 3 - 10) + b"{}]}"
        await send(self._post + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def ways(self) -> Sequence[Callable[[Send], Awaitable[None]]]:
        """All of them."""
        return [
            *(self.silent, self.half_head, self.slow_head, self.many_headers, self.slow_body, self.large_body),
            *(self.small_chunks, self.trailers, self.never_reading, self.pipelined, self.upgrades, self.used_once),
            self.bomb,
        ]


async def attack(port: int, way: Callable[[Send], Awaitable[None]]) -> None:
    """Attack in one way until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(OSError), socket.socket() as client:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(client, ("127.0.0.1", port))
            sending = asyncio.ensure_future(way(partial(_send, client)))
            try:
                await sending
                while await loop.sock_recv(client, 65536):
                    pass
            finally:
                sending.cancel()
        await asyncio.sleep(_PAUSE)


async def _send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)
    await asyncio.sleep(0)  # a socket that takes everything would leave the other attackers no time


class Honest(threading.Thread):
    """A client that sends a request ten times a second, on one connection or on a new one each time."""

    def __init__(self, port: int, path: str, body: bytes, until: float, *, reconnects: bool) -> None:
        super().__init__()
        self._port, self._path, self._body, self._until, self._reconnects = port, path, body, until, reconnects
        self.sent = self.answered = 0
        self.slowest = 0.0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        while time.monotonic() < self._until:
            begun = time.monotonic()
            self.sent += 1
            for last in (self._reconnects, True):  # an idle connection may end at any time: the next one is new
                try:
                    connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    self.answered += answer.status == 200
                    break
                except (OSError, http.client.HTTPException):
                    connection.close()
                    if last:
                        break
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if self._reconnects:
                connection.close()
            time.sleep(_PAUSE)
        connection.close()


async def main(port: int, path: str, connections: int, seconds: float) -> None:
    """Attack, and print what became of the honest requests."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, connections + 500), most))
    body = sys.stdin.buffer.read()
    ways = itertools.cycle(Attacks(path, body).ways())
    attackers = [asyncio.ensure_future(attack(port, next(ways))) for _ in range(connections)]
    until = time.monotonic() + seconds
    honest = [Honest(port, path, body, until, reconnects=bool(number % 2)) for number in range(_HONEST)]
    for client in honest:
        client.start()
    await asyncio.to_thread(lambda: [client.join() for client in honest])
    for attacker in attackers:
        attacker.cancel()
    sent, answered = sum(one.sent for one in honest), sum(one.answered for one in honest)
    print(json.dumps({"sent": sent, "answered": answered, "slowest": max(one.slowest for one in honest)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
