"""A PostgreSQL server of the tests' own, on a free port of the loopback device."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pg8000.native import Connection

from localcloud.testing import free_port
from modelstack.platforms.kubernetes.database import Database
from modelstack.rollout.core.errors import RolloutError
from tests.machine import POSTGRES, postgresql
from tests.platforms.kubernetes.certificates import certificate

_SECONDS = 30


@dataclass
class Server:
    """A server that tests may kill; user `owner` owns everything."""

    folder: Path
    port: int
    password: str
    process: subprocess.Popen[bytes]

    @property
    def certificate(self) -> Path:
        """Its own, of 127.0.0.1."""
        return self.folder.parent / "cert.pem"

    def url(self, name: str = "owner", user: str = "owner", password: str | None = None, query: str = "") -> str:
        return (
            f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{name}?{query or 'sslmode=disable'}"
        )

    def kill(self) -> None:
        """As a power cut, as far as a process can have one: its children are groups of their own."""
        if self.process.poll() is not None:
            return
        children = psutil.Process(self.process.pid).children()
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()
        psutil.wait_procs(children, _SECONDS)

    def start(self) -> None:
        """Again, as soon as the processes of the one before have noticed that it is gone."""
        end = time.monotonic() + _SECONDS
        while True:
            self.process = _started(self.folder, self.port)
            try:
                return self.wait()
            except RolloutError:
                if time.monotonic() > end:
                    raise

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + _SECONDS
        while True:
            database = Database.of(self.url("postgres"))
            try:
                database.run("ask", "SELECT 1")
                return
            except RolloutError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.1)
            finally:
                database.close()


@contextmanager
def running() -> Generator[Server]:
    """A server until the block ends, as another user where the tests are root's."""
    programs = postgresql()
    assert programs is not None
    # The temporary folder of a test is closed to other users.
    where = "/tmp" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="modelstack-postgresql-", dir=where, ignore_cleanup_errors=True) as place:
        folder, password, port = Path(place), secrets.token_hex(8), free_port()
        words = folder / "password"
        words.write_text(password)
        if os.geteuid() == 0:
            shutil.chown(folder, POSTGRES)
            shutil.chown(words, POSTGRES)
        data = folder / "data"
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", "owner", f"--pwfile={words}", "--auth=scram-sha-256"),
                *("--no-sync", "--encoding=UTF8", "--locale=C"),
            ],
            check=True,
            capture_output=True,
            **_as_another(),
        )
        certificate(folder)
        (folder / "key.pem").chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(folder / "key.pem", POSTGRES)
        server = Server(data, port, password, _started(data, port))
        try:
            server.wait()
            new_database(server, "owner")
            yield server
        finally:
            server.kill()  # nobody needs its data any more


def new_database(server: Server, name: str) -> None:
    """Outside of a transaction, as PostgreSQL wants it."""
    with Connection(
        "owner", host="127.0.0.1", port=server.port, database="postgres", password=server.password, ssl_context=False
    ) as connection:
        connection.run(f"CREATE DATABASE {name}")


def _started(data: Path, port: int) -> subprocess.Popen[bytes]:
    programs = postgresql()
    assert programs is not None
    return subprocess.Popen(
        [
            *(programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1"),
            *("-c", f"unix_socket_directories={data}", "-c", "max_connections=60", "-c", "shared_buffers=32MB"),
            *("-c", "ssl=on", "-c", f"ssl_cert_file={data.parent}/cert.pem"),
            *("-c", f"ssl_key_file={data.parent}/key.pem"),
            *("-c", "fsync=off"),  # the machine itself does not fall
        ],
        stdout=subprocess.DEVNULL,
        stderr=(data.parent / "log").open("ab"),
        **_as_another(),
    )


def _as_another() -> dict[str, Any]:
    return {"user": POSTGRES, "group": POSTGRES, "cwd": "/"} if os.geteuid() == 0 else {"cwd": "/"}
