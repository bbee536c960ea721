"""Seal files into an archive whose bytes depend on nothing but the files, and read such archives back with care.

    digest = seal({"manifest.json": b"...", "model.joblib": path}, Path("model.tar.gz"))     # "sha256:..."
    manifest = verify(Path("model.tar.gz"), digest)
    unpack(Path("model.tar.gz"), folder)

An archive is a ustar file in gzip's frame (a `.tar.gz`): entries sorted by name, mode 0644,
time and owner 0. The content is stored and not compressed: compressed bytes differ between versions of zlib.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import tarfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

MANIFEST, EXAMPLE, BASELINE = "manifest.json", "example.json", "baseline.json"
FAST_FORM = "model.onnx"
MAX_BYTES = 20 * 1024**3
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class ArchiveError(Exception):
    """An archive is not what was sealed; the message names what was found and what was expected."""


@dataclass(frozen=True)
class Manifest:
    """The manifest of an archive.

    Attributes:
        sha256: Digest of the manifest file's bytes, hexadecimal.
        content: What it says: recipe, model, parameters, python, libraries, files (path -> sha256).
    """

    sha256: str
    content: Mapping[str, Any]


def seal(files: Mapping[str, bytes | Path], to: Path) -> str:
    """Write an archive and return its package digest, `sha256:<hex>`.

    Args:
        files: Name inside the archive (letters, digits, `._-`, slashes; none starts with a dot) -> bytes or a file.
        to: File to write; replaced only when the archive is complete.

    Raises:
        ArchiveError: A name that not every system can unpack, or two names that one of them would take for the same.
    """
    names = _Names()
    for name in files:
        names.add(name)
    partial = to.with_name(to.name + ".partial")
    with (
        partial.open("wb") as raw,
        _stored_gzip(raw) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(files):
            content = files[name]
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                entry.size = source.seek(0, io.SEEK_END)
                source.seek(0)
                tar.addfile(entry, source)
    digest = package_digest(partial)
    partial.replace(to)
    return digest


def package_digest(path: Path) -> str:
    """Return `sha256:<hex>` of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, digest: str | None = None) -> Manifest:
    """Check an archive: its digest, that it holds plain files only, and each of them against the manifest.

    Args:
        path: The archive.
        digest: The package digest it should have; None for one that is not known, so that only its inside is checked.

    Raises:
        ArchiveError: It is something else than was sealed.
    """
    if digest is not None and (found := package_digest(path)) != digest:
        raise ArchiveError(f"{path} has digest {found}, expected {digest}: its bytes were changed")
    digests: dict[str, str] = {}
    manifest = b""
    with _reading(path):
        for name, source in _entries(path):
            if name == MANIFEST:
                manifest = source.read()
                digests[name] = hashlib.sha256(manifest).hexdigest()
            else:
                digests[name] = hashlib.file_digest(cast(Any, source), "sha256").hexdigest()
    content = _parse_manifest(path, manifest)
    expected: Mapping[str, str] = content["files"]
    for name in sorted({*expected, *digests} - {MANIFEST}):
        if digests.get(name) != expected.get(name):
            found, wanted = digests.get(name, "nothing"), expected.get(name, "no such file")
            raise ArchiveError(f"{path}: {name} has sha256 {found}, the manifest says {wanted}")
    return Manifest(digests[MANIFEST], content)


def read(path: Path, name: str) -> bytes:
    """Return one file of an archive.

    Raises:
        ArchiveError: The archive cannot be read or has no such file.
    """
    with _reading(path):
        for entry, source in _entries(path):
            if entry == name:
                return source.read()
    raise ArchiveError(f"{path} holds no {name}")


def documents(path: Path) -> dict[str, bytes]:
    """Return the JSON files at an archive's top, name -> content: all that it tells of a model without its weights.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    with _reading(path):
        tells = (one for one in _entries(path) if "/" not in one[0] and one[0].endswith(".json"))
        return {name: source.read() for name, source in tells}


def unpack(path: Path, folder: Path) -> None:
    """Write an archive's files into an empty folder, which is made if need be.

    Raises:
        ArchiveError: The archive is not plain files, or the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ArchiveError(f"{folder} is not empty: an archive is unpacked into a folder of its own")
    with _reading(path):
        for name, source in _entries(path):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while block := source.read(1 << 20):
                    file.write(block)


def _entries(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield (name, content) of each entry; content must be read before the next."""
    names = _Names()
    size = 0
    with tarfile.open(path, mode="r|gz") as tar:
        for entry in tar:
            source = tar.extractfile(entry) if entry.type == tarfile.REGTYPE else None
            if source is None:
                raise ArchiveError(f"{path}: {entry.name!r} is not a plain file")
            size += entry.size
            if size > MAX_BYTES:
                raise ArchiveError(f"{path} unpacks to more than {MAX_BYTES:,} bytes")
            names.add(entry.name)
            yield entry.name, source


@contextmanager
def _reading(path: Path) -> Generator[None]:
    """Turn what tarfile and gzip say of damaged bytes, at whichever read, into an ArchiveError."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's word, not the archive's
            raise
        raise ArchiveError(f"{path} is not a model archive: {error}") from error


class _Names:
    """Takes the names of an archive one by one, and refuses those that cannot be unpacked safely everywhere."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str) -> None:
        if not _NAME.fullmatch(name) or len(name) > 100:
            raise ArchiveError(
                f"{name!r} cannot be a name in an archive: expected at most 100 letters, digits, dots, dashes and "
                "underscores, in folders, none of them hidden"
            )
        folded = name.casefold()
        parents = {parent.as_posix() for parent in PurePosixPath(folded).parents}
        if folded in self._files:
            raise ArchiveError(f"{name!r} is in the archive twice, or differs from another name in case only")
        if folded in self._folders or parents & self._files:
            raise ArchiveError(f"{name!r} clashes with another name: one is a file, the other its folder")
        self._files.add(folded)
        self._folders |= parents


def _parse_manifest(path: Path, manifest: bytes) -> dict[str, Any]:
    try:
        content = json.loads(manifest)
        if not isinstance(content["files"], dict):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        raise ArchiveError(f"{path} has no {MANIFEST} that lists its files: this is not a sealed package") from None
    return content


class _Stored:
    """The writing end of a gzip frame of stored blocks (RFC 1951, 3.2.4; RFC 1952)."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._pending = b""
        self._crc = 0
        self._size = 0
        raw.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._pending += data
        while len(self._pending) > 0xFFFF:
            self._block(self._pending[:0xFFFF], last=False)
            self._pending = self._pending[0xFFFF:]
        return len(data)

    def close(self) -> None:
        self._block(self._pending, last=True)
        self._raw.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def _block(self, data: bytes, last: bool) -> None:
        self._raw.write(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data)


@contextmanager
def _stored_gzip(raw: BinaryIO) -> Generator[Any]:
    frame = _Stored(raw)
    yield frame
    frame.close()
