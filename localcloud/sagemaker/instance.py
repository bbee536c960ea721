"""How does one instance of a variant live: started, watched, started again, ended?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.sagemaker.client import NoAnswer, TooLarge, Upstream
from localcloud.sagemaker.images import Program
from localcloud.sagemaker.processes import INSTANCE_MARK, kill_marked
from localcloud.sagemaker.timing import Timing

_LAUNCH = Path(__file__).with_name("launch.py")
_TAIL = 20  # lines of output that a FailureReason may quote
_LONGEST_LINE = 1 << 16
_PING_ANSWER = 1 << 16
_FIRST_POLL, _LONGEST_POLL = 0.05, 0.5


class InstanceFailed(Exception):
    """An instance never became healthy; the text is for the endpoint's FailureReason."""


@dataclass(frozen=True)
class InstanceSetup:
    """What an instance needs.

    Attributes:
        id: E.g. `i-0123456789abcdef0`.
        variant: Name of the production variant, for messages.
        program: Makes the program that serves on a port.
        output: Takes each line of the program's output.
        startup: Seconds to the first good `/ping`.
        timing: All other durations.
    """

    id: str
    variant: str
    program: Callable[[int], Program]
    output: Callable[[str], None]
    startup: float
    timing: Timing


class Instance:
    """One serving process, kept alive by a task of its own.

    Attributes:
        in_flight: Requests that are with it now.
        upstream: Its HTTP server; None while it is not healthy.
    """

    def __init__(self, setup: InstanceSetup) -> None:
        self._setup = setup
        self.in_flight = 0
        self.upstream: Upstream | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._process: asyncio.subprocess.Process | None = None
        self._cleanup: tuple[str, ...] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"instance-{setup.id}")

    @property
    def id(self) -> str:
        """The instance's id, which also names its log stream."""
        return self._setup.id

    @property
    def pid(self) -> int | None:
        """The id of its process now, or None."""
        return self._process.pid if self._process else None

    def kill(self) -> None:
        """End the process as a crash does; it is started again like one that crashed."""
        self.upstream = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def ready(self) -> None:
        """Wait for the first good `/ping`.

        Raises:
            InstanceFailed: There will be none.
        """
        await asyncio.shield(self._first)

    async def stop(self, grace: float) -> None:
        """End the process, and whatever it started; SIGKILL after `grace` seconds."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, InstanceFailed):
            await self._task
        if not self._first.done():
            self._first.set_exception(InstanceFailed("stopped"))
        self._first.exception()  # so that nobody has to ask
        await self._end(grace)

    async def _live(self) -> None:
        timing = self._setup.timing
        deadline = asyncio.get_running_loop().time() + self._setup.startup
        pause, attempt = timing.backoff, 0
        while True:
            attempt += 1
            started = asyncio.get_running_loop().time()
            ended = await self._live_once(deadline)
            if not self._first.done():
                self._give_up_if_hopeless(attempt, deadline, ended)
            await self._end(timing.stop if ended is None else 0)
            if self._first.done() and self._first.exception():
                return
            if asyncio.get_running_loop().time() - started > timing.most_backoff:
                pause = timing.backoff
            await asyncio.sleep(pause)
            pause = min(pause * 2, timing.most_backoff)

    async def _live_once(self, deadline: float) -> str | None:
        """Run the program until it ends (answers how) or must be replaced (answers None)."""
        port = _free_port()
        upstream = Upstream(port)
        try:
            process = await self._spawn(port)
            exited = asyncio.get_running_loop().create_task(process.wait())
            try:
                if await self._becomes_healthy(upstream, exited, deadline):
                    self.upstream = upstream
                    if not self._first.done():
                        self._first.set_result(None)
                    await self._stays_healthy(upstream, exited)
                return _how_it_ended(exited.result()) if exited.done() else None
            finally:
                exited.cancel()
        finally:
            self.upstream = None
            upstream.close()
            _ports.discard(port)

    def _give_up_if_hopeless(self, attempt: int, deadline: float, ended: str | None) -> None:
        late = asyncio.get_running_loop().time() >= deadline
        if not late and attempt < self._setup.timing.startup_attempts:
            return
        if ended:
            why = f"The container {ended} {attempt} times before it answered /ping."
        else:
            why = f"No 200 from /ping within {self._setup.startup:g} s."
        last = "\n".join(self._tail)
        self._first.set_exception(
            InstanceFailed(
                f"The primary container for production variant {self._setup.variant} did not pass the ping health "
                f"check. Please check CloudWatch logs for this endpoint. {why} Last output:\n{last or '(none)'}"
            )
        )
        self._first.exception()

    async def _spawn(self, port: int) -> asyncio.subprocess.Process:
        program = self._setup.program(port)
        self._tail.clear()  # a failure is told by the last attempt alone
        self._cleanup = program.clean_up
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *program.arguments),
            cwd=program.folder,
            env=dict(program.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.get_running_loop().create_task(self._read(process))
        return process

    async def _becomes_healthy(self, upstream: Upstream, exited: asyncio.Task[int], deadline: float) -> bool:
        poll = _FIRST_POLL
        while not exited.done() and asyncio.get_running_loop().time() < deadline:
            if await self._ping(upstream):
                return True
            await asyncio.wait([exited], timeout=poll)
            poll = min(poll * 1.5, _LONGEST_POLL)
        return False

    async def _stays_healthy(self, upstream: Upstream, exited: asyncio.Task[int]) -> None:
        failures = 0
        while failures < self._setup.timing.ping_failures:
            await asyncio.wait([exited], timeout=self._setup.timing.ping)
            if exited.done():
                return
            failures = 0 if await self._ping(upstream) else failures + 1
        self._setup.output(f"[health check] /ping failed {failures} times in a row; the container is replaced")

    async def _ping(self, upstream: Upstream) -> bool:
        try:
            reply = await upstream.request(
                "GET", "/ping", (), b"", timeout=self._setup.timing.ping_timeout, most=_PING_ANSWER
            )
        except (TimeoutError, NoAnswer, TooLarge):
            return False
        return reply.status == 200

    async def _end(self, grace: float) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace)
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        await asyncio.to_thread(kill_marked, INSTANCE_MARK, self.id)
        if self._cleanup:
            remover = await asyncio.create_subprocess_exec(
                *self._cleanup, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            await remover.wait()
        if process is not None:
            await process.wait()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=1)
            self._reading.cancel()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        rest = b""
        while chunk := await process.stdout.read(_LONGEST_LINE):
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
        self._setup.output(text)


_ports: set[int] = set()


def _free_port() -> int:
    """A free port of 127.0.0.1 that no other instance here was given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _ports:
            _ports.add(port)
            return port


def _how_it_ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
