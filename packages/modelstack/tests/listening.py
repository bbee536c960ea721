"""A server of HTTP on this machine, for as long as a block runs.

with listening(Handler) as url:        # http://127.0.0.1:PORT
    httpx.get(url)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket

_LOOKS = 0.02  # seconds between two looks whether it is to end


class Quiet(BaseHTTPRequestHandler):
    """Writes no line a request."""

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@contextmanager
def listening(
    handler: type[BaseHTTPRequestHandler],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    secured: Callable[[socket], socket] | None = None,
    server: type[ThreadingHTTPServer] = ThreadingHTTPServer,
) -> Generator[str]:
    """Serve, a thread a connection; the URL.

    Args:
        handler: Answers the requests.
        host: Where it listens.
        port: The same; 0 for one that is free.
        secured: Makes a listening socket one of TLS; None for plain HTTP.
        server: What serves.
    """
    with server((host, port), handler) as made:
        if secured:
            made.socket = secured(made.socket)
        thread = threading.Thread(target=made.serve_forever, args=(_LOOKS,), daemon=True)
        thread.start()
        try:
            yield f"{'https' if secured else 'http'}://{host}:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()
