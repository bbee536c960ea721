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


def private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, if it is new: an `opener`."""
    return os.open(path, flags, 0o600)


def open_to_readers(top: Path) -> None:
    """Let every user read a folder that is mounted into a container, whose user may be another.

    On the machine itself the folders above stay closed.
    """
    for folder, _, names in os.walk(top):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            path.chmod(path.stat().st_mode | 0o444)


def require_writable(folder: Path) -> None:
    """Make the folder if need be, for its owner alone, and prove that it takes a megabyte, leaving nothing behind.

    Raises:
        StateUnwritable: It is read-only or full, or is no folder.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        try:
            probe.write_bytes(b"\0" * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise StateUnwritable(
            f"the local cloud's state folder {folder} cannot be written: {error.strerror}; "
            "free some space or make it writable, or choose another with --state"
        ) from error
