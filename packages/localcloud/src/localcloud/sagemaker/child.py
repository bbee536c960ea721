"""How does one process of ours live: started, heard, ended together with whatever it started?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from localcloud.sagemaker.images import Program
from localcloud.sagemaker.pipes import read_all, reader_of
from localcloud.sagemaker.processes import INSTANCE_MARK, kill_marked
from localcloud.server import background

_LAUNCH = Path(__file__).with_name("launch.py")
_TAIL = 20  # lines of output that a FailureReason may quote
_LONGEST_LINE = 1 << 16


class Child:
    """A process that runs a program once, and dies with the server.

    Args:
        process: Just started by `start`.
        reader: Its output.
        identity: Value of `INSTANCE_MARK` in its environment, by which what it forked is found.
        clean_up: A command that removes what a killed program leaves behind, or None.
        output: Takes each line of its output.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        identity: str,
        clean_up: tuple[str, ...] | None,
        output: Callable[[str], None],
    ) -> None:
        self._process = process
        self._identity = identity
        self._clean_up = clean_up
        self._output = output
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._reading = background.begin(self._read(reader), f"output of {identity}")

    @classmethod
    async def start(cls, program: Program, identity: str, output: Callable[[str], None]) -> Child:
        """Start a program.

        Raises:
            OSError: It cannot be run: its file, its interpreter or its folder is missing, or the machine has no room.
        """
        # A pipe of our own: with one of asyncio's, waiting for the process is waiting for all that it forked.
        reading, writing = os.pipe()
        reader, _ = await reader_of(reading)
        problem, telling = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(program.niceness), str(telling)),
                *program.arguments,
                pass_fds=(telling,),
                cwd=program.folder,
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
            )
        except BaseException:
            os.close(problem)
            raise
        finally:
            os.close(writing)
            os.close(telling)
        try:
            text = await read_all(problem)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if text:
            await process.wait()
            raise OSError(text)
        return cls(process, reader, identity, program.clean_up, output)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def last_output(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._tail)

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative for a signal."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self, grace: float) -> None:
        """End it, and whatever it started; SIGKILL after `grace` seconds. All its output has been heard then."""
        if self._process.returncode is None:
            self.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
            if self._process.returncode is None:
                self.kill()
        await asyncio.to_thread(kill_marked, INSTANCE_MARK, self._identity)
        if self._clean_up:
            remover = await asyncio.create_subprocess_exec(
                *self._clean_up, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            await remover.wait()
        await self._process.wait()
        await asyncio.wait([self._reading], timeout=1)
        self._reading.cancel()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await reader.read(_LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._hear(line)
        if rest:
            self._hear(rest)

    def _hear(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._tail.append(text[:500])
        self._output(text)


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
