"""The wheels of the serving lock, for a build that has no network."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup.places import Places
from ops.errors import OperatorError


def wheels(root: Path, python: str, progress: Callable[[str], None]) -> Path:
    """Return a folder with every wheel that `requirements/serving.txt` locks, hashes checked; downloaded once.

    Args:
        root: The checkout.
        python: Version of the image's Python, such as `3.11`.
        progress: Called with what is being done.

    Raises:
        OperatorError: A wheel cannot be had, or has another hash than the lock.
    """
    lock = root / "requirements" / "serving.txt"
    machine = platform.machine()
    content = hashlib.sha256(lock.read_bytes() + f"{python} {machine}".encode()).hexdigest()[:12]
    cache = Places.of(root).cache
    kept = cache / f"wheels-{content}"
    if kept.is_dir():
        return kept
    progress(f"downloading the wheels of {lock.relative_to(root)} for Python {python} on {machine}")
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="wheels-", dir=cache) as folder:
        pip = Path(folder) / "pip"
        _run([sys.executable, "-m", "venv", str(pip)], "pip cannot be had; on Debian, install python3-venv")
        _run(
            [
                *(str(pip / "bin" / "python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", str(lock)),
                *("--implementation", "cp", "--python-version", python, *_platforms(machine)),
                *("--dest", f"{folder}/wheels"),
            ],
            "the wheels cannot be downloaded",
        )
        shutil.move(f"{folder}/wheels", kept)
    return kept


def _platforms(machine: str) -> list[str]:
    """Tags of wheels for a Linux with glibc 2.36 (Debian bookworm), newest first, as pip wants them spelled out."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    return [word for tag in tags for word in ("--platform", tag)]


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise OperatorError(f"{failure}: {said}", "The network, and the lock file in requirements/, are where to look.")
