"""Makes an acknowledged write of ministack survive `kill -9`.

ministack keeps its services in memory and writes one JSON file each at a clean stop. Here, every request that may have
changed something is answered only after the files of the services that it touched are on disk. Four things keep that
cheap: a file whose content did not change is not written, concurrent requests to a service share one write, bytes
(container layers) go to files named by their digest, once, and of DynamoDB's items only those are written that changed
(`tables`). S3 writes its objects itself, one file each, as they come.

Log events are different: they are written behind the answer, within a second, and less often as they grow (at most a
twentieth of the time goes into it). A kill may lose that last moment of events, never a group or a stream. When they
cannot be written, the next ones are refused.

No fsync: this guards against the end of the process, not of the machine.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack import app as ministack_app
from ministack.core import persistence

from localcloud.server import background, tables
from localcloud.server.statefiles import BLOB, Blobs, Damaged, JsonFile, NotSaved, StateFile

log = logging.getLogger("localcloud.durability")

LOGS = "cloudwatch_logs"
"""State key of the one service whose file is written behind the answer."""

_ALSO_NOW = {"sns": ("sqs",), "eventbridge": ("sqs",), "s3": ("sqs",)}
"""Services that a request to the first may change too: its deliveries to queues."""

_READS = ("BatchGet", "Describe", "Filter", "Get", "List", "Lookup", "Query", "Scan", "Simulate", "Test")
_LAG_SECONDS = 1.0
_LAG_SHARE = 20.0

failures: contextvars.ContextVar[list[OSError] | None] = contextvars.ContextVar("failures", default=None)
"""Failed writes of the request at hand that ministack itself only logs (S3 objects)."""


@dataclass(frozen=True)
class Touched:
    """State keys of services that a request may have changed.

    Attributes:
        now: Saved before the answer.
        later: Saved behind it.
    """

    now: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


class Durability:
    """All state files of one ministack."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = Blobs(folder / "blobs")
        self._tables = tables.TablesFile(folder)
        self._files: dict[str, StateFile] = {tables.KEY: self._tables}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="state-writer")
        self._waiting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Take the place of ministack's own saving and loading."""
        named: set[str] = set()

        def restore(found: dict[str, Any]) -> Any:
            if BLOB in found:
                named.add(found[BLOB])
                return self._blobs.read(found[BLOB])
            return scoped(found)

        def load_state(key: str) -> Any:
            if key == tables.KEY:
                return self._tables.load(restore)
            path = self._folder / f"{key}.json"
            if not path.exists():
                return None
            try:
                return json.loads(path.read_bytes(), object_hook=restore)["payload"]
            except (OSError, ValueError, KeyError) as error:
                raise Damaged(path, error) from error

        def load_persisted_state() -> None:
            load_all()
            self._blobs.drop_all_but(named)

        scoped, load_all = persistence._json_object_hook, ministack_app._load_persisted_state
        ministack_app.load_state = load_state
        ministack_app._load_persisted_state = load_persisted_state
        ministack_app.save_all = lambda services: None
        self._tables.watch()

    async def settle(self, touched: Touched) -> None:
        """Return when what a request changed is on disk, or is about to be where that is enough.

        Raises:
            NotSaved: A state could not be written.
        """
        for key in touched.now:
            file = self._file(key)
            if file is not None:
                await file.save(self._writer)
        for key in touched.later:
            file = self._file(key)
            if file is not None and file.failing and not touched.now:
                await file.save(self._writer)  # tell of a disk that is still full
            elif file is not None:
                self._save_behind(file)

    def touch(self, *keys: str) -> None:
        """Have services saved soon that changed without a request. May be called from any thread."""

        def begin() -> None:
            for key in keys:
                file = self._file(key)
                if file is not None:
                    self._save_behind(file)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(begin)

    async def close(self) -> None:
        """Save everything and stop."""
        for task in self._tasks:
            task.cancel()
        for key in ministack_app._state_map:
            file = self._file(key)
            if file is not None:
                try:
                    await file.save(self._writer)
                except NotSaved as error:
                    log.error("%s", error)
        self._writer.shutdown()
        for file in self._files.values():
            file.close()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop on which `touch` saves."""
        self._loop = loop

    def _file(self, key: str) -> StateFile | None:
        """The service's file; None while the service's module has not been loaded, so holds nothing."""
        if key in self._files:
            return self._files[key]
        module = sys.modules.get(f"ministack.services.{ministack_app._state_map.get(key, '')}")
        if module is None or not hasattr(module, "get_state"):
            return None
        self._files[key] = JsonFile(key, self._folder, self._blobs, module.get_state)
        return self._files[key]

    def _save_behind(self, file: StateFile) -> None:
        if file.key not in self._waiting:
            self._waiting.add(file.key)
            task = background.begin(self._save_later(file), f"saving of the state of {file.key}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _save_later(self, file: StateFile) -> None:
        await asyncio.sleep(max(_LAG_SECONDS, _LAG_SHARE * file.cost) if file.key == LOGS else 0)
        self._waiting.discard(file.key)  # a change from now on needs another save
        try:
            await file.save(self._writer)
        except NotSaved as error:
            file.failing = True
            log.error("%s", error)


def touched(service: str, method: str, path: str, action: str | None) -> Touched:
    """What a request may have changed.

    Args:
        service: The router's name of the service.
        method: HTTP method.
        path: Path of the URL.
        action: Name of the operation where the protocol has one (JSON, query, CBOR); None for REST.
    """
    entry = ministack_app.SERVICE_REGISTRY.get(service)
    if entry is None or (action.startswith(_READS) if action else method in ("GET", "HEAD", "OPTIONS")):
        return Touched()
    key = entry.get("state_key", entry["module"])
    if action == "PutLogEvents":
        return Touched(later=(LOGS,))
    if service == "s3" and "/" in path.strip("/"):  # an object: S3 has written it
        return Touched(now=_ALSO_NOW["s3"])
    return Touched(now=(key, *_ALSO_NOW.get(key, ())), later=(LOGS,) if key == "lambda" else ())
