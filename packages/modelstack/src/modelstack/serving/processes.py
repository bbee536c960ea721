"""The worker processes, as the supervisor starts and reaps them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from modelstack.serving.channel import Channel
from modelstack.serving.memory import Memory
from modelstack.serving.settings import RuntimeSettings

_RUNTIME = str(Path(__file__).resolve().parents[2])
# One thread a worker, because predictions are small and workers share the cores.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass
class WorkerProcess:
    """A worker as the supervisor sees it; `started` is by `time.monotonic`, `hung` means killed for hanging."""

    number: int
    process: subprocess.Popen[bytes]
    channel: Channel
    started: float
    ready: bool = False
    hung: bool = False
    slots: set[int] = field(default_factory=set[int])


def started(number: int, settings: RuntimeSettings, memory: Memory) -> WorkerProcess:
    """Start a worker; it sends READY on its channel once it can answer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    told = {**asdict(settings), "worker": number, "channel": theirs.fileno(), "memory": memory.descriptor}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "modelstack.serving.worker", json.dumps(told)],
        pass_fds=(theirs.fileno(), memory.descriptor),
        stdin=subprocess.DEVNULL,
        env={**_ONE_THREAD, **os.environ, "PYTHONPATH": _RUNTIME},
    )
    theirs.close()
    ours.setblocking(False)
    return WorkerProcess(number, process, Channel(ours), time.monotonic())


def reaped(process: subprocess.Popen[bytes]) -> int:
    """The status of a process that has closed its channel, and so is about to end."""
    try:
        return process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
