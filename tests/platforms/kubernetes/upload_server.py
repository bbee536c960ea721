"""A server that takes uploads by the letter of OCI's specification, and loses connections in the middle of parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.listening import Quiet, listening


@dataclass
class Uploads:
    """What has come.

    Attributes:
        cuts: Of the next parts, how many bytes are read before the connection ends.
        forgets: Whether an upload whose connection ended is forgotten.
        lies: What it says that it holds, whatever was sent; empty for the truth.
        received: Bytes that were read, in all.
        parts: `Content-Range` of each part.
        blobs: Digest -> content.
    """

    cuts: list[int] = field(default_factory=list[int])
    forgets: bool = False
    lies: str = ""
    received: int = 0
    parts: list[str] = field(default_factory=list[str])
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    begun: dict[str, bytearray] = field(default_factory=dict[str, bytearray])
    host: str = ""


@contextmanager
def upload_server(**told: Any) -> Iterator[Uploads]:
    """A server on this machine."""
    made = Uploads(**told)

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(200 if self._digest() in made.blobs else 404)

        def do_POST(self) -> None:
            name = str(len(made.begun) + 1)
            made.begun[name] = bytearray()
            self._answer(202, Location=f"/v2/m/blobs/uploads/{name}")

        def do_PATCH(self) -> None:
            made.parts.append(self.headers["Content-Range"])
            name, there = self._upload()
            if there is None:
                return self._answer(404)
            if int(made.parts[-1].partition("-")[0]) != len(there):
                return self._answer(416)
            length = int(self.headers["Content-Length"])
            cut = made.cuts.pop(0) if made.cuts else length
            there += self.rfile.read(min(cut, length))
            made.received += min(cut, length)
            if cut < length:
                self.close_connection = True
                if made.forgets:
                    del made.begun[name]
                return None
            return self._answer(202, Location=f"{self.path}", Range=f"0-{len(there) - 1}")

        def do_GET(self) -> None:
            if "/uploads/" not in self.path:
                content = made.blobs.get(self._digest())
                return self._answer(404) if content is None else self._answer(200, content)
            _, there = self._upload()
            if there is None:
                return self._answer(404)
            return self._answer(204, Location=self.path, Range=f"0-{max(0, len(there) - 1)}")

        def do_PUT(self) -> None:
            _, there = self._upload()
            if there is None:
                return self._answer(404)
            there += self.rfile.read(int(self.headers.get("Content-Length", 0)))
            digest = parse_qs(urlsplit(self.path).query)["digest"][0]
            if digest != f"sha256:{hashlib.sha256(there).hexdigest()}":
                return self._answer(400)
            made.blobs[digest] = bytes(there)
            return self._answer(201, **{"Docker-Content-Digest": made.lies or digest})

        def _upload(self) -> tuple[str, bytearray | None]:
            name = urlsplit(self.path).path.rpartition("/")[2]
            return name, made.begun.get(name)

        def _digest(self) -> str:
            return self.path.rpartition("/")[2]

        def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    with listening(Handler) as url:
        made.host = url.removeprefix("http://")
        yield made
