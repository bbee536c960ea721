"""Run the genuine provider's command, which plans and applies as Terraform would."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ProviderError(Exception):
    """The provider reports errors."""


@dataclass(frozen=True)
class Answer:
    """What the provider answers.

    Attributes:
        value: The state, the planned state, or a schema.
        changes: The attributes that a plan changes.
        replaces: The paths that make the plan replace the resource.
    """

    value: Any
    changes: frozenset[str]
    replaces: tuple[str, ...]


class Core:
    """A client of one process; its threads' requests run concurrently."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._receive, daemon=True).start()

    def __call__(self, do: str, kind: str = "", address: str = "", value: Any = None) -> Answer:
        """Send a request: `schema`, `adopt` (a state), `read`, `plan` (a config), or `apply` (the last plan).

        Args:
            do: The request.
            kind: The resource type, as Terraform has it.
            address: The resource; the process keeps its state.
            value: A state or a config; a plan without one is that of a deletion.

        Raises:
            ProviderError: The provider reports errors.
        """
        number, future = next(self._numbers), Future[dict[str, Any]]()
        self._waiting[number] = future
        text = json.dumps({"id": number, "do": do, "type": kind, "address": address, "value": value})
        with self._lock:
            print(text, file=self._process.stdin, flush=True)
        answer = future.result()
        if answer["errors"]:
            raise ProviderError(f"{do} {address or kind}: {'; '.join(answer['errors'])}")
        return Answer(answer["value"], frozenset(answer["changes"] or ()), tuple(answer["replaces"] or ()))

    def _receive(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        for future in self._waiting.values():
            future.set_exception(ProviderError("the provider's process ended"))


@contextmanager
def configured(command: Path, environment: Mapping[str, str], config: Mapping[str, Any], log: Path) -> Iterator[Core]:
    """Start the command, and configure the provider; end it afterwards.

    Args:
        command: Its path.
        environment: Has the keys.
        config: The provider's attributes.
        log: Where its own log goes.
    """
    with (
        log.open("w") as file,
        subprocess.Popen(
            [command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        ) as process,
    ):
        try:
            core = Core(process)
            core("configure", value=config)
            yield core
        finally:
            process.kill()
