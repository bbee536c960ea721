"""Stops remote work when the update that started it is cancelled or its process ends."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

_asked: list[Callable[[], None]] = []
_lock = threading.Lock()


@contextmanager
def stopping(stop: Callable[[], object]) -> Generator[threading.Event]:
    """Call `stop` once if the update is cancelled within the block; the event reports it to the block.

    The first Ctrl-C makes the engine cancel the update: it notifies every provider and waits for them. Pulumi's
    provider of dynamic resources ignores that, so its `Cancel` is replaced here. A second Ctrl-C ends the process.
    """
    cancelled = threading.Event()

    def end() -> None:
        with _lock:
            if cancelled.is_set():
                return
            cancelled.set()
        with suppress(Exception):  # the waiting block reports the result
            stop()

    _listen()
    _asked.append(end)
    atexit.register(end)
    try:
        yield cancelled
    finally:
        _asked.remove(end)
        atexit.unregister(end)


def cancel() -> None:
    """Stop all remote work."""
    for end in list(_asked):
        end()


def _listen() -> None:
    servicer: Any = getattr(sys.modules["__main__"], "DynamicResourceProviderServicer", None)
    if servicer is not None:
        # gRPC has bound the method already and would not call a new one, so its code is replaced.
        servicer.Cancel.__code__ = _answer.__code__


def _answer(self: Any, request: Any, context: Any) -> Any:
    import sys  # noqa: PLC0415  it runs with the globals of another module

    from google.protobuf import empty_pb2  # noqa: PLC0415

    sys.modules["modelstack.program.providers.stopping"].cancel()
    return empty_pb2.Empty()
