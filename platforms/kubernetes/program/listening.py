"""The controller's HTTP server, in its own thread."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import Any

import uvicorn

_BACKLOG = 128
_END_SECONDS = 2  # that calls under way have at the end


class NotListening(Exception):
    """The port cannot be bound; the message says why."""


@dataclass(frozen=True)
class Listening:
    """A running server."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    @classmethod
    def at(cls, host: str, port: int, app: Any) -> Listening:
        """Start an ASGI application at an address, empty for all, and a port, 0 for a free one; raises NotListening."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise NotListening(f"BIND_HOST {host}, PORT {port}: {error}") from error
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="listening", daemon=True)
        thread.start()
        return cls(server, thread, bound.getsockname()[1])

    def stop(self, seconds: float) -> None:
        """Accept no more requests, and let current ones finish."""
        self.server.should_exit = True
        self.thread.join(seconds)
