"""`make mlflow`: an MLflow server for the local stacks. `make down` stops it, and keeps its data.

It has a separate environment, SQLite, and one worker on loopback, without jobs and telemetry.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from localcloud.setup import Installer, Places, SetupFailed, cached
from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError
from modelstack.cli.target import project_root

PORT = 5000  # default; MLFLOW_PORT overrides it
START_SECONDS = 300.0
END_SECONDS = 10.0
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else eight more processes, for what nothing here asks for
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_TAIL = 15


@dataclass(frozen=True)
class MlflowServer:
    """The server of a folder (database, artifacts, log, record), run from an environment with MLflow."""

    folder: Path
    environment: Path

    @classmethod
    def here(cls, places: Places) -> MlflowServer:
        """The server of a checkout; its environment is created if needed, with OperatorError if that fails."""
        try:
            made = cached(places, Installer(places), places.lock("mlflow"))
        except SetupFailed as error:
            raise OperatorError(str(error), " ".join(error.advice)) from error
        return cls(places.state / "mlflow", made)

    def start(self, port: int) -> str:
        """Start it unless it runs; returns its URL once it answers, OperatorError if it ends before."""
        if found := url(self.folder):
            return found
        _require_free(port)
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "server.log"
        # Without variables that would redirect the server or change its libraries.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._command(port),
                cwd=self.folder,
                env={**inherited, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        started = psutil.Process(process.pid).create_time()
        _record(self.folder).write_text(json.dumps({"pid": process.pid, "started": started, "port": port}))
        until = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                stop(self.folder)
                said = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
                raise OperatorError(f"MLflow did not start; {log} says:\n{said}")
            time.sleep(0.1)
        return f"http://127.0.0.1:{port}"

    def _command(self, port: int) -> list[str]:
        store, artifacts = f"sqlite:///{self.folder / 'mlflow.db'}", str(self.folder / "artifacts")
        return [
            *(str(self.environment / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", store, "--artifacts-destination", artifacts, "--serve-artifacts"),
            *("--workers", "1"),
        ]


def url(folder: Path) -> str | None:
    """URL of the server of a folder; None when none runs."""
    found = _running(folder)
    return f"http://127.0.0.1:{found[1]}" if found and _answers(found[1]) else None


def stop(folder: Path) -> bool:
    """Stop the server of a folder and its processes; whether one ran."""
    found = _running(folder)
    _record(folder).unlink(missing_ok=True)
    if found is None:
        return False
    process, _ = found
    every = [process, *process.children(recursive=True)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in every:
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        _, every = psutil.wait_procs(every, timeout=END_SECONDS)
    return True


def _running(folder: Path) -> tuple[psutil.Process, int] | None:
    """The server's process and port; None when it is gone, even if its pid was reused."""
    try:
        told = json.loads(_record(folder).read_text())
        process = psutil.Process(told["pid"])
        return (process, told["port"]) if process.create_time() == told["started"] else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _record(folder: Path) -> Path:
    return folder / "server.json"


def _answers(port: int) -> bool:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=2)  # over no proxy, whatever the environment names
    try:
        asked.request("GET", "/health")
        return asked.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def _require_free(port: int) -> None:
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError:
            raise OperatorError(
                f"port {port} is taken, and MLflow cannot have it", "Name another one in MLFLOW_PORT, such as 5001."
            ) from None


def main() -> int:
    """Start this checkout's server, and print how to configure a stack for it."""
    return run(_started, stopped="run `make mlflow` again.")


def port_of(environ: Mapping[str, str]) -> int:
    """The port of an environment; OperatorError if it is malformed."""
    given = environ.get("MLFLOW_PORT", str(PORT))
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise OperatorError(f"MLFLOW_PORT: got {given!r}, expected a number from 1 to 65535")
    return int(given)


def _started(console: Console) -> int:
    port = port_of(os.environ)
    server = MlflowServer.here(Places.of(project_root()))
    with console.status("starting MLflow"):
        address = server.start(port)
    console.print(f"MLflow: {address}")
    console.print("To show a stack there, put this under `config:` in its file, such as stacks/Pulumi.local.yaml:")
    console.print(f"    modelstack:mlflow:\n      server: {address}")
    console.print("then: make up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
