"""Runs the console until it is stopped."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import uvicorn

from modelstack.cli.console.app import app
from modelstack.cli.console.pages import Pages
from modelstack.cli.errors import OperatorError

_PATIENCE_S = 60


class ConsoleServer:
    """A console on 127.0.0.1; port 0 takes a free one."""

    def __init__(self, pages: Pages, port: int) -> None:
        self._port = port
        self._server = uvicorn.Server(uvicorn.Config(app(pages), log_level="warning", lifespan="off"))

    def run(self, ready: Callable[[str], None]) -> None:
        """Serve until stopped, in the main thread by Ctrl-C too; `ready` is called with the address."""
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                bound.bind(("127.0.0.1", self._port))
            except OSError as error:
                told = f"port {self._port} of 127.0.0.1 cannot be used: {error.strerror}"
                raise OperatorError(told, "Name another one with --port; 0 takes a free one.", 2) from error
            bound.listen()
            ready(f"http://127.0.0.1:{bound.getsockname()[1]}/")
            self._server.run([bound])

    @contextmanager
    def background(self) -> Iterator[str]:
        """Serve from another thread until the block ends; yields the address."""
        told = SimpleQueue[str]()
        thread = threading.Thread(target=self.run, args=(told.put,), daemon=True)
        thread.start()
        try:
            yield told.get(timeout=_PATIENCE_S)
        finally:
            self._server.should_exit = True
            thread.join(_PATIENCE_S)
