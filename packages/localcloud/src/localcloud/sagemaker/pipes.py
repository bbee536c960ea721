"""The reading ends of pipes, on uvloop's loop."""

from __future__ import annotations

import asyncio


async def reader_of(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    """Read from a descriptor, which its transport closes.

    uvloop closes the descriptor, and then the file that it was given. By then another thread may have opened something
    of the same number: a connection was closed under the loop, which aborts the process. So that file closes nothing.
    """
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    file = open(descriptor, "rb", 0, closefd=False)  # noqa: SIM115
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, file)
    return reader, transport


async def read_all(descriptor: int) -> str:
    """What is written into a pipe until it closes; the descriptor is closed then."""
    reader, transport = await reader_of(descriptor)
    try:
        return (await reader.read()).decode(errors="replace")
    finally:
        transport.close()
