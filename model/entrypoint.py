"""The container's entry point: verify the model archive, then serve it.

    MODELSTACK_MANIFEST_SHA256=<hex> python entrypoint.py serve

The archive is unpacked at `SM_MODEL_DIR` (default `/opt/ml/model`, as SageMaker does it). Nothing of it is imported or
unpickled before `manifest.json` has the digest that the model's environment names, every file has the digest that the
manifest names, and Python and the libraries are those that the model was sealed with.

Environment:
    MODELSTACK_MANIFEST_SHA256: Required; sha256 of `manifest.json`, hexadecimal.
    SM_MODEL_DIR: Folder of the unpacked archive.
    SAGEMAKER_BIND_TO_PORT: Port to listen on, 8080 by default.
    BIND_HOST: Address to listen on; loopback by default, the image sets 0.0.0.0.

Exit status: 1 the archive was refused, 2 a wrong command or setting, 3 the model's own code failed.

Standard library only. This file belongs to the image and not to the archive, and so not to the recipe.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from importlib import import_module, metadata
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any


class ArchiveRefused(Exception):
    """The archive is not what was sealed, or cannot run here."""


def verify(folder: Path, manifest_sha256: str) -> dict[str, Any]:
    """Check an unpacked archive and return its manifest. Reads bytes only.

    Raises:
        ArchiveRefused: A file is missing, changed or added, or Python or a library differs from the manifest's.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise ArchiveRefused(f"{path} does not exist: this is not a sealed model archive")
    found = _sha256(path)
    if found != manifest_sha256.lower():
        raise ArchiveRefused(f"manifest.json has sha256 {found}, expected {manifest_sha256}")
    manifest = json.loads(path.read_bytes())
    files: dict[str, str] = manifest["files"]
    present = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_symlink() or not one.is_dir()}
    for name in sorted(present - files.keys() - {"manifest.json"}):
        raise ArchiveRefused(f"{name} is not in the manifest: the archive has a file that was not sealed")
    for name, expected in sorted(files.items()):
        if name not in present or (folder / name).is_symlink():
            raise ArchiveRefused(f"{name} is in the manifest, but not a file of the archive")
        found = _sha256(folder / name)
        if found != expected:
            raise ArchiveRefused(
                f"{name} has sha256 {found}, expected {expected}: the archive was changed after sealing"
            )
    return manifest


def check_environment(manifest: dict[str, Any]) -> None:
    """Refuse a Python or a library that the model was not sealed with: a pickle is only safe to read in the same."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running != manifest["python"]:
        raise ArchiveRefused(f"sealed with Python {manifest['python']}, this is Python {running}: build the image anew")
    for name, expected in sorted(manifest["libraries"].items()):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found != expected:
            raise ArchiveRefused(f"sealed with {name} {expected}, here it is {found}: build the image anew")


def serve(folder: Path, manifest: dict[str, Any], host: str, port: int) -> None:
    """Run the archive's own `model.serving`."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    code = str(folder / "code")
    sys.path_hooks.insert(0, _verified_code(folder, manifest["files"]))
    sys.path[0] = code
    import_module("model.serving").main(folder, host, port)


def main(arguments: list[str]) -> int:
    """Run the command and return the exit status."""
    if arguments != ["serve"]:
        return _refuse(2, f"command {' '.join(arguments) or 'none'!r} is not known: expected serve")
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return _refuse(2, f"SAGEMAKER_BIND_TO_PORT is {port!r}: expected a port, 1 to 65535")
    digest = os.environ.get("MODELSTACK_MANIFEST_SHA256", "")
    if len(digest) != 64:
        return _refuse(
            2, f"MODELSTACK_MANIFEST_SHA256 is {digest!r}: expected the manifest's sha256, 64 hexadecimal digits"
        )
    folder = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model")).resolve()
    try:
        manifest = verify(folder, digest)
        check_environment(manifest)
    except ArchiveRefused as error:
        return _refuse(1, f"the archive in {folder} is refused: {error}")
    try:
        serve(folder, manifest, os.environ.get("BIND_HOST", "127.0.0.1"), int(port))
    except Exception as error:
        traceback.print_exc()
        return _refuse(3, f"the model's code failed: {type(error).__name__}: {error}")
    return 0


def _verified_code(folder: Path, files: dict[str, str]) -> Any:
    """Return a path hook that runs code from the archive only with the digest the manifest names.

    It checks the very bytes that are compiled, and neither reads nor writes bytecode caches.
    """

    class Loader(SourceFileLoader):
        def get_data(self, path: str) -> bytes:
            data = super().get_data(path)
            name = Path(path).relative_to(folder).as_posix()
            if hashlib.sha256(data).hexdigest() != files.get(name):
                raise ImportError(f"{name} is not what the manifest names", path=path)
            return data

        def path_stats(self, path: str) -> Any:
            raise OSError("no bytecode cache: the documented way to make SourceLoader.get_code compile the source")

    def hook(path: str) -> FileFinder:
        if not Path(path).is_relative_to(folder / "code"):
            raise ImportError
        return FileFinder(path, (Loader, [".py"]))

    return hook


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse(status: int, message: str) -> int:
    print(f"cannot serve: {message}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
