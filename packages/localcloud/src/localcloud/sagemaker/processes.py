"""Which processes are ours, even if nobody remembers them?

Every process of a variant or a job has two marks in its environment: the state folder of its server, and its instance.
Workers that it forks inherit them. So what a killed server or a killed parent left behind can be found without a list
of ids. Looks into /proc, so finds nothing on other systems than Linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from localcloud.server.platform import Platform

SERVER_MARK = "LOCALCLOUD_SAGEMAKER_STATE"
INSTANCE_MARK = "LOCALCLOUD_SAGEMAKER_INSTANCE"


_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")


def environment(platform: Platform, identity: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """The complete environment of a process.

    Args:
        platform: The cloud that it belongs to.
        identity: Its mark.
        wanted: What whoever asked for it wants it to have.
    """
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": platform.region,
        "AWS_DEFAULT_REGION": platform.region,
        **wanted,
        **platform.child_environment,
        SERVER_MARK: str(platform.state.resolve()),
        INSTANCE_MARK: identity,
    }


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
