"""What ministack's services keep on disk: one file a service, written by one thread.

No fsync of a JSON file: this guards against the end of the process, not of the machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ministack.core import persistence

from localcloud.server.files import write_atomically

BLOB = "__blob__"
"""Key of the object that stands for bytes in a file of their own; its value names the file."""

_BLOB_BYTES = 4096
_COPY_ATTEMPTS = 20


class NotSaved(Exception):
    """State could not be written; the text says of which service and why."""


class Damaged(Exception):
    """A state file that cannot be read; the text names it."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be read: {error}; move it away to start without it")


class Blobs:
    """Byte strings, each in a file named by its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()

    def keep(self, data: bytes) -> str:
        """Write `data` unless it is there; return its name."""
        name = hashlib.sha256(data).hexdigest()
        path = self._folder / name
        if name not in self._known and not path.exists():
            self._folder.mkdir(exist_ok=True)
            write_atomically(path, data)
        self._known.add(name)
        return name

    def read(self, name: str) -> bytes:
        """The bytes of that name."""
        return (self._folder / name).read_bytes()

    def drop_all_but(self, names: set[str]) -> None:
        """Delete what no state names any more. Only safe while nothing is being saved."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name not in names:
                path.unlink()


class StateFile:
    """The file of one ministack service. Saves that are asked for while one is written share the next.

    Attributes:
        key: State key of the service.
        cost: Seconds that the last save took.
        failing: Whether the last save behind an answer failed.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.cost = 0.0
        self.failing = False
        self._lock = asyncio.Lock()
        self._asked = 0
        self._done = 0

    async def save(self, writer: ThreadPoolExecutor) -> None:
        """Return when a state at least as new as now is on disk.

        Raises:
            NotSaved: It could not be written.
        """
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._done >= ticket:
                return
            covered, begun = self._asked, time.perf_counter()
            for attempt in range(_COPY_ATTEMPTS):
                try:
                    taken = self.take()
                    if taken is not None:
                        await asyncio.get_running_loop().run_in_executor(writer, self.write, taken)
                    break
                except RuntimeError:  # another thread changed a dictionary while it was read
                    if attempt == _COPY_ATTEMPTS - 1:
                        raise
            self._done, self.cost = covered, time.perf_counter() - begun
            self.failing = False

    def take(self) -> Any:
        """On the event loop: what is to be written, safe from later changes; None when there is nothing."""
        raise NotImplementedError

    def write(self, taken: Any) -> None:
        """In the writer's thread: write what was taken.

        Raises:
            NotSaved: It could not be written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file; nothing is saved afterwards."""


class JsonFile(StateFile):
    """The JSON file of one service, written whole when its content is another."""

    def __init__(self, key: str, folder: Path, blobs: Blobs, get_state: Callable[[], Any]) -> None:
        super().__init__(key)
        self.path = folder / f"{key}.json"
        self._blobs = blobs
        self._get_state = get_state
        self._written = b""
        self._names: dict[int, tuple[bytes, str]] = {}

    def take(self) -> Any:
        """A copy of the service's state."""
        return self._get_state()

    def write(self, taken: Any) -> None:
        """Write the state, if it is another than what was written last."""
        before, self._names = self._names, {}

        def encode(value: Any) -> Any:
            if isinstance(value, bytes | bytearray) and len(value) >= _BLOB_BYTES:
                same = before.get(id(value))
                kept = bytes(value)
                name = same[1] if same and same[0] is kept else self._blobs.keep(kept)
                self._names[id(kept)] = (kept, name)
                return {BLOB: name}
            return persistence._json_default(value)

        wrapped = {"__ministack_format__": persistence._state_format_version(self.key), "payload": taken}
        try:
            content = json.dumps(wrapped, default=encode).encode()
            digest = hashlib.sha256(content).digest()
            if digest != self._written or not self.path.exists():
                write_atomically(self.path, content)
                self._written = digest
        except OSError as error:
            raise NotSaved(f"the state of {self.key} cannot be saved: {error.strerror}: {self.path}") from error
        except (TypeError, ValueError) as error:
            raise NotSaved(f"the state of {self.key} cannot be saved: {error}") from error
