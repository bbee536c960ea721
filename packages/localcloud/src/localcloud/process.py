"""Starts, stops and finds the local cloud's process. Standard library only: the project's own environment runs it.

Whether a cloud runs is told by an exclusive lock on `server.lock` in its state folder, which the kernel drops with the
process that holds it; what files a dead process left behind never matters.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from localcloud.server import credentials, orphans
from localcloud.server.files import private, require_writable
from localcloud.setup.places import Places, advice

START_SECONDS = 180.0
"""Of a busy machine: one that ends before it is ready is told of at once."""
GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_LOG_BYTES = 5_000_000
_LOG_TAIL = 15

Say = Callable[[str], None]


class ProcessError(Exception):
    """The cloud cannot be started or stopped; the text says why and what to do."""


@dataclass(frozen=True)
class Running:
    """A cloud's process.

    Attributes:
        pid: Process id of the server.
        port: Its port.
        url: The endpoint of all services.
        ready: Whether every service answers.
        accounts: The accounts of the cloud, its own first.
    """

    pid: int
    port: int
    url: str
    ready: bool
    accounts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def find_python(root: Path) -> Path:
    """The Python of the local cloud's own environment for a project's checkout at `root`.

    `LOCALCLOUD_PYTHON` names another.

    Raises:
        ProcessError: It has not been set up.
    """
    python = named_python() or Places.of(root).cloud / "bin" / "python"
    _require(python)
    return python


def named_python() -> Path | None:
    """What `LOCALCLOUD_PYTHON` names."""
    named = os.environ.get("LOCALCLOUD_PYTHON")
    return Path(named) if named else None


def _require(python: Path) -> None:
    if not python.exists():
        raise ProcessError(f"the local cloud's environment is missing ({python}); {advice()}")


@contextmanager
def hold(state: Path) -> Iterator[IO[str]]:
    """Hold the cloud's lock while the body runs, with this process and `port` written in it.

    Raises:
        ProcessError: Another process holds it.
    """
    with open(state / "server.lock", "a+", opener=private) as file:
        deadline = time.monotonic() + _LOOK_SECONDS
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise ProcessError(f"another local cloud runs on {state} (pid {_read(file).get('pid')})")
            time.sleep(_POLL_SECONDS / 5)  # somebody may only be looking
        yield file


def sign(lock: IO[str], port: int) -> None:
    """Write into a held lock who holds it, and the environment that this process runs from."""
    environment = Path(sys.prefix)
    facts = {"pid": os.getpid(), "port": port, "environment": str(environment), "made": _made(environment)}
    lock.seek(0)
    lock.truncate()
    lock.write(json.dumps(facts))
    lock.flush()


def find(state: Path) -> Running | None:
    """The cloud that runs on a state folder; None when there is none."""
    path = state / "server.lock"
    if not path.exists():
        return None
    with path.open("r") as file:
        if _locked(file, fcntl.LOCK_SH):
            return None
        facts = _read(file)
    pid, port = int(facts.get("pid", 0)), int(facts.get("port", 0))
    url = f"http://127.0.0.1:{port}"
    status = _status(url)
    return Running(pid, port, url, status.get("ready") is True, tuple(status.get("accounts", ())))


def keys(state: Path, account: str | None = None) -> dict[str, str]:
    """The variables by which clients sign as root of an account; its keys are made now if there are none.

    Args:
        state: The cloud's state folder.
        account: 12 digits; None is the cloud's own account. One that is not there yet is made.

    Raises:
        OSError: They cannot be read or written, or the account is not 12 digits.
    """
    return credentials.of(state, account).environment()


def start(
    state: Path, port: int, python: Path, config: Path | None, say: Say, *, time_scale: float | None = None
) -> Running:
    """Start a cloud, detached, and return when it is ready; do nothing when it already runs.

    One whose environment was removed or installed again is restarted: it can start no process from what is gone.

    Args:
        state: Folder that holds everything of it.
        port: On 127.0.0.1.
        python: Of the local cloud's own environment.
        config: A localcloud.toml, or None.
        say: Takes progress.
        time_scale: In place of the configuration's, or None.

    Raises:
        ProcessError: It runs on another port, the port is taken, `python` is missing, or it did not become ready.
        StateUnwritable: The state folder cannot be written.
    """
    require_writable(state)
    with open(state / "start.lock", "a", opener=private) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one start at a time
        options = [] if config is None else ["--config", str(config.resolve())]
        options += [] if time_scale is None else ["--time-scale", f"{time_scale:g}"]
        return _start(state, port, python, options, say)


def _start(state: Path, port: int, python: Path, options: list[str], say: Say) -> Running:
    running = find(state)
    if running is not None:
        if running.port != port:
            raise ProcessError(
                f"the local cloud of {state} already runs on port {running.port} (pid {running.pid}), not on {port}; "
                "stop it first"
            )
        if not _lost_its_environment(state):
            running = _wait_until_ready(state, port, None, say)
            say(f"local cloud: already running on {running.url} (pid {running.pid})")
            return running
        _require(python)
        say("local cloud: the environment that it runs from was removed or installed again, so it is restarted")
        stop(state, say)
    _require(python)
    ended = orphans.end(state)
    if ended:
        say(f"local cloud: ended {ended} processes that an earlier run left behind")
    require_free(port)
    command = [
        str(python.absolute()),
        "-X",
        "faulthandler",  # a crash in native code is seen in the log
        "-m",
        "localcloud",
        "serve",
        "--state",
        str(state),
        "--port",
        str(port),
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONUNBUFFERED": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling ministack takes longer than starting it
    path = state / "server.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(state / "server.log.1")
    with open(path, "ab", opener=private) as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True, cwd="/"
        )
    say(f"local cloud: starting on http://127.0.0.1:{port} ...")
    begun = time.monotonic()
    running = _wait_until_ready(state, port, process, say)
    say(f"local cloud: ready on {running.url} after {time.monotonic() - begun:.1f} s (pid {running.pid})")
    say(f"local cloud: root's keys are in {credentials.path_of(state)}")
    return running


def stop(state: Path, say: Say, grace: float = GRACE_SECONDS) -> bool:
    """Stop a cloud and every process that it started. Returns whether anything ran."""
    running = find(state)
    if running is not None:
        say(f"local cloud: stopping (pid {running.pid}) ...")
        _signal(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while orphans.alive(running.pid) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if orphans.alive(running.pid):
            say(f"local cloud: did not stop within {grace:g} s, killing it")
            _signal(running.pid, signal.SIGKILL)
            while orphans.alive(running.pid):
                time.sleep(_POLL_SECONDS)
    ended = orphans.end(state)
    if state.exists():
        (state / "server.json").unlink(missing_ok=True)
    if running is not None or ended:
        say("local cloud: stopped")
    return running is not None or ended > 0


def require_free(port: int) -> None:
    """Refuse a port that something listens on.

    Raises:
        ProcessError: Names the port, the holder where it can be told, and what to do.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            holder = orphans.holder_of(port)
            held = f" by {holder}" if holder else ""
            raise ProcessError(
                f"port {port} on 127.0.0.1 is in use{held}: stop that, or take a free port, "
                f"such as LOCALCLOUD_PORT={_free_after(port)}"
            ) from error


