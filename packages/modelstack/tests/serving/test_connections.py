"""One connection over a pair of sockets: what is refused, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import socket
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from modelstack.serving.connections import LINGERING, Connection
from modelstack.serving.exchange import Exchange
from modelstack.serving.memory import IDLE, WRITING, Memory
from modelstack.serving.server import Limits, Server

HEAD = b"GET /ping HTTP/1.1\r\n%b\r\n"


def new_server(handle: Callable[[Exchange], None]) -> Server:
    """A server in the running loop, which answers what it refuses with the problem."""
    memory = Memory.create(1)

    def refused(status: int, problem: str) -> bytes:
        return json.dumps(problem).encode()

    return Server(handle, refused, memory.counts(0), memory.states, lambda: None, since=memory.since)


def said(
    sent: bytes,
    look: Callable[[Connection, float], Any] | None = None,
    handled: Callable[[Exchange], Any] = lambda exchange: None,
) -> bytes:
    """The answers until the connection ends."""

    async def go() -> bytes:
        loop = asyncio.get_running_loop()

        def handle(exchange: Exchange) -> None:
            handled(exchange)
            exchange.answer(200, exchange.path)

        server = new_server(handle)
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
@pytest.mark.parametrize("lines", [1, 50, 99])
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
def test_a_connection_that_nobody_uses_ends(sent: bytes):
    looked: list[bool] = []

    def look(connection: Connection, since: float) -> None:
        for late in (-0.1, 0.1):
            connection.look(since + Limits().idle + late)
            looked.append(connection._ending)

    assert said(sent, look).count(b"200 OK") == len(sent[:1])
    assert looked == [False, True]


POST = b"POST /x HTTP/1.1\r\nHost: x\r\n%b\r\n%b"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("name", "sent", "found"),
    [
        ("too many headers", HEAD % (b"a: b\r\n" * 101), [431]),
        ("too many trailers", POST % (CHUNKED, b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n"), [431]),
        ("one long trailer", POST % (CHUNKED, b"0\r\na: " + b"b" * 70_000), [431]),
        ("long trailers", POST % (CHUNKED, b"0\r\n" + (b"a: " + b"b" * 7000 + b"\r\n") * 10), [431]),
        ("a long chunk extension", POST % (CHUNKED, b"1;a=" + b"b" * 70_000), [431]),
        ("a short chunk extension", POST % (CHUNKED, b"1;a=b\r\nx\r\n0;c\r\n\r\n"), [200]),
        ("length and chunks", POST % (CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), [400]),
        ("chunks and length", POST % (b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"), [400]),
        ("two lengths", POST % (b"Content-Length: 5\r\n" * 2, b"x" * 5), [400]),
        ("a list of lengths", POST % (b"Content-Length: 5, 5\r\n", b"x" * 5), [400]),
        ("a length with a sign", POST % (b"Content-Length: +5\r\n", b"x" * 5), [400]),
        ("a length with many digits", POST % (b"Content-Length: %b\r\n" % (b"0" * 5000 + b"5"), b"x" * 5), [413]),
        ("a large length", POST % (b"Content-Length: 99999999999\r\n", b""), [413]),
        ("a length of one byte too many", POST % (b"Content-Length: %d\r\n" % (Limits().body + 1), b""), [413]),
        ("a large body in chunks", POST % (CHUNKED, (b"F4240\r\n" + b"x" * 1_000_000 + b"\r\n") * 7), [413]),
        ("a length beyond 64 bits", POST % (b"Content-Length: 99999999999999999999999\r\n", b""), [400]),
        ("a folded line", HEAD % b"a: b\r\n c\r\n", [400]),
        ("a folded encoding", POST % (b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"), [400]),
        ("lines without returns", b"GET /ping HTTP/1.1\nHost: x\n\n", [400]),
        ("a header without a return", b"GET /ping HTTP/1.1\r\nHost: x\n\r\n", [400]),
        ("a return within a header", HEAD % b"a: b\rc: d\r\n", [400]),
        ("a zero byte", HEAD % b"a: b\0c\r\n", [400]),
        ("a space before the colon", POST % (b"Content-Length : 5\r\n", b"x" * 5), [400]),
        ("very many chunks", POST % (CHUNKED, b"1\r\nx\r\n" * 10_001), [400]),
        ("a chunk without a return", POST % (CHUNKED, b"1\nx\r\n0\r\n\r\n"), [400]),
        ("a chunk that is too long", POST % (CHUNKED, b"1\r\nxyz\r\n0\r\n\r\n"), [400]),
        ("a chunk in hexadecimal", POST % (CHUNKED, b"0x1\r\nx\r\n0\r\n\r\n"), [400]),
        ("a chunk beyond 64 bits", POST % (CHUNKED, b"F" * 17 + b"\r\nx"), [400]),
        ("a coding before chunks", POST % (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), [400]),
        ("codings in two lines", POST % (b"Transfer-Encoding: identity\r\n" + CHUNKED, b"0\r\n\r\n"), [400]),
        ("no coding", POST % (b"Transfer-Encoding: identity\r\n", b""), [400]),
        ("chunks in HTTP/1.0", b"POST /x HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n", [400]),
        ("an unknown version", b"GET /ping HTTP/3.7\r\n\r\n", [400]),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
        ("an unknown method", b"BREW /ping HTTP/1.1\r\n\r\n", [400]),
        ("a tunnel", b"CONNECT x:1 HTTP/1.1\r\n\r\n" + HEAD % b"", [405]),
        ("data after the last request", (HEAD % b"Connection: close\r\n") + HEAD % b"", [200]),
        (
            "an upgrade with a body",
            POST % (b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n", b"GET / HTT") + HEAD % b"",
            [200, 200],
        ),
        ("an expectation", POST % (b"Expect: 100-continue\r\nContent-Length: 1\r\n", b"x"), [100, 200]),
        ("an expectation of HTTP/1.0", b"GET /ping HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", [200]),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_request_that_two_servers_could_read_differently_or_that_takes_too_much_is_refused(
    name: str, sent: bytes, found: list[int]
):
    assert [int(one) for one in re.findall(rb"HTTP/1.1 (\d+)", said(sent))] == found


def test_what_is_no_http_is_told_so():
    assert b"this is not HTTP/1.1" in said(b"hello\r\n\r\n")


def test_chunks_are_one_body_and_a_trailer_is_no_header():
    seen: list[Exchange] = []
    sent = POST % (b"a: 1\r\na: 2\r\n" + CHUNKED, b"1\r\nx\r\n2\r\nyz\r\n0\r\nA: 3\r\nb: 4\r\n\r\n")
    said(sent, handled=seen.append)
    assert [(one.headers[b"a"], b"b" in one.headers, bytes(one.body)) for one in seen] == [(b"1, 2", False, b"xyz")]


def test_very_many_upgrades_at_once_end_the_connection_only_after_the_last_answer():
    upgrade = HEAD % b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert b"Connection: close" in said(upgrade * 1500).rpartition(b"HTTP/1.1")[2]


async def served_by(server: Server, slot: int) -> socket.socket:
    """The client's end of a new connection."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: Connection(server, slot, ours, lambda _: None), ours)
    return theirs


