"""The controller's HTTP server: uvicorn, with limits on each connection, request head and time.

uvicorn limits none of these by itself, and its `limit_concurrency` would also refuse health checks.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_CONNECTIONS = 256
MOST_HEAD, MOST_HEADERS = 16 * 1024, 100
"""Maximum bytes of a request's target and headers, and the maximum number of headers."""
REQUEST_SECONDS = 15.0
"""Maximum seconds in which a client sends a whole request, from the answer before or the connection's begin, and in
which it reads an answer."""
_MOST_READ = 64 * 1024  # bytes that asyncio reads from a connection at a time; its default is 256 KiB
_BACKLOG = 128
_END_SECONDS = 2  # for which calls under way may continue after a stop


class _Refused(Exception):
    """The request is answered with 400; the message says why. The parser passes it to uvicorn as a parser error."""


class Connection(HttpToolsProtocol):
    """A connection that is ended if its client is slow, or if there are too many and it has waited longest."""

    _timer: asyncio.TimerHandle | None = None  # runs while the client has to send or to read
    _head = _fields = 0  # bytes of a head that has not arrived whole, and of all headers
    _is_head = True
    _is_whole = False
    _why = ""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        setattr(transport, "max_size", _MOST_READ)  # noqa: B010 - an attribute of asyncio's own transports
        self._wait()
        if len(self.connections) > MOST_CONNECTIONS:
            waiting = [one for one in self.connections if isinstance(one, Connection) and one.ends]
            min(waiting, key=lambda one: one.ends).transport.abort()

    @property
    def ends(self) -> float:
        """When its client is too slow; 0 while the client has nothing to send or to read."""
        return self._timer.when() if self._timer is not None else 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_head and not self.transport.is_closing():
            self._head += len(data)
            if self._head > MOST_HEAD:
                self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(self._why or msg or "The head of the request is too large.")

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            raise self._refused("A request must not be sent before the answer to the one before.")
        self._head, self._fields, self._is_head, self._is_whole = 0, 0, True, False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"transfer-encoding":
            raise self._refused("A request must have its length: Content-Length, not Transfer-Encoding.")
        self._fields += len(name) + len(value)
        if self._fields > MOST_HEAD or len(self.headers) >= MOST_HEADERS:
            raise self._refused("The head of the request is too large.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_whole = True
        if self.cycle.response_complete:
            self._wait()
        else:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self.cycle.body = bytearray()  # frees a body that the application did not read
        if self._is_whole:
            self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refused(self, why: str) -> _Refused:
        self._why = why
        return _Refused(why)


class NotListening(Exception):
    """The port cannot be bound; the message says why."""


@dataclass(frozen=True)
class Listening:
    """A running server."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    @classmethod
    def at(cls, host: str, port: int, app: Any) -> Listening:
        """Start an ASGI application at an address, empty for all, and a port, 0 for a free one; raises NotListening."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise NotListening(f"BIND_HOST {host}, PORT {port}: {error}") from error
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="listening", daemon=True)
        thread.start()
        return cls(server, thread, bound.getsockname()[1])

    def stop(self, seconds: float) -> None:
        """Accept no more requests, and let current ones finish."""
        self.server.should_exit = True
        self.thread.join(seconds)
