"""How does the program of a job run until it ends, is to stop, or has had its time?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from localcloud.sagemaker.child import Child
from localcloud.sagemaker.fleet import Hosting
from localcloud.sagemaker.images import Program

_GRACE = 120.0  # seconds between SIGTERM and SIGKILL, as documented for StopTrainingJob


@dataclass(frozen=True)
class Ended:
    """How it ended.

    Attributes:
        code: Its exit code, negative for a signal; None when it was made to end.
        last_output: The last lines that it wrote.
    """

    code: int | None
    last_output: str


async def run(
    program: Program,
    identity: str,
    hosting: Hosting,
    hear: Callable[[str], None],
    *,
    seconds: float,
    stop: asyncio.Event,
    exceeded: Callable[[], Awaitable[None]],
) -> Ended:
    """Run a program, and all that it starts, to its end.

    Args:
        program: What runs.
        identity: Its mark, by which what it forked is found.
        hosting: The machine, its logs and its time.
        hear: Takes each line of its output, which is in Logs when this returns.
        seconds: After which it is made to end.
        stop: Makes it end, too.
        exceeded: Called when it has had its time, before it is made to end.

    Raises:
        OSError: It cannot be run.
    """
    child = await Child.start(program, identity, hear)
    grace = hosting.timing.shutdown
    try:
        waits = [asyncio.ensure_future(wait) for wait in (child.wait(), stop.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not done:
            await exceeded()
        grace = hosting.scaled(_GRACE)
    finally:
        await child.end(grace)
    await hosting.logs.flush()
    return Ended(waits[0].result() if waits[0] in done else None, child.last_output)
