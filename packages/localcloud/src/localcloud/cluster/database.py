"""The PostgreSQL of a cluster: Debian's, with data of its own, a user and a database of one name."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from localcloud.cluster.layout import DATABASE, DATABASE_NAME, MACHINE, NODE, PODS, RUN, Layout
from localcloud.cluster.programs import DATABASE_FOLDER
from localcloud.setup.failures import SetupFailed

_ROOT = Path("/usr/lib/postgresql")
_USER = "postgres"


def programs() -> Path:
    """The folder of the newest PostgreSQL that Debian installed.

    Raises:
        SetupFailed: There is none.
    """
    found = sorted(_ROOT.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise SetupFailed(f"There is no PostgreSQL in {_ROOT}", "Install Debian's package postgresql.")
    return found[-1].parent


def prepare(layout: Layout) -> None:
    """Make the data where there is none, and put their folder where the database's user reaches it.

    Raises:
        SetupFailed: initdb refused.
    """
    _bind(layout)
    unlock(layout)
    if _password(layout).exists():
        return
    for left in layout.database.iterdir():  # by a start that was cut off
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    password = secrets.token_urlsafe(24)
    with tempfile.NamedTemporaryFile("w", dir=RUN) as file:
        file.write(password)
        file.flush()
        shutil.chown(file.name, _USER)
        done = subprocess.run(
            [
                *("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"),
                *(programs() / "initdb", "--pgdata", DATABASE_FOLDER, "--username", DATABASE_NAME),
                *("--pwfile", file.name, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
    if done.returncode:
        raise SetupFailed(f"PostgreSQL's initdb refused:\n    {done.stderr.strip()}")
    _create(layout)
    lines = [f"host all all {net} scram-sha-256" for net in (f"{MACHINE}/32", f"{NODE}/32", PODS)]
    (layout.database / "pg_hba.conf").write_text("\n".join([*lines, ""]))
    with open(_password(layout), "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(password)  # the last, so that it tells that all of it is there


def unlock(layout: Layout) -> None:
    """Take away the lock of a server that was killed: while nobody has reaped it, PostgreSQL takes it for alive."""
    lock = layout.database / "postmaster.pid"
    try:
        pid = int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    try:
        runs = b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()  # that of a zombie is empty
    except OSError:
        runs = False
    if not runs:
        lock.unlink(missing_ok=True)


def url(layout: Layout) -> str:
    """What a client connects to, the password in it. Within the cluster's network nothing is encrypted."""
    password = _password(layout).read_text()
    return f"postgresql://{DATABASE_NAME}:{password}@{DATABASE}/{DATABASE_NAME}?sslmode=disable"


def _password(layout: Layout) -> Path:
    return layout.pki / "database.password"


def _create(layout: Layout) -> None:
    """Make the database while no server runs."""
    subprocess.run(
        [
            *("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"),
            *(programs() / "postgres", "--single", "-D", DATABASE_FOLDER, "postgres"),
        ],
        input=f'CREATE DATABASE "{DATABASE_NAME}";\n', capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip


def _bind(layout: Layout) -> None:
    """Mount the folder of the data below /run: a checkout often lies where only root enters."""
    for folder in (layout.database, DATABASE_FOLDER):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not DATABASE_FOLDER.is_mount():
        shutil.chown(layout.database, _USER, _USER)
        subprocess.run(["mount", "--bind", layout.database, DATABASE_FOLDER], check=True)
