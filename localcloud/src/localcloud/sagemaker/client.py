"""How is a request put to a container? HTTP/1.1 over kept-alive connections to one port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import h11

Headers = Sequence[tuple[str, str]]

_READ = 1 << 18
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


class _Connection:
    """One connection, for one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.CLIENT)
        self.heard = False

    @property
    def usable(self) -> bool:
        """Whether the other side has neither closed nor spoken out of turn, as far as we know."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    async def exchange(self, request: h11.Request, body: bytes, most: int) -> Reply:
        self.heard = False
        self._send(request, h11.Data(data=body), h11.EndOfMessage())
        with contextlib.suppress(ConnectionError):  # it may have answered before it read everything
            await self.writer.drain()
        response: h11.Response | None = None
        parts: list[bytes] = []
        size = 0
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(_READ)
                self.heard = self.heard or bool(data)
                self.http.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > most:
                    raise TooLarge(f"more than {most} bytes")
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
                return Reply(response.status_code, headers, b"".join(parts))
            elif isinstance(event, h11.ConnectionClosed):
                raise NoAnswer("the connection was closed without an answer")

    def next_cycle(self) -> bool:
        """Make ready for another exchange; False when this was the last one."""
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            return self.usable
        return False

    def _send(self, *events: h11.Event) -> None:
        self.writer.write(b"".join(self.http.send(event) or b"" for event in events))


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
        request = h11.Request(
            method=method,
            target=target,
            headers=[("Host", f"127.0.0.1:{self._port}"), ("Content-Length", str(len(body))), *headers],
        )
        async with asyncio.timeout(timeout):
            while connection := self._take_idle():
                try:
                    return await self._exchange(connection, request, body, most)
                except NoAnswer:
                    # Closed by the container's keep-alive timer just now, most likely; if it said anything, it is not.
                    if connection.heard:
                        raise
            return await self._exchange(await self._connect(), request, body, most)

    def close(self) -> None:
        """Close idle connections, and busy ones when their exchange ends."""
        self._closed = True
        while self._idle:
            self._idle.pop().writer.close()

    async def _exchange(self, connection: _Connection, request: h11.Request, body: bytes, most: int) -> Reply:
        keep = False
        try:
            reply = await connection.exchange(request, body, most)
            keep = connection.next_cycle() and not self._closed and len(self._idle) < _MOST_IDLE
        except (OSError, h11.RemoteProtocolError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.writer.close()
        return reply

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        try:
            return _Connection(*await asyncio.open_connection("127.0.0.1", self._port))
        except OSError as error:
            raise NoAnswer(error.strerror or str(error)) from error
