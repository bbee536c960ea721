"""HTTP/1.1 on one connection: answers in order, and limits on slow or malformed clients.

llhttp (httptools), which Node.js uses too, parses the bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from socket import socket as Socket
from typing import Any

import httptools

from serving.exchange import JSON, Exchange
from serving.memory import BUSY, IDLE, WRITING
from serving.server import Server

LINGERING = 2.0
"""Seconds for a client to read why its request was refused."""

_HOP_BY_HOP = {b"connection", b"upgrade", b"http2-settings"}
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Connection(asyncio.Protocol):
    """One connection; `closed` is called once with its slot when it has ended.

    An answer is written to the socket at once, not at the end of the loop's round, so that it has left before the
    next one is made, whatever that does to this process.
    """

    def __init__(self, server: Server, slot: int, socket: Socket, closed: Callable[[int], None]) -> None:
        self._server = server
        self._socket = socket
        self._slot = slot
        self._closed = closed
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._since = time.monotonic()  # of an arriving request's first byte, or of becoming idle
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._ending = False
        self._deaf_since = 0.0  # input is discarded, so that the client can read the refusal before the connection ends
        self._writing_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = self._head = self._counted = 0
        self._arriving: Exchange | None = None
        self._receiving = False

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        self._server.connections.add(self)

    def eof_received(self) -> bool:
        """A client that sends no more may still read: pending answers are sent."""
        newest = self._waiting[-1] if self._waiting else self._current
        if newest is None:
            self._end()
            return False
        newest.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._server.connections.discard(self)
        self._ending = True
        self._closed(self._slot)

    def data_received(self, data: bytes) -> None:
        """Parse bytes."""
        if self._ending or self._deaf_since:
            return
        if not self._receiving:
            self._receiving = True
            self._since = time.monotonic()
            self._server.states[self._slot] = BUSY
        if self._arriving is None:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.data_received(self._without_upgrade() + data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(400, f"this is not HTTP/1.1: {error}")
        else:
            if self._head > self._server.limits.head and self._arriving is None:
                self._refuse_head()

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._writing_since = time.monotonic()

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._writing_since = 0.0
        self._settle()

    # What the parser calls.

    def on_url(self, url: bytes) -> None:
        """Append a part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self._headers[name.lower()] = value
        self._counted += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Refuse a body that is too large before it arrives."""
        self._arriving = Exchange(self, self._parser.get_method(), self._target, self._headers)
        length = self._headers.get(b"content-length", b"0")
        if self._counted + len(self._target) > self._server.limits.head:
            self._refuse_head()
        elif length.isdigit() and int(length) > self._server.limits.body:
            self._refuse(413, f"the body is larger than {self._server.limits.body:,} bytes")
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Append a part of the body."""
        self._size += len(body)
        if self._size > self._server.limits.body:
            self._refuse(413, f"the body is larger than {self._server.limits.body:,} bytes")
        elif not self._deaf_since:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """Handle the request, after those before it."""
        if self._parser.should_upgrade():
            return
        exchange = self._arriving
        if exchange is None or self._deaf_since:
            return
        exchange.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        exchange.keep_alive = self._parser.should_keep_alive()
        exchange.of_1_0 = self._parser.get_http_version() == "1.0"
        exchange.begun = time.monotonic()
        self._begin()
        if self._current is None:
            self._current = exchange
            self._server.handle(exchange)
        elif len(self._waiting) < self._server.limits.pipelined:
            self._waiting.append(exchange)
        else:
            self._refuse(400, f"more than {self._server.limits.pipelined} requests wait on this connection")

    def _without_upgrade(self) -> bytes:
        """The head of a request for HTTP/2 or a web socket, without the upgrade, which a server may refuse.

        The parser stops at such a head, and Java's client sends one with its first request.
        """
        method, target, headers = self._parser.get_method(), self._target, self._headers
        self._parser = httptools.HttpRequestParser(self)
        self._begin()
        lines = (b"%b: %b\r\n" % item for item in headers.items() if item[0] not in _HOP_BY_HOP)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))

    # What the rest of the runtime calls.

    def answered(self, exchange: Exchange, status: int, body: bytes, kind: bytes, also: bytes) -> None:
        """Send an answer, then handle the next request of this connection."""
        if exchange is not self._current:
            return
        server = self._server
        self._current = None
        last = not exchange.keep_alive or (bool(server.draining_since) and not self._waiting)
        if (
            exchange.of_1_0 and not last
        ):  # who does not read that takes the end of the connection for that of the answer
            also += b"Connection: keep-alive\r\n"
        self._write(status, b"" if exchange.method == b"HEAD" else body, kind, also, length=len(body), last=last)
        if last:
            self._end()
            return
        self._since = time.monotonic()
        if self._waiting:
            self._current = self._waiting.popleft()
            server.handle(self._current)
        else:
            self._settle()

    def look(self, now: float) -> None:
        """Time out a request that arrives, an answer that is read, and an idle connection."""
        limits, draining = self._server.limits, self._server.draining_since
        if self._writing_since and now - self._writing_since > limits.arrival:
            self._transport.abort()
        elif self._deaf_since and self._current is None:
            if now - self._deaf_since > LINGERING:
                self._end()
        elif self._receiving and now - self._since > limits.arrival:
            self._refuse(408, f"the request did not arrive within {limits.arrival:g} s")
        elif self._idle(now - max(self._since, draining)):
            self._end()

    def _idle(self, seconds: float) -> bool:
        """Whether it was idle for too long. A client that uses it at this moment sees the end, and loses nothing."""
        free = self._current is None and not self._receiving and not self._ending
        return free and seconds > self._server.idle

    def _settle(self) -> None:
        """Note in shared memory that this process has no part of a request, if that is so."""
        if self._current is None and not self._receiving and not self._waiting and not self._writing_since:
            self._server.states[self._slot] = IDLE

    def _refuse_head(self) -> None:
        self._refuse(431, f"the headers are larger than {self._server.limits.head:,} bytes")

    def _refuse(self, status: int, problem: str) -> None:
        """Answer a request that will not be read further, after those before it, and end the connection."""
        if self._ending or self._deaf_since:
            return
        self._deaf_since = time.monotonic()
        body = self._server.refused(status, problem)
        newest = self._waiting[-1] if self._waiting else self._current
        if newest is None:
            self._write(status, body, JSON, b"", length=len(body), last=True)
            self._receiving = False
        else:
            newest.keep_alive = False

    def _write(self, status: int, body: bytes, kind: bytes, also: bytes, *, length: int, last: bool) -> None:
        answer = b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b%b\r\n%b" % (
            status,
            _REASONS.get(status, b"Unknown"),
            self._server.date,
            kind,
            length,
            self._server.named,
            also,
            b"Connection: close\r\n" if last else b"",
            body,
        )
        sent = 0
        if not self._writing_since:
            try:
                sent = self._socket.send(answer)
            except BlockingIOError:
                pass
            except OSError:  # the client has gone; the transport will notice
                return
        if sent < len(answer):
            self._server.states[self._slot] = WRITING
            self._transport.write(answer[sent:])

    def _end(self) -> None:
        self._ending = True
        self._transport.close()
