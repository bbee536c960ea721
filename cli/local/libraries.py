"""A folder of installed libraries, made of wheels without running anything of them.

Source: Python Packaging User Guide, "Binary distribution format", installing a wheel.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from cli.errors import OperatorError

_INTO = frozenset({"purelib", "platlib"})


def install(wheels: Path, folder: Path) -> None:
    """Unpack every wheel of a folder into one of site-packages. Commands that wheels bring along are left out.

    Raises:
        OperatorError: A wheel is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(wheels.glob("*.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    place = _place(member.filename)
                    if place is not None and not member.is_dir():
                        to = folder / place
                        to.parent.mkdir(parents=True, exist_ok=True)
                        to.write_bytes(archive.read(member))
        except zipfile.BadZipFile as error:
            raise OperatorError(f"{wheel} is no wheel: {error}") from error


def compile_all(folder: Path, runs_at: str, python: str) -> bool:
    """Compile every module, so that no start of a container has to; whether that was done.

    The bytes are those of the sources alone: no times, and the paths of the image.

    Args:
        folder: What is compiled.
        runs_at: Where it will be in the image.
        python: The image's Python, such as `3.11`; another one than this cannot compile for it.
    """
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return False
    words = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", runs_at, str(folder))
    # Some libraries bring templates along that are no Python, and the command says so with its exit code.
    subprocess.run([sys.executable, "-m", "compileall", *words], stdout=subprocess.DEVNULL, check=False)
    return True


def _place(name: str) -> str | None:
    """Where a member of a wheel belongs; None of what is no library."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        return None
    if not parts[0].endswith(".data"):
        return name
    return "/".join(parts[2:]) if parts[1:2] and parts[1] in _INTO else None
