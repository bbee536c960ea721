"""One request, and the way back to who sent it."""

from __future__ import annotations

from typing import Protocol

JSON = b"application/json"


class Sender(Protocol):
    """The connection that a request came on."""

    def answered(self, exchange: Exchange, status: int, body: bytes, kind: bytes, also: bytes) -> None:
        """Take the answer."""
        ...


class Exchange:
    """One request, and the way back to who sent it."""

    __slots__ = ("begun", "body", "connection", "headers", "keep_alive", "method", "of_1_0", "path")

    def __init__(self, connection: Sender, method: bytes, target: bytes, headers: dict[bytes, bytes]) -> None:
        self.connection = connection
        self.method = method
        path = target.partition(b"?")[0]
        self.path = path if path[:1] == b"/" else _without_host(path)
        self.headers = headers
        self.body = b""
        self.begun = 0.0
        self.keep_alive = True
        self.of_1_0 = False

    def answer(self, status: int, body: bytes, kind: bytes = JSON, also: bytes = b"") -> None:
        """Send the answer.

        Args:
            status: HTTP status.
            body: Content.
            kind: Its media type.
            also: Further header lines, each with its line end.
        """
        self.connection.answered(self, status, body, kind, also)


def _without_host(target: bytes) -> bytes:
    """`/ping` of `http://host/ping`, as who takes this server for a proxy asks for it (RFC 9112, 3.2.2)."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return target
    return b"/" + rest.partition(b"/")[2]
