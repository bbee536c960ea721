"""HTTP/1.1 on one connection: answers in order, and limits on slow or malformed clients.

llhttp (httptools), which Node.js uses too, parses the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from socket import socket as Socket
from typing import Any

import httptools

from modelstack.serving.exchange import JSON, Exchange
from modelstack.serving.memory import BUSY, IDLE, WRITING
from modelstack.serving.server import Server

LINGERING = 2.0
"""Seconds for a client to read why its request was refused."""

_PIECE = 8 * 1024  # bytes that are parsed at once: the most that a request may hold before it is counted
_LINE = 64  # bytes of a head that are neither target nor headers
_FIELD = 100  # bytes of memory of a header or a part of a body in addition to its own
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
        self._parser: Any = httptools.HttpRequestParser(self)
        self._since = time.monotonic()  # of an arriving request's first byte, or of becoming idle
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._ending = False
        self._deaf_since = 0.0  # input is discarded, so that the client can read the refusal before the connection ends
        self._writing_since = 0.0
        self._held = self._queued = self._unsent = 0  # bytes: of all kinds, of waiting bodies, and of a slow answer
        self._unparsed = memoryview(b"")
        self._completed = False  # whether a request has ended since other connections had a turn
        self._piece = 0  # bytes of what is parsed now
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._lines: list[tuple[bytes, bytes]] = []  # headers, and after them trailers
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = self._head = 0
        self._rest = self._piece  # bytes that may belong to this request, but are not in `_head`
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
        self._waiting.clear()
        self._unparsed = memoryview(b"")
        self._begin()
        self._queued = self._unsent = 0
        self._parser = None  # else both stay, with what they hold, until the garbage collector finds the cycle
        self._hold(0)
        self._closed(self._slot)

    def data_received(self, data: bytes) -> None:
        """Parse bytes."""
        if self._ending or self._deaf_since:
            return
        if len(data) <= _PIECE:
            self._parse(data)
            return
        self._unparsed = memoryview(data)
        self._transport.pause_reading()
        self._continue()

    def _continue(self) -> None:
        """Parse more pieces, up to the first one that ends a request: then other connections have a turn."""
        self._completed = False
        while self._unparsed and not self._completed:
            part, self._unparsed = self._unparsed[:_PIECE], self._unparsed[_PIECE:]
            self._parse(part)
        if self._ending or self._deaf_since:
            self._unparsed = memoryview(b"")
        self._account()
        if self._unparsed:
            self._server.soon(self._continue)
        elif not self._writing_since and not self._ending:
            self._transport.resume_reading()

    def _parse(self, data: bytes | memoryview) -> None:
        if not self._receiving:
            self._since = time.monotonic()
            if not self._unsent:
                self._server.states[self._slot] = BUSY
        rest: bytes | memoryview = b""
        while data and not self._ending and not self._deaf_since:
            self._piece = len(data)
            self._head += self._piece
            try:
                self._parser.feed_data(data)
                data, rest = rest, b""
            except httptools.HttpParserUpgrade as upgrade:
                data, rest = self._without_upgrade(), memoryview(data)[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(400, f"this is not HTTP/1.1: {error}")
        if self._receiving:
            if not self._unsent:
                self._server.states[self._slot] = BUSY
            self._check_head()
            self._account()
        elif self._held:
            self._account()

    def pause_writing(self) -> None:
        """Read and answer nothing more while the client does not read."""
        self._writing_since = time.monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue."""
        self._writing_since = 0.0
        self._unsent = 0
        if self._ending:
            return
        self._server.states[self._slot] = BUSY  # until the next answer, if there is one
        self._account()
        if not self._unparsed:
            self._transport.resume_reading()
        self._server.soon(self._next)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note that a request begins to arrive, perhaps after another one in the same piece."""
        self._receiving = True

    def on_url(self, url: bytes) -> None:
        """Append a part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header or trailer."""
        self._lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse what cannot be answered before its body arrives."""
        if self._deaf_since:
            return
        limits, lines = self._server.limits, self._lines
        if len(lines) > limits.fields:
            self._check_head()
            return
        headers = self._headers = dict(lines)
        if len(headers) < len(lines):
            headers.clear()
            for name, value in lines:
                headers[name] = headers[name] + b", " + value if name in headers else value  # one list (RFC 9110, 5.3)
        size = self._head + self._rest  # at least that of the head
        if size > limits.head:
            size = len(self._target) + sum(len(name) + len(value) + 4 for name, value in lines)
        self._lines = []
        self._arriving = Exchange(self, self._parser.get_method(), self._target, headers)
        length = headers.get(b"content-length", b"0")
        if size > limits.head:
            self._refuse_head()
        elif self._arriving.method == b"CONNECT":
            self._refuse(405, "method CONNECT is not allowed: this server is no proxy")
        elif b"transfer-encoding" in headers and (headers[b"transfer-encoding"].lower() != b"chunked" or self._old()):
            self._refuse(400, "the transfer encoding is not allowed: expected chunked, in HTTP/1.1")
        elif length.isdigit() and (len(length) > 20 or int(length) > limits.body):
            self._refuse(413, f"the body is larger than {limits.body:,} bytes")
        elif b"expect" in headers and headers[b"expect"].lower() == b"100-continue" and not self._old():
            self._invite()

    def _old(self) -> bool:
        return self._parser.get_http_version() == "1.0"

    def _invite(self) -> None:
        """Tell a client to send its body, unless an earlier answer must leave first."""
        if self._current is None and not self._writing_since and not self._waiting:
            with contextlib.suppress(OSError):
                self._socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_head(self) -> None:
        """Refuse a head, or trailers, that are too long, before they end."""
        limits = self._server.limits
        if len(self._lines) > limits.fields:
            self._refuse(431, f"more than {limits.fields} headers were sent")
        elif self._head > limits.head + _LINE:
            self._refuse_head()

    def on_body(self, body: bytes) -> None:
        """Append a part of the body."""
        if self._deaf_since:
            return
        self._size += len(body)
        self._parts.append(body)  # parts of one size leave no holes in the heap, as one buffer that grows would
        self._head, self._rest = 0, self._piece
        limits = self._server.limits
        if len(self._parts) > limits.chunks:
            self._refuse(400, f"the body has more than {limits.chunks:,} chunks")
        elif self._size > limits.body:
            self._refuse(413, f"the body is larger than {limits.body:,} bytes")

    def on_message_complete(self) -> None:
        """Handle the request, after those before it."""
        if self._parser.should_upgrade():
            return
        exchange = self._arriving
        if len(self._lines) > self._server.limits.fields:
            self._check_head()
        if exchange is None or self._deaf_since:
            return
        exchange.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        exchange.keep_alive = self._parser.should_keep_alive()
        exchange.of_1_0 = self._parser.get_http_version() == "1.0"
        exchange.begun = time.monotonic()
        self._completed = True
        self._begin()
        if self._current is None and not self._writing_since and not self._waiting:
            self._current = exchange
            self._server.handle(exchange)
        elif len(self._waiting) < self._server.limits.pipelined:
            self._waiting.append(exchange)
            self._queued += _size(exchange)
        else:
            self._refuse(400, f"more than {self._server.limits.pipelined} requests wait on this connection")

    def _without_upgrade(self) -> bytes:
        """The head of a request for HTTP/2 or a web socket, without the upgrade, which a server may refuse.

        The parser stops at such a head, and Java's client sends one with its first request.
        """
        method, target, headers = self._parser.get_method(), self._target, self._headers
        self._parser = httptools.HttpRequestParser(self)
        self._piece = 0
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
        self._since = server.since[self._slot] = time.monotonic()
        if self._waiting:
            self._next()
        else:
            self._settle()

    def _next(self) -> None:
        """Handle the next request that waits."""
        if self._current is not None or self._writing_since or self._ending:
            return
        if not self._waiting:
            self._settle()
            return
        self._current = self._waiting.popleft()
        self._queued -= _size(self._current)
        self._account()
        self._server.handle(self._current)

    def _account(self) -> None:
        """Report the bytes of memory that this connection takes: its arriving request, waiting ones, and an answer."""
        held = self._queued + self._unsent + len(self._unparsed)
        if self._receiving:
            items = len(self._lines) + len(self._headers) + len(self._parts)
            held += self._head + self._rest + self._size + items * _FIELD
        self._hold(held)

    def _hold(self, held: int) -> None:
        more, self._held = held - self._held, held
        self._server.hold(more)

    def cost(self, now: float) -> float:
        """The memory that it takes, by the time that it has taken it."""
        return self._held * (now - (self._writing_since or self._since) + 0.001)

    def shed(self) -> None:
        """Free this memory."""
        self._waiting.clear()
        self._unparsed = memoryview(b"")
        self._queued = 0
        if self._unsent:
            self._ending = True
            self._transport.abort()
        else:
            self._refuse(503, "too many bytes arrive: send it again in a second", b"Retry-After: 1\r\n")
        self._hold(0)

    def look(self, now: float) -> None:
        """Time out a request that arrives, an answer that is read, and an idle connection."""
        limits, draining = self._server.limits, self._server.draining_since
        if self._writing_since and now - self._writing_since > limits.arrival:
            self._transport.abort()
        elif self._deaf_since and self._current is None and not self._waiting:
            if now - self._deaf_since > LINGERING:
                self._end()
        elif self._receiving and now - self._since > limits.arrival:
            self._refuse(408, f"the request did not arrive within {limits.arrival:g} s")
        elif self._idle(now - max(self._since, draining)):
            self._end()

    def _idle(self, seconds: float) -> bool:
        """Whether it was idle for too long. A client that uses it at this moment sees the end, and loses nothing."""
        free = self._current is None and not self._waiting and not self._receiving and not self._ending
        return free and seconds > self._server.idle

    def _settle(self) -> None:
        """Note in shared memory that this process has no part of a request, if that is so."""
        if self._current is None and not self._receiving and not self._waiting and not self._writing_since:
            self._server.states[self._slot] = IDLE

    def _refuse_head(self) -> None:
        self._refuse(431, f"the headers are larger than {self._server.limits.head:,} bytes")

    def _refuse(self, status: int, problem: str, also: bytes = b"") -> None:
        """Answer a request that will not be read further, after those before it, and end the connection."""
        if self._ending or self._deaf_since:
            return
        self._deaf_since = time.monotonic()
        body = self._server.refused(status, problem)
        newest = self._waiting[-1] if self._waiting else self._current
        if newest is None:
            self._write(status, body, JSON, also, length=len(body), last=True)
        else:
            newest.keep_alive = False
        self._begin()
        self._parser = httptools.HttpRequestParser(self)  # the old one may hold a part of a header

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
            self._unsent += len(answer) - sent
            self._transport.write(answer[sent:])
            self._account()

    def _end(self) -> None:
        self._ending = True
        self._transport.close()


def _size(exchange: Exchange) -> int:
    return len(exchange.body) + _FIELD * len(exchange.headers) + sum(map(len, exchange.headers.values()))
