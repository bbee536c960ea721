"""A webhook that keeps what people are told, for controllers on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.conformance.stage import Message


class Webhook:
    """What came, by the path that it was posted to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._came: list[tuple[str, Message]] = []

    def keep(self, path: str, body: bytes) -> None:
        """Keep a post."""
        self._came.append((path, Message(body.decode(), json.loads(body))))

    def messages(self, path: str) -> list[Message]:
        """What was posted to a path."""
        return [message for there, message in list(self._came) if there == path]


@contextmanager
def webhook() -> Generator[Webhook]:
    """One that runs until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.keep(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Webhook(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
