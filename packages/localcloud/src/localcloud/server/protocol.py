"""How do requests come in, and answers leave?

Head and body of an answer leave in one segment, where the application gives them one after the other. uvicorn writes
the two apart; each write wakes the client, and costs much of a short request. A head that does not end is refused,
since nobody knows yet who sends it.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST = 65536
"""Bytes of an answer that are gathered before they are written, so that the client's pace is felt; and of a head."""


class Gathering:
    """A transport that writes in the loop's next turn what it was given in one.

    Args:
        transport: That writes.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write soon."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST:
            self._flush()

    def close(self) -> None:
        """Close when all is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol on such a transport, with a limit to the head."""

    _head: int | None = 0
    """Bytes of a head that is not whole; None when it is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(cast(asyncio.Transport, Gathering(cast(asyncio.Transport, transport))))

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > _MOST:
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._head = None
        super().on_headers_complete()
