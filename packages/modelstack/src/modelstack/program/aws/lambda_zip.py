"""A reproducible archive of the Lambda functions' code: the same sources give the same bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelstack.monitoring.custom import FOLDER

ROOMS = ("monitoring", "platforms", "records", "rollout", "services")
LARGEST = 1_024_000
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest in a zip
_MODE = 0o100644 << 16
# Not used by handlers: numpy code, job programs, package registration and restoring, the other platform.
_LEFT_OUT = (
    "modelstack/monitoring/bulk.py",
    "modelstack/platforms/aws/jobs/",
    "modelstack/platforms/addresses.py",
    "modelstack/platforms/package_locations.py",
    "modelstack/platforms/steps.py",
    "modelstack/platforms/s3/package_store.py",
    "modelstack/platforms/aws/package_registry.py",
    "modelstack/platforms/aws/package_store.py",
    "modelstack/platforms/kubernetes/",
    "modelstack/records/lineage/openlineage.py",
    "modelstack/records/lineage/package.py",
    "modelstack/records/provenance/",
    "modelstack/services/package_registry.py",
    "modelstack/services/package_store.py",
    "modelstack/services/publish_steps.py",
)


@dataclass(frozen=True)
class Bundle:
    """A sealed archive of code, with its sha256 as Lambda encodes it."""

    path: Path
    sha256_base64: str


def seal(root: Path, folder: Path, own: Iterable[Path] = ()) -> Bundle:
    """Write the archive to a folder; ValueError if a package has no code or the archive exceeds 1,024 kB.

    `own` are the files of the project's own metrics.
    """
    sources = [
        *(root / "modelstack").glob("*.py"),
        *(path for room in ROOMS for path in _sources(root / "modelstack", room)),
    ]
    named = {path.relative_to(root).as_posix(): path for path in sources}
    named |= {f"{FOLDER}/{path.name}": path for path in own}
    folder.mkdir(parents=True, exist_ok=True)
    handle, part_name = tempfile.mkstemp(dir=folder, suffix=".zip.part")
    os.close(handle)
    part = Path(part_name)
    # Not compressed: zlib builds differ in their output.
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(named.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr, entry.create_system = _MODE, 3
            archive.writestr(entry, path.read_bytes())
    content = part.read_bytes()
    if len(content) > LARGEST:
        part.unlink()
        raise ValueError(f"the functions' archive has {len(content):,} bytes, allowed are {LARGEST:,}")
    digest = hashlib.sha256(content)
    path = part.replace(folder / f"functions-{digest.hexdigest()[:12]}.zip")
    return Bundle(path, base64.b64encode(digest.digest()).decode())


def _sources(root: Path, room: str) -> list[Path]:
    every = (root / room).rglob("*.py")
    found = [path for path in every if not path.relative_to(root.parent).as_posix().startswith(_LEFT_OUT)]
    if not found:
        raise ValueError(f"{root / room}: no Python files, expected the room {room}/ of this repository")
    return found
