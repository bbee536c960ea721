"""The verification of an unpacked package: unchanged, and sealed with the Python and the libraries that run here.

Nothing of a package is imported or unpickled before `manifest.json` and every file in it have the expected digests.
Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import metadata
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from modelstack.forms import check
from modelstack.serving import former_names


class PackageRefused(Exception):
    """The package was changed, or cannot run here."""


def verify(folder: Path, manifest_sha256: str) -> dict[str, Any]:
    """Return the manifest of an unpacked package, or refuse a missing, changed or added file. Reads bytes only."""
    manifest = manifest_of(folder, manifest_sha256)
    files: dict[str, str] = manifest["files"]
    present = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_symlink() or not one.is_dir()}
    for name in sorted(present - files.keys() - {"manifest.json"}):
        raise PackageRefused(f"{name} is not in the manifest: the package has a file that was not sealed")
    for name, expected in sorted(files.items()):
        if name not in present or (folder / name).is_symlink():
            raise PackageRefused(f"{name} is in the manifest, but not a file of the package")
        found = _sha256(folder / name)
        if found != expected:
            raise PackageRefused(
                f"{name} has sha256 {found}, expected {expected}: the package was changed after sealing"
            )
    return manifest


def check_environment(manifest: dict[str, Any]) -> None:
    """Refuse another Python or library than the model was sealed with: a pickle is safe only with the same."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running != manifest["python"]:
        raise PackageRefused(f"sealed with Python {manifest['python']}, this is Python {running}: build the image anew")
    for name, expected in sorted(manifest["libraries"].items()):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found != expected:
            raise PackageRefused(f"sealed with {name} {expected}, here it is {found}: build the image anew")


def code_from(folder: Path, manifest: dict[str, Any]) -> None:
    """Make `import model` find the package's own code, and nothing in the working directory."""
    sys.path_hooks.insert(0, _verified_code(folder, manifest["files"]))
    # The library's own folder stays: of an installed wheel it is that of all libraries.
    sys.path[:] = [str(folder / "code"), *(place for place in sys.path if place)]
    former_names.install()


def manifest_of(folder: Path, manifest_sha256: str) -> dict[str, Any]:
    """The manifest of an unpacked package, if it has the digest; only its own bytes are checked."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise PackageRefused(f"{path} does not exist: this is not a sealed model package")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != manifest_sha256.lower():
        raise PackageRefused(f"manifest.json has sha256 {found}, expected {manifest_sha256}")
    manifest: dict[str, Any] = json.loads(content)
    check("package manifest", manifest.get("version", 1), PackageRefused)
    return manifest


def _verified_code(folder: Path, files: dict[str, str]) -> Any:
    """A path hook that runs code of the package only with the manifest's digest.

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
