"""`python -m modelstack.serving fetch`, run by an init container, fetches a package into a folder; see
docs/reference/serving.md.

The archive's digest is checked before unpacking, and each file before it is put in place. The manifest comes last, and
nothing serves without it. So a fetch may be killed at any time and repeated. Standard library only.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelstack.serving.download import BucketSource, DownloadError, RegistrySource, download
from modelstack.serving.package import PackageRefused, verify
from modelstack.serving.registry import Repository
from modelstack.serving.registry_protocol import SCHEME, Blob, ProtocolError
from modelstack.serving.settings import SettingError
from modelstack.serving.unpacking import MAX_BYTES, ArchiveError, unpack

MANIFEST = "manifest.json"
_WORK = ".fetch"
"""The subfolder for unchecked files: renames from there stay on one disk."""
_SHA256 = re.compile("[0-9a-fA-F]{64}")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+")


@dataclass(frozen=True)
class PackageSource:
    """The archive's source and digest, the manifest's digest (both hexadecimal), and the target folder."""

    source: RegistrySource | BucketSource
    archive_sha256: str
    manifest_sha256: str
    folder: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> PackageSource:
        """Read the variables. Raises SettingError for a wrong one."""
        uri = environment.get("MODELSTACK_ARCHIVE", "")
        try:
            if uri.startswith(SCHEME):
                blob = Blob.parse(uri)
                source = RegistrySource(Repository.of(blob.registry, blob.repository, environment), blob.digest)
                archive = blob.digest.removeprefix("sha256:")
            elif _BUCKET.fullmatch(uri):
                source, archive = BucketSource.of(uri, environment), _digest(environment, "MODELSTACK_ARCHIVE_SHA256")
            else:
                raise ProtocolError(
                    f"{uri!r} is not allowed: expected oci://HOST[:PORT]/REPOSITORY@sha256:<digest> or s3://bucket/key"
                )
        except ProtocolError as error:
            raise SettingError(f"MODELSTACK_ARCHIVE: {error}") from None
        manifest = _digest(environment, "MODELSTACK_MANIFEST_SHA256")
        return cls(source, archive, manifest, Path(environment.get("SM_MODEL_DIR", "/opt/ml/model")).resolve())


def run(environment: Mapping[str, str]) -> int:
    """Fetch the package and return the exit status, see `modelstack.serving.__main__`."""
    try:
        fetch(PackageSource.of(environment), _say)
    except SettingError as error:
        return _refuse(str(error), 2)
    except PackageRefused as error:
        return _refuse(f"the package is refused: {error}", 1)
    except (DownloadError, ProtocolError, OSError) as error:
        return _refuse(str(error), 4)
    return 0


def fetch(wanted: PackageSource, say: Callable[[str], None]) -> None:
    """Put a package into a folder, whole and verified; keeps one that is there already.

    Raises:
        PackageRefused: The archive has another digest, or cannot be unpacked safely.
        DownloadError: The archive cannot be downloaded.
        ProtocolError: The registry uses an unknown protocol.
        OSError: The disk is full or read-only.
    """
    folder, work = wanted.folder, wanted.folder / _WORK
    shutil.rmtree(work, ignore_errors=True)
    if (folder / MANIFEST).exists() and _is_right(wanted, say):
        return
    _empty(folder)
    work.mkdir(parents=True)
    archive, unpacked = work / "archive", work / "unpacked"
    with archive.open("wb") as file:
        found = download(wanted.source, file, limit=MAX_BYTES, say=say)
    if found != wanted.archive_sha256:
        raise PackageRefused(
            f"{wanted.source.name} has sha256 {found}, expected {wanted.archive_sha256}: nothing of it was unpacked"
        )
    size = archive.stat().st_size
    try:
        unpack(archive, unpacked)
    except ArchiveError as error:
        raise PackageRefused(str(error).replace(str(archive), wanted.source.name)) from None
    archive.unlink()
    verify(unpacked, wanted.manifest_sha256)
    for path in sorted(unpacked.iterdir(), key=lambda one: one.name == MANIFEST):  # which comes last
        path.rename(folder / path.name)
    shutil.rmtree(work)
    say(f"fetched {wanted.source.name} ({size:,} bytes) into {folder}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _refuse(message: str, status: int) -> int:
    _say(f"cannot fetch: {message}")
    return status


def _is_right(wanted: PackageSource, say: Callable[[str], None]) -> bool:
    """Whether an earlier run has fetched the package already."""
    try:
        verify(wanted.folder, wanted.manifest_sha256)
    except PackageRefused as error:
        say(f"fetching it again, because what is in {wanted.folder} is not the package: {error}")
        return False
    say(f"the package is in {wanted.folder} already, and is right")
    return True


def _empty(folder: Path) -> None:
    """Remove unverified files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # first: without it nothing serves
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _digest(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not _SHA256.fullmatch(value):
        raise SettingError(f"{name} is {value!r}: expected a sha256, 64 hexadecimal digits")
    return value.lower()
