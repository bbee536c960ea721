"""Unpacks archives safely: plain files only, with names inside the folder, and limits on size and number.

Only the 512 bytes of a ustar header are understood: no links, devices or extended headers, which could name other files
or hold gigabytes. Standard library only.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

MAX_BYTES = 20 * 1024**3
MOST_FILES = 100_000
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_BLOCK = 1 << 20


class ArchiveError(Exception):
    """An archive is not as sealed; the message says what was found and what was expected."""


class MemberNames:
    """Checks the names of an archive one by one; refuses those that cannot be unpacked safely everywhere."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str) -> None:
        """Check one more: it must stay in its folder, be visible, and clash with no other."""
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
        if len(self._files) == MOST_FILES:
            raise ArchiveError(f"an archive may hold {MOST_FILES:,} files at most")
        self._files.add(folded)
        self._folders |= parents


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn errors from damaged bytes, at any read, into an `ArchiveError`."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk failed, not the archive
            raise
        raise ArchiveError(f"{path} is not a model archive: {error}") from error


def entries(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield (name, content) of each entry; content must be read before the next.

    Raises:
        ArchiveError: An entry is no plain file, has a forbidden name, or exceeds a limit.
    """
    names = MemberNames()
    size = 0
    with gzip.open(path) as opened:
        stream = cast(BinaryIO, opened)
        while True:
            header = stream.read(tarfile.BLOCKSIZE)
            if header == bytes(tarfile.BLOCKSIZE):  # the end
                return
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
            if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.size < 0:
                raise ArchiveError(f"{path}: {entry.name!r} is not a plain file")
            size += entry.size
            if size > MAX_BYTES:
                raise ArchiveError(f"{path} unpacks to more than {MAX_BYTES:,} bytes")
            names.add(entry.name)
            content = _Content(stream, entry.size)
            yield entry.name, cast(IO[bytes], content)
            content.skip(-entry.size % tarfile.BLOCKSIZE)


def unpack(path: Path, folder: Path) -> None:
    """Write an archive's files into an empty folder, which is created if necessary.

    Raises:
        ArchiveError: The archive is not plain files, or the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ArchiveError(f"{folder} is not empty: an archive is unpacked into a folder of its own")
    with reading(path):
        for name, source in entries(path):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while block := source.read(_BLOCK):
                    file.write(block)


class _Content(io.RawIOBase):
    """The bytes of one entry."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyrefly: ignore[bad-override]
        block = self._stream.read(min(len(buffer), self._left))
        if self._left and not block:
            raise EOFError("it ends in the middle of a file")
        self._left -= len(block)
        buffer[: len(block)] = block
        return len(block)

    def skip(self, padding: int) -> None:
        self._left += padding
        while self.read(_BLOCK):
            pass
