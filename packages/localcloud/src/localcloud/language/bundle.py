"""What stands beside the engine's binary? Two launchers, and the host's sources in a folder named by their content.

A folder is never changed once it is there, so a running host is not disturbed by a newer one. Stdlib only, since set-up
runs this before there is an environment.
"""

import hashlib
import os
import shutil
from pathlib import Path

NAMES = ("pulumi-language-python", "pulumi-resource-pulumi-python")
"""The names under which the engine looks for its Python host and the provider of dynamic resources."""

PACKAGE = "pulumi_language_host"
_FOLDER = Path(__file__).parent
_LEFT_OUT = {"bundle.py"}
_MAIN = f"""\
import sys

import {PACKAGE}.start

del sys.path[0]  # this folder; the package finds its own modules without it
{PACKAGE}.start.main(sys.argv)
"""


def install(beside: Path) -> bool:
    """Put the host beside the engine.

    Args:
        beside: The folder of the engine's binary.

    Returns:
        Whether anything had to be written.
    """
    files = {"main.py": _MAIN.encode()}
    for source in sorted(_FOLDER.glob("*.py")):
        if source.name not in _LEFT_OUT:
            files[f"{PACKAGE}/{source.name}"] = source.read_bytes()
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]
    changed = _write_folder(beside.parent / f"host-{digest}", files)
    launcher = (_FOLDER / "start.sh").read_bytes().replace(b"@HOST@", f"host-{digest}".encode())
    for name in NAMES:
        changed |= _write_launcher(beside / name, launcher)
    return changed


def _write_folder(folder: Path, files: dict[str, bytes]) -> bool:
    if folder.exists():
        return False
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    (making / PACKAGE).mkdir(parents=True)
    for name, content in files.items():
        (making / name).write_bytes(content)
    try:
        making.rename(folder)
    except OSError:
        shutil.rmtree(making)
        if not folder.exists():  # or else another set-up was faster
            raise
    return True


def _write_launcher(file: Path, content: bytes) -> bool:
    if file.exists() and file.read_bytes() == content:
        return False
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.write_bytes(content)
    new.chmod(0o755)
    new.rename(file)
    return True