def test_bytes_beyond_the_limit_of_all_connections_end_those_that_hold_the_most():
    async def go() -> list[bytes]:
        loop = asyncio.get_running_loop()
        server = new_server(lambda exchange: exchange.answer(200, exchange.path))
        clients = [await served_by(server, slot) for slot in range(8)]
        part = Limits().buffered // 6
        for client in clients[1:]:
            await loop.sock_sendall(client, POST % (b"Content-Length: 6000000\r\n", b"x" * part))
        await loop.sock_sendall(clients[0], HEAD % b"Connection: close\r\n")
        await asyncio.sleep(0.05)
        assert server.buffered <= Limits().buffered
        found = [await loop.sock_recv(client, 65536) if number < 2 else b"" for number, client in enumerate(clients)]
        for client in clients:
            client.close()
        await asyncio.sleep(0.05)
        assert server.buffered == 0, "what has ended holds nothing"
        return found

    honest, first, *_ = asyncio.run(go())
    assert (status(honest), status(first)) == (200, 503)
    assert b"Retry-After: 1" in first


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_client_that_does_not_read_is_read_no_further_and_answered_once_it_reads(size: int):
    handled: list[bytes] = []

    async def go() -> int:
        loop = asyncio.get_running_loop()

        def handle(exchange: Exchange) -> None:
            handled.append(exchange.path)
            exchange.answer(200, b"x" * 1_000_000)

        server = new_server(handle)
        client = await served_by(server, 0)
        request = POST % (b"Content-Length: %d\r\n" % size, b"x" * size)
        sending = asyncio.ensure_future(loop.sock_sendall(client, request * 10))
        await asyncio.sleep(0.05)
        assert (len(handled), 0 < server.buffered < 1_500_000, sending.done()) == (1, True, not size)
        assert server.states[0] == WRITING, "the supervisor must not add an answer of its own"
        found = 0
        while found < 10_000_000:
            found += len(await asyncio.wait_for(loop.sock_recv(client, 1 << 20), 5))
        assert (server.buffered, server.states[0]) == (0, IDLE)
        client.close()
        return found

    asyncio.run(go())
    assert len(handled) == 10


