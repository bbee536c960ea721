"""For the tests of a project: real clouds, a model that behaves as told, and a CloudWatch whose clock a test moves.

pytest_plugins = ["localcloud.testing.fixtures"]      # in the project's conftest.py: `cloud`, `new_cloud`
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import boto3

from localcloud import fault_commands, process
from localcloud.server import credentials
from localcloud.server.credentials import Credentials
from localcloud.setup import Places

MODEL_SERVER = Path(__file__).with_name("served_model.py")
"""A model server for `localcloud.toml`: `command = [PYTHON, MODEL_SERVER, "serve"]`. Its archive says what it does."""

_LAST_LINES = 40


class Cloud:
    """A real local cloud on a free port of 127.0.0.1.

    Attributes:
        state: Its state folder.
        port: Its port.
        url: The endpoint of all services.
        config: Its localcloud.toml, or None.
        python: Of the environment that its process runs in.
    """

    def __init__(self, state: Path, config: Path | None = None) -> None:
        self.state = state
        self.config = config
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.python = process.find_python(Places.here().root)
        self._clients: dict[tuple[str, ...], Any] = {}

    @property
    def pid(self) -> int:
        """Process id of the server; 0 when none runs."""
        running = process.find(self.state)
        return running.pid if running else 0

    @property
    def keys(self) -> Credentials:
        """Keys of the root of the cloud's own account."""
        return self.keys_of(None)

    def keys_of(self, account: str | None) -> Credentials:
        """Keys of an account's root; None is the cloud's own account. One that is not there yet is made."""
        return credentials.of(self.state, account)

    def environment(self, account: str | None = None) -> dict[str, str]:
        """What points a process at this cloud, as an account's root in us-east-1."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1", **process.keys(self.state, account)}

    def session(self, account: str | None = None) -> boto3.Session:
        """A session of an account's root in us-east-1; its clients need this cloud's `url`."""
        keys = self.keys_of(account)
        return boto3.Session(keys.access_key_id, keys.secret_access_key, region_name="us-east-1")

    def faults(self, method: str, document: dict[str, Any] | None = None, query: str = "") -> dict[str, Any]:
        """As `faults`, of this cloud."""
        return faults(self.state, method, document, query)

    def client(
        self,
        service: str,
        access_key: str | None = None,
        secret: str | None = None,
        token: str | None = None,
        *,
        account: str | None = None,
        region: str = "us-east-1",
    ) -> Any:
        """A boto3 client of an account's root unless keys are given; made once, as most calls take less."""
        root = self.keys_of(account)
        access_key, secret = access_key or root.access_key_id, secret or root.secret_access_key
        wanted = (service, access_key, secret, token or "", region)
        if wanted not in self._clients:
            session = boto3.Session(access_key, secret, token, region_name=region)
            self._clients[wanted] = session.client(service, endpoint_url=self.url)
        return self._clients[wanted]

    def start(self) -> None:
        """Start it and wait until it is ready."""
        process.start(self.state, self.port, self.python, self.config, process.to_stderr)

    def stop(self) -> None:
        """Stop it and all that it started."""
        process.stop(self.state, process.to_stderr)

    def kill(self) -> None:
        """End the server as `kill -9` does, leaving its children."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        while process.find(self.state) is not None:
            time.sleep(0.01)

    def last_words(self) -> str:
        """The end of its log, with a line that says whether it runs; empty when it was never started."""
        path = self.state / "server.log"
        if not path.exists():
            return ""
        runs = "runs" if process.find(self.state) else "does not run"
        said = path.read_text(errors="replace").splitlines()
        fatal = [line for line in said[:-_LAST_LINES] if line.startswith("Fatal Python error")]
        return "\n".join([f"the local cloud {self.url} {runs}; the end of its log:", *fatal, *said[-_LAST_LINES:]])

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same state."""
        self.stop()
        self.start()


def faults(state: Path, method: str, document: dict[str, Any] | None = None, query: str = "") -> dict[str, Any]:
    """List (GET), add (POST with a document) or clear (DELETE) faults of the cloud that runs on a state folder."""
    return fault_commands.call(state, method, document, query)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
