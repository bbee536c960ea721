"""One connection over a pair of sockets: what is refused, and when it ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from serving.connections import Connection
from serving.exchange import Exchange
from serving.memory import Memory
from serving.server import Limits, Server

HEAD = b"GET /ping HTTP/1.1\r\n%b\r\n"


def said(sent: bytes, crowded: bool = False, look: Callable[[Connection, float], Any] | None = None) -> bytes:
    """The answers until the connection ends."""

    async def go() -> bytes:
        loop = asyncio.get_running_loop()
        memory = Memory.create(1)
        memory.crowded = crowded

        def handle(exchange: Exchange) -> None:
            exchange.answer(200, exchange.path)

        def refused(status: int, problem: str) -> bytes:
            return json.dumps(problem).encode()

        server = Server(
            *(handle, refused, memory.counts(0), memory.states, lambda: None), crowded=lambda: memory.crowded
        )
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        connection = Connection(server, 0, ours, lambda _: None)
        await loop.connect_accepted_socket(lambda: connection, ours)
        if sent:
            await loop.sock_sendall(theirs, sent)
            await asyncio.sleep(0.05)
        if look:
            look(connection, connection._since)
        else:
            theirs.shutdown(socket.SHUT_WR)
        found = b""
        while part := await asyncio.wait_for(loop.sock_recv(theirs, 65536), 5):
            found += part
        theirs.close()
        return found

    return asyncio.run(go())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 50, 5000])
def test_headers_are_held_to_the_limit_and_not_to_what_comes_at_once(lines: int):
    room = Limits().head - len("/ping")
    each = room // lines - len("a: \r\n") + 1
    fits = b"".join(b"a: %b\r\n" % (b"b" * (each - 1)) for _ in range(lines))
    assert len(fits) <= room
    assert status(said(HEAD % fits)) == 200
    over = fits + b"a: %b\r\n" % (b"b" * (room - len(fits)))
    assert status(said(HEAD % over)) == 431
    assert b"larger than 65,536 bytes" in said(HEAD % over)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://host/ping", b"/ping"),
        (b"HTTPS://host:8080/v2/models/m?x=http://y", b"/v2/models/m"),
        (b"http://host", b"/"),
        (b"http://host?x=/1", b"/"),
        (b"/http://host/ping", b"/http://host/ping"),
        (b"*", b"*"),
    ],
)
def test_a_target_with_its_host_is_the_path_of_it(target: bytes, path: bytes):
    method = b"OPTIONS" if target == b"*" else b"GET"
    assert said(method + b" " + target + b" HTTP/1.1\r\nConnection: close\r\n\r\n").rpartition(b"\r\n\r\n")[2] == path


@pytest.mark.parametrize("sent", [b"", HEAD % b""])
@pytest.mark.parametrize(("crowded", "seconds"), [(False, Limits().idle), (True, Limits().crowded)])
def test_a_connection_that_nobody_uses_ends_sooner_while_others_wait(sent: bytes, crowded: bool, seconds: float):
    looked: list[bool] = []

    def look(connection: Connection, since: float) -> None:
        for late in (-0.1, 0.1):
            connection.look(since + seconds + late)
            looked.append(connection._ending)

    assert said(sent, crowded, look).count(b"200 OK") == len(sent[:1])
    assert looked == [False, True]
