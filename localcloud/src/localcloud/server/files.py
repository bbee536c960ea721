"""Files of the state folder. Standard library only: the project's own environment uses it too."""

from __future__ import annotations

import os
from pathlib import Path

PROBE_BYTES = 1_000_000


class StateUnwritable(Exception):
    """The state folder cannot be written; the text names it and the reason."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the content of `path`, wholly or not at all.

    Raises:
        OSError: The disk is full or read-only.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def require_writable(folder: Path) -> None:
    """Make the folder if need be and prove that it takes a megabyte, leaving nothing behind.

    Raises:
        StateUnwritable: It is read-only or full, or is no folder.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"\0" * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise StateUnwritable(
            f"the local cloud's state folder {folder} cannot be written: {error.strerror}; "
            "free some space or make it writable, or choose another with --state"
        ) from error
