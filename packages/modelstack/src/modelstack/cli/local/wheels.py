"""The wheels of an image's lock, for a build without network access."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup import Places
from modelstack.cli.errors import OperatorError


def lock_of(root: Path, image: str) -> Path:
    """The lock of an image: its own or, of one that does not serve, that of the whole project, which has more."""
    own = root / "requirements" / f"{image}.txt"
    return own if own.exists() or image == "serving" else root / "requirements" / "app.txt"


def wheels(root: Path, name: str, python: str, progress: Callable[[str], None]) -> Path:
    """A cached folder with a wheel of each package in an image's lock, hashes checked; `python` is such as `3.11`.

    A package without a wheel is built here from its source, if the result holds nothing compiled.
    """
    lock = lock_of(root, name)
    machine = platform.machine()
    content = hashlib.sha256(lock.read_bytes() + f"{python} {machine}".encode()).hexdigest()[:12]
    cache = Places.of(root).cache
    kept = cache / f"wheels-{content}"
    if kept.is_dir():
        return kept
    progress(f"downloading the wheels of {lock.relative_to(root)} for Python {python} on {machine}")
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="wheels-", dir=cache) as folder:
        made = Path(folder) / "wheels"
        _run([sys.executable, "-m", "venv", f"{folder}/pip"], "pip cannot be had; on Debian, install python3-venv")
        pip = [f"{folder}/pip/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run(
            [
                *(*pip, "download", "--require-hashes", "--no-deps", "--prefer-binary", "--requirement", str(lock)),
                *("--implementation", "cp", "--python-version", python, *_platforms(machine)),
                *("--dest", str(made)),
            ],
            "the wheels cannot be downloaded",
        )
        _make_missing(made, pip)
        shutil.move(made, kept)
    return kept


def _make_missing(folder: Path, pip: list[str]) -> None:
    """Replace each source by a wheel."""
    given = set(folder.glob("*.whl"))
    for source in set(folder.iterdir()) - given:
        command = [*pip, "wheel", "--use-pep517", "--no-deps", "--wheel-dir", str(folder), str(source)]
        _run(command, f"{source.name} gives no wheel")  # without the option, pip before 23.1 needs the package wheel
        source.unlink()
    for wheel in set(folder.glob("*.whl")) - given:
        if not wheel.name.endswith("-none-any.whl"):
            raise OperatorError(
                f"{wheel.name} was compiled on this machine, and may not run in the image",
                "Lock a version that the registry has a wheel of.",
            )


def _platforms(machine: str) -> list[str]:
    """Wheel tags for Linux with glibc 2.36 (Debian bookworm), newest first; pip needs each of them."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    return [word for tag in tags for word in ("--platform", tag)]


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise OperatorError(f"{failure}: {said}", "The network, and the lock file in requirements/, are where to look.")
