"""A server of blobs that does as told: whole, cut, slow, wrong, or only for who has logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.listening import Quiet, listening

TOKEN = "t0ken"


@dataclass
class Shelf:
    """The contents of the server, and what goes wrong.

    Attributes:
        faults: Of the next answers, one each: a status, or how many bytes come before the connection ends.
        wants: The login: `basic` or `bearer`; empty for none.
        to: Where every path is redirected to; empty for nowhere.
        ranges: Whether Range is supported.
        pause: Called before every block that is sent.
        asked: Path and headers of each request.
        headers: Of every answer with a blob.
    """

    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    faults: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    wants: str = ""
    to: str = ""
    ranges: bool = True
    pause: Callable[[], object] = lambda: None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("Range") for path, headers in self.asked if path in self.blobs]


@contextmanager
def shelf(**told: Any) -> Iterator[Shelf]:
    made = Shelf(**told)

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked.append((self.path, dict(self.headers)))
            path = self.path.partition("?")[0]
            if path == "/token":
                refused = b'{"details": "who are you?"}'
                self._send(*((200, b'{"token": "%s"}' % TOKEN.encode()) if self._basic() else (401, refused)))
            elif made.wants and not self._allowed():
                self.send_response(401)
                self.send_header("WWW-Authenticate", self._challenge())
                self._end(b'{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}')
            elif made.to:
                self.send_response(307)
                self.send_header("Location", made.to + self.path)
                self._end(b"")
            elif made.faults and made.faults[0][0] == "status":
                self._send(made.faults.pop(0)[1], b'{"errors": [{"code": "TOOBUSY", "message": "come again"}]}')
            elif path not in made.blobs:
                self._send(404, b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown to registry"}]}')
            else:
                self._blob(made.blobs[path])

        def _blob(self, content: bytes) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if made.ranges else 0
            part = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            length = made.faults.pop(0)[1] if made.faults and made.faults[0][0] == "cut" else len(part)
            for place in range(0, length, 1 << 16):
                made.pause()
                self.wfile.write(part[place : min(place + (1 << 16), length)])
            self.close_connection = length < len(part)

        def _basic(self) -> bool:
            return self.headers.get("Authorization") == "Basic YW5hOnNlY3JldA=="  # ana:secret

        def _allowed(self) -> bool:
            bearer = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            return bearer if made.wants == "bearer" else self._basic()

        def _challenge(self) -> str:
            if made.wants == "basic":
                return 'Basic realm="shelf"'
            return f'Bearer realm="http://{made.host}/token",service="shelf",scope="repository:m:pull"'

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self._end(body)

        def _end(self, body: bytes) -> None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:  # a client that was killed
            pass

    with listening(Handler, server=Server) as url:
        made.port = int(url.rpartition(":")[2])
        yield made
