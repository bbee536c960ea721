"""One request and the connection to answer it on."""

from __future__ import annotations

from typing import Protocol

JSON = b"application/json"


class Sender(Protocol):
    """The connection of a request."""

    def answered(self, exchange: Exchange, status: int, body: bytes, kind: bytes, also: bytes) -> None:
        """Send the answer."""


class Exchange:
    """One request and the connection to answer it on."""

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
        """Send the answer; `also` has further header lines, each with its line end."""
        self.connection.answered(self, status, body, kind, also)


def _without_host(target: bytes) -> bytes:
    """`/ping` of `http://host/ping`, which clients send to a proxy (RFC 9112, 3.2.2)."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return target
    return b"/" + rest.partition(b"/")[2]
