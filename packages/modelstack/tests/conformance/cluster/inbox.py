"""A webhook that keeps what people are told, for controllers on this machine."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager

from tests.conformance.stage import Message
from tests.listening import Quiet, listening


class Webhook:
    """What came, by the path that it was posted to."""

    url = ""

    def __init__(self) -> None:
        self._came: list[tuple[str, Message]] = []

    def keep(self, path: str, body: bytes) -> None:
        self._came.append((path, Message(body.decode(), json.loads(body))))

    def messages(self, path: str) -> list[Message]:
        return [message for there, message in list(self._came) if there == path]


@contextmanager
def webhook() -> Generator[Webhook]:
    class Handler(Quiet):
        def do_POST(self) -> None:
            made.keep(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

    made = Webhook()
    with listening(Handler) as made.url:
        yield made
