"""Sealed archives, whose bytes depend on nothing but the files in them.

An archive is a ustar file in gzip's frame (`.tar.gz`): entries sorted by name, mode 0644, time and owner 0. The content
is stored uncompressed, because compressed bytes differ between versions of zlib.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from modelstack.forms import check
from modelstack.serving.unpacking import ArchiveError, MemberNames, entries, reading, unpack

__all__ = ["ArchiveError", "Manifest", "documents", "package_digest", "read", "seal", "unpack", "verify"]

MANIFEST, EXAMPLE, BASELINE = "manifest.json", "example.json", "baseline.json"
FAST_FORM, GIVEN = "model.onnx", "given.onnx"
OTHER_LIBRARY = "is no estimator of scikit-learn"
"""How the reason for no fast form ends if the estimator is one of another library. It is sealed in `metrics.json`."""


@dataclass(frozen=True)
class Manifest:
    """The manifest of an archive: the sha256 of its bytes, and its content (recipe, parameters, files and so on)."""

    sha256: str
    content: Mapping[str, Any]


def seal(files: Mapping[str, bytes | Path], to: Path) -> str:
    """Write an archive, replacing `to` only when it is complete; returns its package digest, `sha256:<hex>`."""
    names = MemberNames()
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
    """`sha256:<hex>` of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, digest: str | None = None) -> Manifest:
    """Check an archive: its digest unless None, and each file against the manifest; raises ArchiveError if not."""
    if digest is not None and (found := package_digest(path)) != digest:
        raise ArchiveError(f"{path} has digest {found}, expected {digest}: its bytes were changed")
    digests: dict[str, str] = {}
    manifest = b""
    with reading(path):
        for name, source in entries(path):
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
    """One file of an archive; raises ArchiveError if it cannot be read or has no such file."""
    with reading(path):
        for entry, source in entries(path):
            if entry == name:
                return source.read()
    raise ArchiveError(f"{path} holds no {name}")


def documents(path: Path) -> dict[str, bytes]:
    """The JSON files at an archive's top (name -> content): everything about a model except its weights and code."""
    with reading(path):
        tells = (one for one in entries(path) if "/" not in one[0] and one[0].endswith(".json"))
        return {name: source.read() for name, source in tells}


def _parse_manifest(path: Path, manifest: bytes) -> dict[str, Any]:
    try:
        content = json.loads(manifest)
        check("package manifest", content.get("version", 1), ArchiveError)
        if not isinstance(content["files"], dict):
            raise TypeError
    except (AttributeError, ValueError, TypeError, KeyError):
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