def test_a_connection_that_has_ended_holds_no_memory_until_the_garbage_is_collected():
    async def go() -> bool:
        loop, server = asyncio.get_running_loop(), new_server(lambda _: None)
        client = await served_by(server, 0)
        await loop.sock_sendall(client, POST % (b"Content-Length: 99\r\n", b"x"))
        await asyncio.sleep(0.05)
        (found,) = map(weakref.ref, server.connections)
        client.close()
        await asyncio.sleep(0.05)
        return found() is None

    gc.disable()
    try:
        assert asyncio.run(go())
    finally:
        gc.enable()


def test_a_client_with_very_many_requests_at_once_lets_others_have_their_turn():
    handled: list[int] = []

    async def go() -> None:
        def handle(exchange: Exchange) -> None:
            handled.append(server.buffered)
            exchange.answer(200, b"")

        server = new_server(handle)
        client = await served_by(server, 0)
        (connection,) = server.connections
        assert isinstance(connection, Connection)
        connection.data_received(HEAD % (b"a: " + b"b" * 500 + b"\r\n") * 200)
        assert (0 < len(handled) < 50, server.buffered > 50_000) == (True, True)
        async with asyncio.timeout(60):
            while len(handled) < 200:
                await asyncio.sleep(0)
        assert (len(handled), server.buffered) == (200, 0)
        client.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("name", "sent", "seconds", "found"),
    [
        ("a head that does not end", HEAD[:-6], Limits().arrival, [408]),
        ("a body that does not end", POST % (b"Content-Length: 9\r\n", b"x"), Limits().arrival, [408]),
        ("trailers that do not end", POST % (CHUNKED, b"1\r\nx\r\n0\r\na: b\r\n"), Limits().arrival, [408]),
        ("a client that does not hang up", HEAD % (b"a: b\r\n" * 101), LINGERING, [431]),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_who_takes_too_long_is_refused_and_cut_off(name: str, sent: bytes, seconds: float, found: list[int]):
    def look(connection: Connection, since: float) -> None:
        connection.look(since + seconds - 0.1)
        assert not connection._ending and bool(connection._deaf_since) == (found == [431])
        for _ in range(2):
            connection.look(time.monotonic() + seconds + 0.1)

    assert [int(one) for one in re.findall(rb"HTTP/1.1 (\d+)", said(sent, look))] == found


@pytest.mark.parametrize("ended", ["by time", "to free memory"])
def test_an_answer_that_is_not_read_is_cut_off_and_nothing_is_appended_to_it(ended: str):
    async def go() -> bytes:
        loop = asyncio.get_running_loop()
        server = new_server(lambda exchange: exchange.answer(200, b"x" * 5_000_000))
        client = await served_by(server, 0)
        (connection,) = server.connections
        await loop.sock_sendall(client, HEAD % b"")
        await asyncio.sleep(0.05)
        if ended == "by time":
            connection.look(time.monotonic() + Limits().arrival - 0.1)
            assert server.buffered > 1_000_000
            connection.look(time.monotonic() + Limits().arrival + 0.1)
        else:
            connection.shed()
        await asyncio.sleep(0.05)
        assert (server.buffered, server.connections) == (0, set())
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := await asyncio.wait_for(loop.sock_recv(client, 1 << 20), 5):
                found += part
        client.close()
        return found

    found = asyncio.run(go())
    assert (found.count(b"HTTP/1.1"), len(found) < 5_000_000) == (1, True)


def test_requests_that_wait_on_one_connection_are_counted_until_they_are_handled():
    exchanges: list[Exchange] = []

    async def go() -> None:
        loop, server = asyncio.get_running_loop(), new_server(exchanges.append)
        client = await served_by(server, 0)
        body = b"x" * 500_000
        await loop.sock_sendall(client, POST % (b"Content-Length: %d\r\n" % len(body), body) * 5)
        await asyncio.sleep(0.05)
        assert (len(exchanges), 2_000_000 < server.buffered < 2_100_000) == (1, True)
        for number in range(5):
            exchanges[number].answer(200, b"")
        assert (len(exchanges), server.buffered) == (5, 0)
        assert server.since[0] > 0, "a connection without an answer makes room for others"
        client.close()

    asyncio.run(go())


def test_a_client_that_waits_for_leave_to_send_gets_no_word_before_the_answer_to_its_earlier_request():
    exchanges: list[Exchange] = []

    async def go() -> bytes:
        loop, server = asyncio.get_running_loop(), new_server(exchanges.append)
        client = await served_by(server, 0)
        await loop.sock_sendall(client, HEAD % b"" + POST % (b"Expect: 100-continue\r\nContent-Length: 1\r\n", b""))
        await asyncio.sleep(0.05)
        exchanges[0].answer(200, b"")
        found = await asyncio.wait_for(loop.sock_recv(client, 65536), 5)
        client.close()
        return found

    assert status(asyncio.run(go())) == 200


def test_memory_of_headers_and_chunks_counts_more_than_their_bytes():
    async def go() -> list[int]:
        loop, found = asyncio.get_running_loop(), list[int]()
        server = new_server(lambda _: None)
        for sent in (b"".join(b"%d:\r\n" % one for one in range(90)), CHUNKED + b"\r\n" + b"1\r\nx\r\n" * 90):
            client, before = await served_by(server, 0), server.buffered
            await loop.sock_sendall(client, b"POST /x HTTP/1.1\r\n" + sent)
            await asyncio.sleep(0.05)
            found.append(server.buffered - before)
            client.close()
            await asyncio.sleep(0.05)
        return found

    assert all(held > 9000 for held in asyncio.run(go()))


def test_of_two_connections_the_one_that_held_its_memory_for_longer_makes_room():
    async def go() -> list[bool]:
        loop, server = asyncio.get_running_loop(), new_server(lambda _: None)
        clients = [await served_by(server, slot) for slot in range(2)]
        for part, client in zip((b"x" * 5_000_000, b"x" * 5_900_000), clients, strict=True):
            await loop.sock_sendall(client, POST % (b"Content-Length: 6000000\r\n", part))
            await asyncio.sleep(0.05)
        now = time.monotonic()
        slow, fast = sorted(
            (one for one in server.connections if isinstance(one, Connection)), key=lambda one: one._size
        )
        slow._since = now - 10
        server.hold(Limits().buffered - 10_500_000)
        for client in clients:
            client.close()
        return [bool(one._deaf_since) for one in (slow, fast)]

    assert asyncio.run(go()) == [True, False]


def test_the_answer_to_a_head_request_has_the_length_of_the_body_and_none():
    head, _, body = said(b"HEAD /ping HTTP/1.1\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")
    assert (b"Content-Length: 5" in head, body) == (True, b"")


def test_a_client_that_sends_no_more_gets_its_answer_and_then_the_end():
    exchanges: list[Exchange] = []

    async def go() -> bytes:
        loop, server = asyncio.get_running_loop(), new_server(exchanges.append)
        client = await served_by(server, 0)
        await loop.sock_sendall(client, HEAD % b"")
        client.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.05)
        exchanges[0].answer(200, b"last")
        found = b""
        while part := await asyncio.wait_for(loop.sock_recv(client, 65536), 5):
            found += part
        return found

    assert asyncio.run(go()).endswith(b"last")


def test_a_drain_ends_a_connection_after_its_next_answer_or_once_it_is_idle_for_a_second():
    async def go() -> tuple[bytes, list[bool]]:
        loop, server = asyncio.get_running_loop(), new_server(lambda exchange: exchange.answer(200, b""))
        used, idle = [await served_by(server, slot) for slot in range(2)]
        now = time.monotonic()
        for connection in server.connections:
            assert isinstance(connection, Connection)
            connection._since = now - 60
        server.drain()
        await loop.sock_sendall(used, HEAD % b"")
        found = await asyncio.wait_for(loop.sock_recv(used, 65536), 5)
        await asyncio.sleep(0.05)
        (left,) = server.connections
        assert isinstance(left, Connection)
        ended: list[bool] = []
        for late in (0.5, 1.1):
            left.look(server.draining_since + late)
            ended.append(left._ending)
        used.close()
        idle.close()
        return found, ended

    found, ended = asyncio.run(go())
    assert (b"Connection: close" in found, ended) == (True, [False, True])
