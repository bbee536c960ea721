"""Serves the controller's calls in a thread of its own, until it is told to stop."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import Any

import uvicorn

_BACKLOG = 128
_END_SECONDS = 2  # that calls under way have at the end


class NotListening(Exception):
    """The port cannot be had; the message says why."""


@dataclass(frozen=True)
class Listening:
    """A server that listens."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    @classmethod
    def at(cls, host: str, port: int, app: Any) -> Listening:
        """Begin to listen.

        Args:
            host: The address; empty for all.
            port: The port; 0 takes a free one.
            app: An ASGI application.

        Raises:
            NotListening: The address or the port cannot be had.
        """
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
        """Take no more calls, and let those under way end."""
        self.server.should_exit = True
        self.thread.join(seconds)
