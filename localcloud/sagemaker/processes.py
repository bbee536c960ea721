"""Which processes are ours, even if nobody remembers them?

Every process of a variant has two marks in its environment: the state folder of its server, and its instance. Workers
that it forks inherit them. So what a killed server or a killed parent left behind can be found without a list of ids.
Looks into /proc, so finds nothing on other systems than Linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

SERVER_MARK = "LOCALCLOUD_SAGEMAKER_STATE"
INSTANCE_MARK = "LOCALCLOUD_SAGEMAKER_INSTANCE"


def marked(name: str, value: str) -> list[int]:
    """Ids of the processes whose environment has `name=value`."""
    entry = b"\0" + f"{name}={value}".encode() + b"\0"
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry in b"\0" + (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def kill_marked(name: str, value: str) -> list[int]:
    """Kill the processes whose environment has `name=value`; answers their ids."""
    found = marked(name, value)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found
