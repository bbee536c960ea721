"""Runs a function periodically in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def again(seconds: float, do: Callable[[], object]) -> Iterator[None]:
    """Call `do` every so many seconds until the block ends; a call under way may finish, within a minute."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            do()

    thread = threading.Thread(target=run, name="again", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=60)
