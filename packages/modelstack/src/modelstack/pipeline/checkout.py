"""The folder in which a step runs: the current checkout, or model code from elsewhere with this pipeline.

Model code comes as a folder that holds `model/`, or as a sealed package, which is not read before its digest matches.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelstack.pipeline import archive
from modelstack.pipeline.contract import DATA, Refusal
from modelstack.pipeline.locks import locked
from modelstack.pipeline.pack import ARCHIVE


@contextmanager
def checkout(code: Path | None, raw_data: Path | None, code_digest: str, out: Path) -> Generator[Path]:
    """The folder that a step runs in, while it runs; a new one is next to `out`, the step's outcome.

    `code` holds `model/`, or the archive of a package with digest `code_digest`; None for the current folder.
    """
    if code is None and raw_data is None:
        yield Path.cwd()
        return
    with work_folder(out, "checkout") as folder:
        lay_out(_model(code, code_digest, folder / "package"), folder / "root", Path.cwd(), raw_data)
        yield folder / "root"


@contextmanager
def work_folder(out: Path, what: str) -> Generator[Path]:
    """A folder next to an outcome while a step runs; leftovers of a killed step are removed first."""
    folder = out.with_name(f"{out.name}.{what}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sealed_code(code: Path | None, code_digest: str) -> Mapping[str, Any] | None:
    """The manifest of the package whose code is run, or None for a folder; refuses other digests or libraries."""
    if code is None or not (code / ARCHIVE).exists():
        return None
    try:
        manifest = archive.verify(code / ARCHIVE, code_digest or "none was given").content
    except archive.ArchiveError as error:
        raise Refusal(f"the package is refused, nothing of it was run: {error}") from None
    if differs := sealed_elsewhere(manifest, Path.cwd()):
        raise Refusal(f"{differs}: run it with the image of the package's own libraries")
    return manifest


def sealed_elsewhere(manifest: Mapping[str, Any], project: Path) -> str:
    """How a project's environment differs from the one that a package was sealed in; empty if it does not."""
    here, python = locked(project / "requirements" / "app.txt"), f"{sys.version_info.major}.{sys.version_info.minor}"
    sealed: Mapping[str, str] = {**manifest["libraries"], **manifest["trained_with"]}
    differ = sorted(name for name, version in sealed.items() if here.get(name) != version)
    if manifest["python"] == python and not differ:
        return ""
    return (
        f"the champion was sealed with Python {manifest['python']}, this is Python {python}; other versions here of "
        f"{', '.join(differ) or 'no library'}"
    )


def lay_out(model: Path, root: Path, project: Path, raw_data: Path | None = None) -> None:
    """Create a checkout of the folder `model/` with a project's locks and, by default, its data files."""
    shutil.copytree(model, root / "model", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "requirements").symlink_to(project / "requirements")
    data = raw_data or project / DATA
    if data.is_dir():
        (root / DATA).symlink_to(data.resolve())  # large, and only read


def _model(code: Path | None, code_digest: str, to: Path) -> Path:
    """The folder `model/` of the given code; a package is unpacked first."""
    if sealed_code(code, code_digest) is not None and code is not None:
        archive.unpack(code / ARCHIVE, to)
        return to / "code" / "model"
    found = (Path.cwd() if code is None else code) / "model"
    if not found.is_dir():
        raise Refusal(f"{code} holds neither model/ nor {ARCHIVE}")
    return found
