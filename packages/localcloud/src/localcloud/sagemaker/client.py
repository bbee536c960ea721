"""How is a request put to a container? HTTP/1.1 over kept-alive connections to one port of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import httptools

Headers = Sequence[tuple[str, str]]

_MOST_IDLE = 64


class NoAnswer(Exception):
    """The container gave no (whole) answer: connection refused or closed, or not HTTP."""


class TooLarge(Exception):
    """The container's answer is larger than is taken."""


@dataclass(frozen=True)
class Reply:
    """A container's answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection, for one exchange at a time.

    Attributes:
        usable: Whether it may be asked: it is open, and the container has said nothing that was not asked for.
        heard: Whether the container has said anything since it was asked last.
    """

    def __init__(self) -> None:
        self.usable = False
        self.heard = False
        self._most = 0
        self._answer: asyncio.Future[Reply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._until_closed = False  # whether the body ends where the connection does

    async def exchange(self, request: bytes, most: int) -> Reply:
        """Put a request and wait for the whole answer; whoever gives up waiting must close the connection."""
        self.heard, self._most = False, most
        self._answer = answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await answer

    def close(self) -> None:
        """Close it, whatever is on its way."""
        self.usable = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(NoAnswer(f"not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._until_closed and self._answer is not None and exc is None:
            self._complete()
        self._end(NoAnswer(str(exc) if exc else "the connection was closed without an answer"))

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.close()  # nobody asked
        self._headers, self._body, self._size, self._until_closed = {}, [], 0, False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        told = {"content-length", "transfer-encoding"} & self._headers.keys()
        self._until_closed = not told and self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._most:
            self._end(TooLarge(f"more than {self._most} bytes"))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:  # else the answer is still to come
            self._complete()

    def _complete(self) -> None:
        unsent = self._transport.get_write_buffer_size() > 0  # it has answered before it read everything
        if self._until_closed or unsent or not self._parser.should_keep_alive():
            self.close()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(Reply(self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def _end(self, trouble: Exception) -> None:
        self.close()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(trouble)


class Upstream:
    """The HTTP server of one container.

    Args:
        port: On 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []
        self._closed = False

    async def request(
        self, method: str, target: str, headers: Headers, body: bytes, *, timeout: float, most: int
    ) -> Reply:
        """Put one request.

        Args:
            method: GET or POST.
            target: Path, e.g. `/invocations`.
            headers: Besides Host and Content-Length.
            body: May be empty.
            timeout: Seconds to the whole answer.
            most: Bytes of the answer's body that are taken.

        Returns:
            The whole answer, whatever its status.

        Raises:
            TimeoutError: No whole answer in time.
            NoAnswer: Refused, closed, or not HTTP.
            TooLarge: The answer's body has more than `most` bytes.
        """
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Length: {len(body)}\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        request = f"{head}{lines}\r\n".encode() + body
        async with asyncio.timeout(timeout):
            while connection := self._take_idle():
                try:
                    return await self._exchange(connection, request, most)
                except NoAnswer:
                    # Closed by the container's keep-alive timer just now, most likely; if it said anything, it is not.
                    if connection.heard:
                        raise
            return await self._exchange(await self._connect(), request, most)

    def close(self) -> None:
        """Close idle connections, and busy ones when their exchange ends."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, connection: _Connection, request: bytes, most: int) -> Reply:
        try:
            reply = await connection.exchange(request, most)
        except BaseException:
            connection.close()
            raise
        if self._closed or len(self._idle) >= _MOST_IDLE:
            connection.close()
        elif connection.usable:
            self._idle.append(connection)
        return reply

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self) -> _Connection:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", self._port)
        except OSError as error:
            raise NoAnswer(error.strerror or str(error)) from error
        return connection