def _free_after(port: int) -> int:
    """The next port that nothing listens on; if there is none, any free one."""
    for candidate in (*range(port + 1, min(port + 100, 65536)), 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", candidate))
            return probe.getsockname()[1]
    return port


def _wait_until_ready(state: Path, port: int, process: subprocess.Popen[bytes] | None, say: Say) -> Running:
    deadline = time.monotonic() + START_SECONDS
    reminder = time.monotonic() + 5
    while time.monotonic() < deadline:
        running = find(state)
        if running is not None and running.ready:
            return running
        if process is not None and process.poll() is not None:
            raise ProcessError(f"the local cloud ended while it started (exit {process.returncode}):\n{_tail(state)}")
        if process is None and running is None:
            raise ProcessError(f"the local cloud of {state} ended; start it again")
        if time.monotonic() > reminder:
            say(f"local cloud: still starting on port {port} ...")
            reminder += 5
        time.sleep(_POLL_SECONDS)
    if process is not None:
        process.kill()
    raise ProcessError(f"the local cloud was not ready after {START_SECONDS:.0f} s:\n{_tail(state)}")


def _lost_its_environment(state: Path) -> bool:
    """Tell whether the virtual environment of the cloud that runs is another than at its start, or gone."""
    with (state / "server.lock").open() as file:
        facts = _read(file)
    return "made" in facts and facts["made"] != _made(Path(facts["environment"]))


def _made(environment: Path) -> int | None:
    """When a virtual environment was made, in nanoseconds; None when there is none."""
    try:
        return (environment / "pyvenv.cfg").stat().st_mtime_ns
    except OSError:
        return None


def _locked(file: IO[str], kind: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _tail(state: Path) -> str:
    path = state / "server.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join([*(f"  {line}" for line in lines[-_LOG_TAIL:]), f"the whole log: {path}"])


def _status(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/_localcloud/status", timeout=2) as answer:
            return json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _read(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        return json.loads(file.read() or "{}")
    except ValueError:
        return {}


def to_stderr(line: str) -> None:
    """Show a line of progress."""
    print(line, file=sys.stderr, flush=True)
