"""Which code does a step run? That of the checkout it was started in, or a model from elsewhere with this pipeline.

    with checkout(Path("code"), None, "sha256:...", out) as root: ...

Model code comes as a folder that holds `model/`, or as a sealed package, of which nothing is read before its digest was
checked.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import archive
from pipeline.contract import DATA, Refusal
from pipeline.locks import locked
from pipeline.pack import ARCHIVE

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("pipeline", "monitoring", "provenance", "serving", "requirements")


@contextmanager
def checkout(code: Path | None, raw_data: Path | None, code_digest: str, out: Path) -> Generator[Path]:
    """The folder that a step runs in, while it runs.

    Args:
        code: Holds `model/`, or the archive of a package; None for the code of the current folder.
        raw_data: The model's own data files; None for those that are there.
        code_digest: What the archive's digest has to be.
        out: Where the step's outcome goes: what is laid out lies beside it.

    Raises:
        Refusal: The archive has another one, was sealed with other libraries, or there is neither.
    """
    if code is None and raw_data is None:
        yield Path.cwd()
        return
    with work_folder(out, "checkout") as folder:
        lay_out(_model(code, code_digest, folder / "package"), folder / "root", raw_data)
        yield folder / "root"


@contextmanager
def work_folder(out: Path, what: str) -> Generator[Path]:
    """A folder beside an outcome while a step runs; what a step that was killed has left there is removed first."""
    folder = out.with_name(f"{out.name}.{what}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sealed_code(code: Path | None, code_digest: str) -> Mapping[str, Any] | None:
    """The manifest of the package whose code is run; None where it is that of a folder.

    Raises:
        Refusal: The archive has another digest, or was sealed with other libraries.
    """
    if code is None or not (code / ARCHIVE).exists():
        return None
    try:
        manifest = archive.verify(code / ARCHIVE, code_digest or "none was given").content
    except archive.ArchiveError as error:
        raise Refusal(f"the package is refused, nothing of it was run: {error}") from None
    if differs := sealed_elsewhere(manifest):
        raise Refusal(f"{differs}: run it with the image of the package's own libraries")
    return manifest


def sealed_elsewhere(manifest: Mapping[str, Any]) -> str:
    """How this environment differs from the one that a package was sealed in; empty where it does not."""
    here, python = locked(ROOT / "requirements" / "app.txt"), f"{sys.version_info.major}.{sys.version_info.minor}"
    sealed: Mapping[str, str] = {**manifest["libraries"], **manifest["trained_with"]}
    differ = sorted(name for name, version in sealed.items() if here.get(name) != version)
    if manifest["python"] == python and not differ:
        return ""
    return (
        f"the champion was sealed with Python {manifest['python']}, this is Python {python}; other versions here of "
        f"{', '.join(differ) or 'no library'}"
    )


def lay_out(model: Path, root: Path, raw_data: Path | None = None) -> None:
    """A checkout of a model's code and this pipeline, for steps to run in.

    Args:
        model: The folder `model/`.
        root: A folder that is not there yet.
        raw_data: The model's own data files; None for those of this checkout.
    """
    shutil.copytree(model, root / "model", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ROOMS:
        (root / room).symlink_to(ROOT / room)
    data = raw_data or ROOT / DATA
    if data.is_dir():
        (root / DATA).symlink_to(data.resolve())  # large, and only read


def _model(code: Path | None, code_digest: str, to: Path) -> Path:
    """The folder `model/` of what was given; a package is unpacked first."""
    if sealed_code(code, code_digest) is not None and code is not None:
        archive.unpack(code / ARCHIVE, to)
        return to / "code" / "model"
    found = (Path.cwd() if code is None else code) / "model"
    if not found.is_dir():
        raise Refusal(f"{code} holds neither model/ nor {ARCHIVE}")
    return found
