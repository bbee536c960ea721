"""Layers of an OCI image, made without an engine: the same files give the same bytes, in any folder, at any time.

    made = layer(folder / "code.tar.gz", {"opt/runtime/serving/server.py": path, ...})
    made.digest, made.diff_id

Source: OCI image specification v1.1, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

_LEVEL = 6  # of compression: a third slower than 1, and a fifth smaller


@dataclass(frozen=True)
class Layer:
    """A compressed layer.

    Attributes:
        path: Where it lies.
        digest: `sha256:<hex>` of its bytes.
        diff_id: `sha256:<hex>` of what it is when it is unpacked, a tar.
        size: Its bytes.
    """

    path: Path
    digest: str
    diff_id: str
    size: int

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a manifest names it."""
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": self.digest, "size": self.size}


def layer(path: Path, files: Mapping[str, Path]) -> Layer:
    """A layer of files and links, all of them root's; folders above them are made.

    Args:
        path: Where it is written.
        files: Name in the image, without a leading slash -> the file, or the link, that it is.
    """
    with _written(path) as (tar, made):
        for name in _with_folders(files):
            source = files.get(name)
            if source is None:
                tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
            elif source.is_symlink():
                link = _entry(name, tarfile.SYMTYPE, 0o777)
                link.linkname = str(source.readlink())
                tar.addfile(link)
            else:
                runs = source.stat().st_mode & stat.S_IXUSR
                content = source.read_bytes()
                entry = _entry(name, tarfile.REGTYPE, 0o755 if runs else 0o644)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return made[0]


def of_root(path: Path, root: bytes, without: Iterable[str] = ()) -> Layer:
    """A layer of a whole root file system that `tar` packed; its owners and modes stay, and its times go.

    Args:
        path: Where it is written.
        root: The tar.
        without: Names that are left out; devices are so anyway, a container gets its own.
    """
    left_out = set(without)
    with tarfile.open(fileobj=io.BytesIO(root)) as source, _written(path) as (tar, made):
        kinds = (tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
        found = {member.name.removeprefix("./"): member for member in source if member.type in kinds}
        for name in sorted(found.keys() - left_out - {"."}):
            member = found[name]
            entry = _entry(name, member.type, member.mode)
            entry.uid, entry.gid, entry.linkname = member.uid, member.gid, member.linkname
            if member.islnk():  # its target may come later by name: a copy does as well
                entry.type, entry.linkname = tarfile.REGTYPE, ""
            content = source.extractfile(member) if entry.isreg() else None
            if content is not None:
                whole = content.read()
                entry.size = len(whole)
                tar.addfile(entry, io.BytesIO(whole))
            else:
                tar.addfile(entry)
    return made[0]


class _Hashing(io.RawIOBase):
    """Passes bytes on, and keeps their sha256 and their number."""

    def __init__(self, to: IO[bytes] | gzip.GzipFile) -> None:
        self._to = to
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.sha256.update(data)
        self.size += len(data)
        self._to.write(data)
        return len(data)


@contextmanager
def _written(path: Path) -> Generator[tuple[tarfile.TarFile, list[Layer]]]:
    """A tar to fill; when the block has ended, the layer is in the list and at its path."""
    part, made = path.with_name(f"{path.name}.part"), list[Layer]()
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb") as file:
        packed = _Hashing(file)
        with gzip.GzipFile("", "wb", _LEVEL, fileobj=packed, mtime=0) as compressed:
            plain = _Hashing(compressed)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                yield tar, made
    part.replace(path)
    made.append(Layer(path, f"sha256:{packed.sha256.hexdigest()}", f"sha256:{plain.sha256.hexdigest()}", packed.size))


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, 0
    return entry


def _with_folders(names: Iterable[str]) -> list[str]:
    """The names and those of the folders above them, each before what is in it."""
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return sorted({*names, *parents} - {"."})
