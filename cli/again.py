"""Something that is done again and again, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def again(seconds: float, do: Callable[[], object]) -> Iterator[None]:
    """Do it every so many seconds until the block ends; what is under way then may finish, within a minute."""
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
