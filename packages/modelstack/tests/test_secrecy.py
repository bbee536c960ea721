"""What looks for secrets finds them, however they are written and packed."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.secrecy import Watch, held, leaks

SECRET = 'p/ss+"w\\rd-4711~ü'
SECRETS = {SECRET: "PASSWORD"}


def packed_by_tar(content: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("a/b")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def packed_by_zip(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    return target.getvalue()


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET.encode().hex(),
        quote(SECRET, safe=""),
        json.dumps({"at": SECRET}),
        *(base64.b64encode(f"{before}{SECRET} and more".encode()).decode() for before in ("", "u", "us", "user:")),
        base64.urlsafe_b64encode(f"user:{SECRET}".encode()).decode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: str) -> None:
    assert held(f"before {written} behind".encode(), SECRETS) == ["PASSWORD"]


def test_what_is_like_a_secret_is_none() -> None:
    assert held(f"{SECRET[:-2]} {SECRET[1:]} {SECRET.upper()}".encode(), SECRETS) == []


@pytest.mark.parametrize(
    "packing",
    [
        lambda content: content,
        gzip.compress,
        packed_by_tar,
        packed_by_zip,
        lambda content: packed_by_zip(gzip.compress(packed_by_tar(content))),
    ],
)
def test_a_secret_is_found_in_what_archives_hold(tmp_path: Path, packing: Callable[[bytes], bytes]) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(packing(f"x{SECRET}".encode()))
    (tmp_path / "credentials").write_text(SECRET)
    found = leaks(tmp_path, SECRETS, ["credentials"])
    assert found
    assert {line.partition("/")[0] for line in found} == {"inner"}
    assert not leaks(tmp_path, SECRETS, ["credentials", "inner/*"])


def test_a_broken_archive_is_looked_at_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"much" * 1000)[:20] + SECRET.encode())
    assert leaks(tmp_path, SECRETS, []) == ["a holds PASSWORD"]


@pytest.mark.slow
def test_processes_of_the_story_tell_their_secrets_and_are_searched_for_them() -> None:
    own = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "GITHUB_TOKEN": "given-to-the-story"}
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    with Watch(own) as watch:
        env = {**os.environ, **own, "AWS_SECRET_ACCESS_KEY": "given-to-a-role"}
        started = [
            subprocess.Popen([*sleeps, "given-to-a-role"], env=env),
            subprocess.Popen([*sleeps, "given-to-the-story"], env={**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}),
        ]
        try:
            end = time.monotonic() + 120
            while not watch.called_with() and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            for process in started:
                process.kill()
                process.wait()
    assert watch.secrets == {"given-to-the-story": "GITHUB_TOKEN", "given-to-a-role": "AWS_SECRET_ACCESS_KEY"}
    assert watch.called_with() == ["a command line holds AWS_SECRET_ACCESS_KEY"]
