"""One process that predicts: it loads the model, predicts the sealed example, and serves the connections it is given.

python -m modelstack.serving.worker '{"folder": "/opt/ml/model", ...}'      # started by the supervisor only

Exit status: 1 the package was refused, 2 a wrong setting, 3 the model's own code failed, 4 a prediction did not end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvloop

from modelstack.serving import sealed
from modelstack.serving.answers import Answers
from modelstack.serving.batches import Batches, Limits
from modelstack.serving.capture import Capture, CaptureRefused, sink
from modelstack.serving.channel import DRAIN, READY, Channel
from modelstack.serving.connections import Connection
from modelstack.serving.declaration import Declaration
from modelstack.serving.failures import FailureLog
from modelstack.serving.instances import Reader
from modelstack.serving.memory import Memory
from modelstack.serving.metrics import exposition
from modelstack.serving.package import PackageRefused, check_environment, code_from, verify
from modelstack.serving.promise import Promise
from modelstack.serving.routes import Routes, Served
from modelstack.serving.server import Server
from modelstack.serving.settings import RuntimeSettings

STUCK = 4
_WARM_UP_ANSWERS, _WARM_UP_SECONDS = 200, 1.0


class Worker:
    """Serves one model in this process."""

    def __init__(
        self,
        served: Served,
        predict: Callable[[Any], Any],
        settings: RuntimeSettings,
        *,
        number: int,
        memory: Memory,
        channel: Channel,
        labels: Mapping[str, str],
    ) -> None:
        self._number = number
        self._memory = memory
        self._channel = channel
        self._ended = asyncio.get_running_loop().create_future()
        counts = memory.counts(number)
        every = memory.every()
        self._batches = Batches(
            *(predict, served.promise, counts, Limits(seconds=settings.seconds)),
            stuck=self._stuck,
            blocked=partial(memory.block, number),
        )
        self._capture = (
            Capture(sink(settings.capture, settings.capture_token), settings.capture_percent, counts, served.declared)
            if settings.capture
            else None
        )
        routes = Routes(
            *(served, self._batches, counts, lambda: exposition(every, labels), FailureLog()),
            captured=self._capture.offer if self._capture else None,
        )
        self._server = Server(
            *(routes.handle, routes.refused, counts, memory.states, self._finish),
            since=memory.since,
            named=settings.named,
        )

    async def run(self) -> None:
        """Serve until the supervisor says otherwise, or ends."""
        loop = asyncio.get_running_loop()
        self._channel.end.setblocking(False)
        self._look()
        loop.add_reader(self._channel.end.fileno(), self._hear)
        self._channel.say(READY)
        await self._ended
        if self._capture:
            self._capture.end()

    def _look(self) -> None:
        now = time.monotonic()
        self._memory.beat(self._number, now)
        self._batches.look(now)
        asyncio.get_running_loop().call_later(0.5, self._look)

    def _hear(self) -> None:
        with contextlib.suppress(EOFError):
            while (taken := self._channel.taken()) is not None:
                word, connection = taken
                if connection is not None:
                    asyncio.get_running_loop().create_task(self._take(word, connection))
                elif word == DRAIN:
                    self._server.drain()
            return
        self._finish()

    async def _take(self, slot: int, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: Connection(self._server, slot, connection, self._closed), connection
        )

    def _closed(self, slot: int) -> None:
        with contextlib.suppress(OSError):
            self._channel.say(slot)

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _stuck(self) -> None:
        """End this process with its hanging prediction. Pending answers have left."""
        os._exit(STUCK)


def load(folder: Path) -> Callable[[Any], Any]:
    """The package's `predict`, or the default one, bound to the loaded model."""
    module = import_module("model.serving") if find_spec("model.serving") else None
    model = getattr(module, "load", sealed.read)(folder)
    predict = getattr(module, "predict", sealed.predict)
    return lambda rows: predict(model, rows)


def served(folder: Path, manifest: Mapping[str, Any], name: str, predict: Callable[[Any], Any]) -> Served:
    """The model, once it has answered the sealed example. Raises BadRequest or WrongAnswers."""

    def document(name: str) -> Any:
        path = folder / name
        return json.loads(path.read_bytes()) if path.exists() else None

    declared = Declaration.from_dict(document("features.json"), document("answer.json"))
    rows = Reader(declared).json((folder / "example.json").read_bytes())
    example = Answers.of(predict(rows), len(rows))
    _warm_up(lambda: predict(rows))
    about = {key: manifest[key] for key in ("recipe", "parameters", "python", "libraries")}
    about |= {"metrics": document("metrics.json")["summary"], "features": document("features.json")}
    return Served(name, manifest["recipe"][:12], declared, about, example, Promise.of(declared.answer, example))


def _warm_up(answer: Callable[[], Any]) -> None:
    """Fill caches before an instance gets traffic: its first answers are often several times as slow.

    A failure ends it: how often a version fails is for the judge.
    """
    end = time.monotonic() + _WARM_UP_SECONDS
    with contextlib.suppress(Exception):
        for _ in range(_WARM_UP_ANSWERS):
            answer()
            if time.monotonic() > end:
                return


def main(argument: str) -> int:
    """Serve, and return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the supervisor gets them too, and drains this process
        signal.signal(number, signal.SIG_IGN)
    told = json.loads(argument)
    number, channel, descriptor = told.pop("worker"), told.pop("channel"), told.pop("memory")
    settings = RuntimeSettings(**told)
    folder = Path(settings.folder)
    try:
        manifest = verify(folder, settings.manifest_sha256)
        check_environment(manifest)
    except PackageRefused as error:
        print(f"cannot serve: the package in {folder} is refused: {error}", file=sys.stderr, flush=True)
        return 1
    try:
        code_from(folder, manifest)
        predict = load(folder)
        found = served(folder, manifest, settings.model, predict)
    except Exception as error:
        traceback.print_exc()
        print(f"cannot serve: the model's code failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 3
    gc.collect()
    gc.freeze()  # loaded objects stay: a full collection would visit all of them, for 25 ms
    labels = {"model": settings.model, "recipe": manifest["recipe"], "manifest": settings.manifest_sha256}
    memory = Memory(descriptor, settings.workers)

    async def serve() -> None:
        end = Channel(socket.socket(fileno=channel))
        worker = Worker(found, predict, settings, number=number, memory=memory, channel=end, labels=labels)
        await worker.run()

    try:
        uvloop.run(serve())
    except CaptureRefused as error:
        print(f"cannot serve: {error}", file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
