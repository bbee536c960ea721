"""Fixtures that every room may use."""

from __future__ import annotations

import functools
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings

from localcloud.server import process

ROOT = Path(__file__).resolve().parents[1]

# On a busy machine a slow example is no failure; the rest is hypothesis's own profile, the one for CI where CI is set.
settings.register_profile("patient", settings(settings.default, deadline=None))
settings.load_profile("patient")


def pytest_configure() -> None:
    """Hear signals, also where the tests run behind a script's `&` or a `nohup`.

    The tests send SIGINT and SIGHUP, and `sh` traps none that was ignored when it began.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Each session of boto3 would parse the models of its services anew, which takes longer than most tests.
    JSONFileLoader.load_file = staticmethod(functools.cache(JSONFileLoader().load_file))


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep in the session's own folder what processes leave that the tests kill."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("scratch")))
        patch.setattr(tempfile, "tempdir", None)
        yield


class Cloud:
    """A real local cloud on a free port of 127.0.0.1.

    Attributes:
        state: Its state folder.
        port: Its port.
        url: The endpoint of all services.
        config: Its localcloud.toml.
    """

    def __init__(self, state: Path, config: Path = ROOT / "localcloud.toml") -> None:
        self.state = state
        self.config = config
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.python = process.find_python(ROOT)

    @property
    def pid(self) -> int:
        """Process id of the server; 0 when none runs."""
        running = process.find(self.state)
        return running.pid if running else 0

    def client(self, service: str, access_key: str = "test", secret: str = "test", token: str | None = None) -> Any:
        """A boto3 client of this cloud, root's unless keys are given."""
        session = boto3.Session(access_key, secret, token, region_name="us-east-1")
        return session.client(service, endpoint_url=self.url)

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

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same state."""
        self.stop()
        self.start()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def new_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cloud]]:
    """Makes clouds that are not started yet, each with a state folder of its own; all end with the session."""
    made: list[Cloud] = []

    def make(config: Path = ROOT / "localcloud.toml") -> Cloud:
        made.append(Cloud(tmp_path_factory.mktemp("cloud"), config))
        return made[-1]

    yield make
    for cloud in made:
        cloud.stop()


@pytest.fixture(scope="session")
def cloud(new_cloud: Callable[..., Cloud]) -> Cloud:
    """One running cloud for the whole session. Tests share it, so each takes names of its own."""
    cloud = new_cloud()
    cloud.start()
    return cloud
