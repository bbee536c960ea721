"""What is under way elsewhere ends with the update that began it: when that is cancelled, or its process ends."""

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
    """Call `stop` once if the update is cancelled within the block; the event tells the block of it.

    The first Ctrl-C makes the engine cancel the update: it tells every provider, and waits for what these are at. The
    provider of dynamic resources passes that on to nobody, so its answer to it is replaced here. A second Ctrl-C ends
    the process.
    """
    cancelled = threading.Event()

    def end() -> None:
        with _lock:
            if cancelled.is_set():
                return
            cancelled.set()
        with suppress(Exception):  # whoever waits sees what became of it
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
    """Stop what is under way."""
    for end in list(_asked):
        end()


def _listen() -> None:
    """Hear of a cancellation, where this process is the provider of dynamic resources."""
    servicer: Any = getattr(sys.modules["__main__"], "DynamicResourceProviderServicer", None)
    if servicer is not None:
        # gRPC has bound the method already, so another one in its place would not be called: its code is replaced.
        servicer.Cancel.__code__ = _answer.__code__


def _answer(self: Any, request: Any, context: Any) -> Any:
    """Stands in for a method of gRPC."""
    import sys  # noqa: PLC0415  it runs with the globals of another module

    from google.protobuf import empty_pb2  # noqa: PLC0415

    sys.modules["infra.providers.stopping"].cancel()
    return empty_pb2.Empty()
