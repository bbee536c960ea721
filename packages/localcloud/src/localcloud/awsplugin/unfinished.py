"""Creations that nobody heard the end of, because the engine was killed while they ran.

A resource with a fixed name that was made but never reached the state is in the way of the next update: AWS refuses its
name. So a note is left before a creation and taken away in an orderly end, when the engine has saved the state. A note
that is still there tells the next creation of the same resource that what it collides with is its own.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path


class Unfinished:
    """Notes in a folder, one file a resource of a cloud.

    Args:
        folder: Where the notes are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Unfinished:
        """The notes of a PULUMI_HOME."""
        home = environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
        return cls(Path(home, "localcloud-aws", "unfinished"))

    def begin(self, endpoint: str, urn: str) -> bool:
        """Note that a creation begins; returns whether an earlier one of the same resource has no end."""
        note = self._note(endpoint, urn)
        known = note.exists()
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f"{urn}\n{endpoint}\n")
        except OSError:  # no creation fails for want of a note; only its interruption then needs a person
            return known
        with self._lock:
            self._written.add(note)
        return known

    def drop(self, endpoint: str, urn: str) -> None:
        """Nothing was made, or nothing that is kept."""
        note = self._note(endpoint, urn)
        note.unlink(missing_ok=True)
        with self._lock:
            self._written.discard(note)

    def close(self) -> None:
        """The engine ends in order: all that was made by now is in its state."""
        with self._lock:
            for note in self._written:
                note.unlink(missing_ok=True)
            self._written.clear()

    def _note(self, endpoint: str, urn: str) -> Path:
        return self._folder / hashlib.sha256(f"{endpoint}\n{urn}".encode()).hexdigest()
