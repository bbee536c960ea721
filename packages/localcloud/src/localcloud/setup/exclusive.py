"""Who is at work? One set-up at a time on a checkout, and one on the cache that checkouts share."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcloud.setup.failures import explain


@contextmanager
def exclusive(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock; wait for whoever holds it, and say so. The system lets go of it when a process dies.

    Raises:
        SetupFailed: The lock's folder cannot be written to.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise explain(str(error), f"Nothing can be written to {lock.parent}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode().strip() or "?"
            print(f"  another set-up (process {holder}) is at work on {what}; waiting for it", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.truncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
