"""Where does a model's archive come from, and how is it laid out for a process that serves it?"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.server.files import open_to_readers

_CHUNK = 1 << 20
_MOST_BYTES = 32 << 30
_MOST_FILES = 200_000
_FULL = {errno.ENOSPC, errno.EDQUOT}


class ArchiveUnusable(Exception):
    """An archive cannot be fetched or unpacked; the text is for the endpoint's FailureReason."""


class Archives:
    """Model archives, fetched from S3 and kept by their content.

    All methods block: call them in a thread.

    Args:
        folder: Where archives are kept, one file each, named by the sha256 of its bytes.
        s3: Answers a boto3 S3 client.
    """

    def __init__(self, folder: Path, s3: Callable[[], Any]) -> None:
        self._folder = folder
        self._s3 = s3

    def exists(self, url: str, region: str) -> bool:
        """Whether the object is there, in a bucket of the region as far as its owner lets it be known."""
        bucket, key = _address(url)
        try:
            self._s3().head_object(Bucket=bucket, Key=key)
            with suppress(ClientError):
                return self._s3().head_bucket(Bucket=bucket).get("BucketRegion", region) == region
        except (ClientError, BotoCoreError):
            return False
        return True

    def fetch(self, url: str) -> str:
        """Bring the object's bytes of this moment here.

        Returns:
            The sha256 of the bytes, 64 hex digits, by which `unpack` finds them. The same bytes are kept once.

        Raises:
            ArchiveUnusable: The object cannot be read.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        bucket, key = _address(url)
        digest = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".fetch-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                body = self._s3().get_object(Bucket=bucket, Key=key)["Body"]
                for chunk in body.iter_chunks(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._folder / digest.hexdigest())
        except (ClientError, BotoCoreError) as error:
            raise ArchiveUnusable(
                f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
                "there is an object located at the URL and that the role passed to CreateModel has permissions to "
                f"download the object. ({error})"
            ) from error
        finally:
            Path(name).unlink(missing_ok=True)
        return digest.hexdigest()

    def has(self, sha256: str) -> bool:
        """Whether the bytes are kept, and are still these bytes."""
        try:
            with (self._folder / sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def unpack(self, sha256: str, target: Path, url: str) -> None:
        """Lay the archive out in a new folder: plain files and folders only, none outside the target.

        Args:
            sha256: As `fetch` answered.
            target: The folder to make.
            url: Where the archive came from, for the error.

        Raises:
            ArchiveUnusable: It is no gzipped tar, is cut short, or holds something other than files and folders.
            OSError: The disk is full: no fault of the archive.
        """
        target.mkdir(parents=True)
        try:
            with gzip.open(self._folder / sha256) as bytes_, tarfile.open(fileobj=bytes_, mode="r:") as archive:
                left = _MOST_BYTES
                for position, member in enumerate(archive):
                    left -= member.size
                    if left < 0 or position >= _MOST_FILES:
                        raise tarfile.TarError(f"more than {_MOST_BYTES >> 30} GB or {_MOST_FILES} files")
                    _unpack_member(archive, member, target)
                # tar stops at its own end mark; only the end of the gzip stream has the checksum of all.
                while bytes_.read(_CHUNK):
                    pass
            open_to_readers(target)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            shutil.rmtree(target, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            raise ArchiveUnusable(
                f'Failed to extract model data archive for container "container_1" from URL: "{url}". Please ensure '
                f"that the object located at the URL is a valid tar.gz archive. ({error})"
            ) from error

    def keep_only(self, wanted: set[str]) -> None:
        """Remove archives that nothing will unpack any more."""
        if self._folder.is_dir():
            for file in self._folder.iterdir():
                if file.name not in wanted:
                    file.unlink(missing_ok=True)


def _address(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    inside = PurePosixPath(member.name)
    if inside.is_absolute() or ".." in inside.parts:
        raise tarfile.TarError(f"entry {member.name!r} points outside the archive")
    path = target.joinpath(*inside.parts)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise tarfile.TarError(f"entry {member.name!r} is neither a file nor a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)
