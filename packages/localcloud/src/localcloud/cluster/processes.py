"""The processes of a cluster: found by a mark in their environment, started where they are missing, and ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from localcloud.cluster.layout import NAMESPACE, RUN, Layout
from localcloud.cluster.programs import Program, inside
from localcloud.server import orphans
from localcloud.server.surroundings import STATE_MARK
from localcloud.setup.failures import SetupFailed

_VERSION = "LOCALCLUSTER_VERSION"
"""Variable of a process: a digest of what it was started with, its files too."""
_CGROUPS = Path("/sys/fs/cgroup")
_GRACE_SECONDS = 10.0
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


def found(layout: Layout, program: Program) -> list[int]:
    """The processes of a program, whatever it was started with; its children are not among them."""
    return [pid for pid in orphans.marked(layout.state) if _identity(_command(pid)) == _identity(program.command)]


def running(layout: Layout, program: Program, version: str) -> bool:
    """Whether a program runs as it would be started now; one that was started with something else is ended."""
    current = False
    for pid in found(layout, program):
        if _command(pid) == program.command and _variable(pid, _VERSION) == version:
            current = True
        else:
            _end_well(pid)
    return current


def kill(layout: Layout, program: Program) -> None:
    """End a program at once, and return when it has ended."""
    for pid in found(layout, program):
        _end(pid)
        while orphans.alive(pid):
            time.sleep(0.01)


def start(layout: Layout, program: Program, version: str) -> None:
    """Start a program, in the background, in the node's network; its log is told of it."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"HOME": "/root", STATE_MARK: str(layout.state.resolve()), _VERSION: version}
    command: Sequence[str] = program.command
    if program.user != "root":
        command = ("setpriv", f"--reuid={program.user}", f"--regid={program.user}", "--clear-groups", *command)
    with (layout.logs / f"{program.name}.log").open("ab") as log:
        subprocess.Popen(
            inside(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            start_new_session=True, cwd="/",
        )  # fmt: skip


def version_of(program: Program, files: Sequence[Path]) -> str:
    """What tells that a process was started with what is now wanted.

    Args:
        program: It.
        files: What it read when it started; one that is missing counts as empty.
    """
    content = "\0".join(program.command).encode()
    for file in files:
        with suppress(FileNotFoundError):
            content += b"\0" + file.read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def owners() -> dict[Path, int]:
    """The state folders whose processes live in the node's network, and how many processes each has there."""
    namespace = Path("/run/netns", NAMESPACE)
    if not namespace.exists():
        return {}
    inode = namespace.stat().st_ino
    found: dict[Path, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _network(int(entry.name)) == inode:
            state = _variable(int(entry.name), STATE_MARK)
            if state:
                found[Path(state)] = found.get(Path(state), 0) + 1
    return found


def end_all(layout: Layout) -> int:
    """End every process of a cluster at once, whoever its parent is now: its programs, and what runs in its pods.

    Nothing is asked to end well, as what they would save is to be forgotten.

    Returns:
        How many there were.

    Raises:
        SetupFailed: The system does not let go of one.
    """
    ended: set[int] = set()
    groups: set[Path] = set()
    while there := {*orphans.marked(layout.state), *_contained(new := _bundles())}:
        groups |= set(new)
        for pid in there:
            _end(pid)
        ended |= there
        end = time.monotonic() + _GRACE_SECONDS
        while any(orphans.alive(pid) for pid in there):
            if time.monotonic() > end:
                raise SetupFailed(f"Processes of the cluster do not end: {sorted(filter(orphans.alive, there))}")
            time.sleep(0.02)
    for group in groups:
        _remove(group)
    return len(ended)


def _bundles() -> list[Path]:
    """The control groups of the containers: one each by version 2, one each and controller by version 1."""
    groups = []
    for bundle in RUN.glob("containerd/io.containerd.runtime.v2.task/*/*/config.json"):
        with suppress(OSError, ValueError):  # a container is just being made, or removed
            path = json.loads(bundle.read_text())["linux"]["cgroupsPath"].lstrip("/")
            groups += [place / path for place in (_CGROUPS, *_CGROUPS.iterdir()) if (place / path).is_dir()]
    return groups


def _contained(groups: Iterable[Path]) -> set[int]:
    """Every process in some control groups and those below."""
    found: set[int] = set()
    for group in groups:
        for parent, _, files in os.walk(group):
            if "cgroup.procs" in files:
                with suppress(OSError):
                    found |= set(map(int, Path(parent, "cgroup.procs").read_text().split()))
    return found


def _remove(group: Path) -> None:
    for parent, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()
    with suppress(OSError):
        group.parent.rmdir()  # unless another containerd has something in it


def _end_well(pid: int) -> None:
    """Ask a process to end, and see that it does."""
    end = time.monotonic() + _GRACE_SECONDS
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while orphans.alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    _end(pid)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _identity(command: Sequence[str]) -> tuple[str, ...]:
    """What of a command tells its program: one of Python is a module."""
    return tuple(command[: 3 if list(command[1:2]) == ["-m"] else 1])


def _command(pid: int) -> tuple[str, ...]:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        return tuple(word.decode(errors="replace") for word in words)
    return ()


def _variable(pid: int, name: str) -> str:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if line.startswith(f"{name}=".encode()):
                return line.decode(errors="replace").partition("=")[2]
    return ""


def _network(pid: int) -> int:
    with suppress(OSError):
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    return 0
