"""Attacks on the controller's port: held, slow, large and many requests."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from modelstack.platforms.kubernetes.program import listening
from modelstack.platforms.kubernetes.program.listening import MOST_CONNECTIONS, MOST_HEAD, MOST_HEADERS
from tests.platforms.kubernetes.program.test_web import served

pytestmark = pytest.mark.slow
POST = b"POST /wake/flights HTTP/1.1\r\nHost: c\r\nContent-Length: 1000000\r\n"
"""A request, to which the end of its head is missing."""
GET = b"GET /metrics HTTP/1.1\r\nHost: c\r\n"
ENDS = 20.0
"""Seconds that a test waits for the end of a connection."""


def held(client: httpx.Client, *parts: bytes) -> socket.socket:
    """A connection that sent these parts, and is open."""
    connection = socket.create_connection(("127.0.0.1", client.base_url.port or 0))
    connection.settimeout(ENDS)
    for part in parts:
        connection.sendall(part)
    return connection


def ended(connection: socket.socket) -> bytes:
    """Everything that the server sends until it ends the connection."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


def answer(client: httpx.Client, path: bytes) -> bytes:
    """The answer on a new connection."""
    with held(client, b"GET /" + path + b" HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n") as connection:
        return ended(connection)


def rss() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def opened(client: httpx.Client, count: int, parts: Iterable[bytes], stack: ExitStack) -> list[socket.socket]:
    found: list[socket.socket] = []
    for _ in range(count):
        try:
            found.append(stack.enter_context(held(client, *parts)))
        except ConnectionError:  # ended while it sent
            continue
    return found


@contextmanager
def refusing() -> Generator[httpx.Client]:
    """A controller that knows no token of the caller."""
    with served(captures=lambda *_: None, admits=lambda *_: False) as client:
        yield client


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (POST,),
        (POST, b"\r\n" + bytes(900_000)),
        (POST.replace(b"wake/flights", b"captures/flights/v"), b"\r\n" + bytes(900_000)),
        (GET, b"Content-Length: 1000000\r\n\r\n" + bytes(900_000)),
        (GET, b"X: " + b"x" * 200_000),
    ],
    ids=["nothing", "half a head", "half a body", "half a capture", "a get with a body", "an endless header"],
)
def test_a_thousand_held_requests_cost_little_memory_and_health_is_answered(parts: tuple[bytes, ...]) -> None:
    with refusing() as client, ExitStack() as stack:
        assert client.get("/healthz").status_code == 200
        before = rss()
        opened(client, 1000, parts, stack)
        for path in (b"healthz", b"readyz", b"metrics"):
            assert b" 200 " in answer(client, path)
        assert rss() - before < 100 * 2**20  # if kept, 200 MB at least; the rest is other work of this process


def test_the_connection_that_waited_longest_makes_room_for_a_new_one() -> None:
    with served() as client, ExitStack() as stack:
        first, *others = opened(client, MOST_CONNECTIONS, (b"GET",), stack)
        assert b" 200 " in answer(client, b"healthz")
        assert ended(first) == b""
        others[-1].sendall(b" /healthz HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n")
        assert ended(others[-1]).endswith(b"ok\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /heal",
        GET,
        POST + b"\r\n",  # answered with 401 at once, and the body goes on
        b"GET /healthz HTTP/1.1\r\nHost: c\r\n\r\nGET /hea",
    ],
    ids=["nothing", "a target", "a head", "a body that nobody reads", "a second request"],
)
def test_a_client_that_sends_byte_by_byte_is_ended(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REQUEST_SECONDS", 0.3)
    with refusing() as client, held(client, sent) as connection:
        until = time.monotonic() + ENDS
        connection.settimeout(0.05)
        while time.monotonic() < until:
            try:
                connection.sendall(b"x")
                if not connection.recv(65536):
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    raise AssertionError("the connection is open")


def test_a_client_that_does_not_read_its_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REQUEST_SECONDS", 0.3)
    with served(measured=lambda: "x" * 20_000_000) as client, held(client, GET + b"\r\n") as connection:
        time.sleep(1.5)
        assert len(ended(connection)) < 20_000_000


def test_an_answer_may_take_longer_than_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REQUEST_SECONDS", 0.2)

    def measured() -> str:
        time.sleep(0.6)
        return "modelstack_accuracy_sum 3\n"

    with served(measured=measured) as client:
        assert "modelstack_accuracy_sum 3\n" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (GET + b"X: " + b"x" * MOST_HEAD + b"\r\n\r\n", b"too large"),
        (GET + b"X: " + b"x" * MOST_HEAD, b"too large"),
        (b"GET /" + b"x" * MOST_HEAD, b"too large"),
        (GET + b"a: b\r\n" * MOST_HEADERS + b"\r\n", b"too large"),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 10, b"Content-Length"),
        ((GET + b"\r\n") * 20_000, b"before the answer"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"Invalid HTTP"),
    ],
    ids=["a header", "half a header", "a target", "headers", "trailers", "many at once", "no HTTP"],
)
def test_what_would_take_memory_is_refused_by_the_head(sent: bytes, why: bytes) -> None:
    with refusing() as client:
        try:
            connection = held(client, sent)
        except ConnectionError:  # the server ended it before all was sent
            return
        with connection:
            found = ended(connection)
        assert not found or (b" 400 " in found.partition(b"\r\n")[0] and why in found)
        assert client.get("/healthz").status_code == 200
