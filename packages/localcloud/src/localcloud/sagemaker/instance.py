"""How does one instance of a variant live: started, watched, started again, ended?"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.sagemaker.child import Child, how_it_ended
from localcloud.sagemaker.client import NoAnswer, TooLarge, Upstream
from localcloud.sagemaker.images import Program
from localcloud.sagemaker.timing import Timing
from localcloud.server import background

_PING_ANSWER = 1 << 16
_FIRST_POLL, _LONGEST_POLL = 0.05, 0.5
_log = logging.getLogger(__name__)


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
        self._child: Child | None = None
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = background.begin(self._live(), f"instance {setup.id}")

    @property
    def id(self) -> str:
        """The instance's id, which also names its log stream."""
        return self._setup.id

    @property
    def pid(self) -> int | None:
        """The id of its process now, or None."""
        return self._child.pid if self._child else None

    def kill(self) -> None:
        """End the process as a crash does; it is started again like one that crashed."""
        self.upstream = None
        if self._child is not None:
            self._child.kill()

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
            self._fail("stopped")
        await self._end(grace)

    async def _live(self) -> None:
        timing = self._setup.timing
        deadline = asyncio.get_running_loop().time() + self._setup.startup
        pause, attempt = timing.backoff, 0
        while True:
            attempt += 1
            started = asyncio.get_running_loop().time()
            ended, trouble = None, ""
            try:
                ended = await self._live_once(deadline)
            except Exception as error:  # no interpreter, no folder, no memory: it is tried again like one that crashed
                trouble = f"{type(error).__name__}: {error}"
                _log.warning("instance %s of variant %s cannot run: %s", self.id, self._setup.variant, trouble)
                self._setup.output(f"[start] the local SageMaker cannot run the container: {trouble}")
            if not self._first.done():
                self._give_up_if_hopeless(attempt, deadline, ended, trouble)
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
            self._child = child = await Child.start(self._setup.program(port), self.id, self._setup.output)
            exited = asyncio.ensure_future(child.wait())
            try:
                if await self._becomes_healthy(upstream, exited, deadline):
                    self.upstream = upstream
                    if not self._first.done():
                        self._first.set_result(None)
                    await self._stays_healthy(upstream, exited)
                return how_it_ended(exited.result()) if exited.done() else None
            finally:
                exited.cancel()
        finally:
            self.upstream = None
            upstream.close()
            _ports.discard(port)

    def _give_up_if_hopeless(self, attempt: int, deadline: float, ended: str | None, trouble: str) -> None:
        late = asyncio.get_running_loop().time() >= deadline
        if not late and attempt < self._setup.timing.startup_attempts:
            return
        if trouble:  # names no variant: the words of AWS that do blame the model in it, and this is the machine's fault
            self._fail(f"The local SageMaker could not run a container, in {attempt} attempts: {trouble}.")
            return
        if ended:
            why = f"The container {ended} {attempt} times before it answered /ping."
        else:
            why = f"No 200 from /ping within {self._setup.startup:g} s."
        last = self._child.last_output if self._child else ""
        self._fail(
            f"The primary container for production variant {self._setup.variant} did not pass the ping health "
            f"check. Please check CloudWatch logs for this endpoint. {why} Last output:\n{last or '(none)'}"
        )

    def _fail(self, reason: str) -> None:
        self._first.set_exception(InstanceFailed(reason))
        self._first.exception()  # so that nobody has to ask

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
        if self._child is not None:
            try:
                await self._child.end(grace)
            except Exception as error:
                _log.warning("instance %s of variant %s could not be ended: %s", self.id, self._setup.variant, error)
            self._child = None


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
