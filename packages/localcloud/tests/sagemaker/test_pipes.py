"""A pipe's end is closed once: in a process with threads, the second time would be another's descriptor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import uvloop

from localcloud.sagemaker.pipes import read_all


class Overtaken:
    """A file that somebody else's descriptor comes before, just when the loop closes it."""

    def __init__(self, file: Any, opened: list[int]) -> None:
        self.fileno = file.fileno
        self._file, self._opened = file, opened

    def close(self) -> None:
        self._opened.append(os.open("/dev/null", os.O_RDONLY))
        self._file.close()


class Loop(uvloop.Loop):
    """Gives its pipes such files."""

    opened: list[int]

    async def connect_read_pipe(self, protocol_factory: Callable[[], Any], pipe: Any) -> Any:
        return await super().connect_read_pipe(protocol_factory, Overtaken(pipe, self.opened))


def test_a_descriptor_that_another_thread_has_got_meanwhile_stays_open() -> None:
    Loop.opened = []
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.get_loop()
        reading, writing = os.pipe()
        os.write(writing, b"it cannot be run")
        os.close(writing)
        assert runner.run(read_all(reading)) == "it cannot be run"
        assert Loop.opened == [reading]  # the number was free
        os.close(reading)  # an OSError where it was closed twice
