"""Processes and containers that carry a cloud's mark: found, named and ended. Standard library only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from localcloud.server.surroundings import STATE_MARK

CONTAINER_LABEL = "localcloud.sagemaker.state"
"""Label of every container of the cloud (`localcloud/sagemaker/images.py`), its value the state folder of a region."""

_GRACE_SECONDS = 3.0
_PROC = Path("/proc")


def end(state: Path) -> int:
    """End every process and container of the cloud of `state`, other than this process. Returns how many."""
    found = marked(state)
    for pid in found:
        _kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while any(alive(pid) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in found:
        _kill(pid, signal.SIGKILL)
    return len(found) + _remove_containers(state)


def marked(state: Path) -> list[int]:
    """Processes whose environment names the state folder. On systems without /proc, asks `ps`."""
    mark = f"{STATE_MARK}={state.resolve()}"
    if _PROC.is_dir():
        pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if pid != os.getpid() and mark.encode() in _environment(pid)]
    listing = subprocess.run(["ps", "-Eww", "-axo", "pid=,command="], capture_output=True, text=True, check=False)
    rows = (line.strip().split(None, 1) for line in listing.stdout.splitlines())
    return [int(row[0]) for row in rows if len(row) == 2 and mark in row[1].split() and int(row[0]) != os.getpid()]


def holder_of(port: int) -> str | None:
    """Who listens on a port of 127.0.0.1, such as `python3 (pid 4711)`; None when it cannot be told."""
    for pid in _listeners(port):
        return f"{_command(pid)} (pid {pid})"
    return None


def _listeners(port: int) -> list[int]:
    if _PROC.is_dir():
        inodes = _listening_inodes(port)
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and _holds(entry / "fd", inodes)]
    if not shutil.which("lsof"):
        return []
    listing = subprocess.run(
        ["lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in listing.stdout.split()]


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("net/tcp", "net/tcp6"):
        path = _PROC / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _holds(descriptors: Path, inodes: set[str]) -> bool:
    try:
        return any(str(descriptor.readlink()) in inodes for descriptor in descriptors.iterdir())
    except OSError:
        return False


def _command(pid: int) -> str:
    """What a process runs, shortly; of a local cloud its checkout, or its state folder if that is in none."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        if {b"localcloud", b"serve", b"--state"} <= set(words[:-1]):
            state = _PROC / str(pid) / "cwd" / os.fsdecode(words[words.index(b"--state") + 1])
            project = next((folder for folder in state.parents if (folder / "pyproject.toml").is_file()), state)
            return f"the local cloud of {project.resolve()}"
    except OSError:
        return "a process"
    return " ".join(Path(word.decode(errors="replace")).name for word in words[:3] if word) or "a process"


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    status = _PROC / str(pid) / "stat"
    if _PROC.is_dir():
        try:
            return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _remove_containers(state: Path) -> int:
    docker = shutil.which("docker")
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if docker is None or not Path(engine).exists():
        return 0
    try:
        names = []
        for folder in (state, *state.glob("regions/*"), *state.glob("accounts/*/regions/*")):
            listing = subprocess.run(
                [docker, "ps", "-aq", "--filter", f"label={CONTAINER_LABEL}={folder.resolve()}"],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
            names += listing.stdout.split() if listing.returncode == 0 else []
        if names:
            subprocess.run([docker, "rm", "-f", *names], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return 0
    return len(names)
