"""A real registry, Debian's `docker-registry`."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from localcloud.testing import free_port

LOGIN = ("ana", "secret")
_HASHED = "$2b$05$DOC7gXt9D30t5KyVpiZiy.AZQMsyTA3/1rxlzFsFJqEuHKLJltPM6"
"""The password as the registry wants it, by bcrypt."""


@contextmanager
def running(folder: Path, *, login: bool = False, tls: Path | None = None) -> Iterator[str]:
    """A registry on a free port of this machine, until the block ends; yields its HOST:PORT.

    With `login` only `LOGIN` may use it; `tls` is a folder with `cert.pem` and `key.pem`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of nobody"},
    }
    if login:
        (folder / "htpasswd").write_text(f"{LOGIN[0]}:{_HASHED}\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if tls:
        config["http"]["tls"] = {"certificate": str(tls / "cert.pem"), "key": str(tls / "key.pem")}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
