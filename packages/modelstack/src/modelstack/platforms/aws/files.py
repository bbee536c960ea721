"""Captures and labels in S3."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.aws.names import CAPTURE, CAPTURE_ASIDE, LABELS_ASIDE
from modelstack.services.captures import CaptureFiles

_CHUNK = 1 << 20


def captures_of(clients: Clients, bucket: str, endpoint: str, since: float = 0.0) -> CaptureFiles:
    """The captures of an endpoint; unreadable lines of a file are stored under `capture-rejected/`."""
    folder = f"{CAPTURE}/{endpoint}/"
    rejected = S3Rejected(clients, bucket, CAPTURE_ASIDE)
    return CaptureFiles(S3Blobs(clients, bucket), folder, since, rejected, f"s3://{bucket}/{folder}")


@dataclass(frozen=True)
class S3Rejected:
    """`Aside` in a folder of a bucket."""

    clients: Clients
    bucket: str
    folder: str

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Write lines; the same name again replaces them."""
        content = "".join(f"{line}\n" for line in lines).encode()
        key = f"{self.folder}/{name}"
        with calling(f"put s3://{self.bucket}/{key}"):
            self.clients("s3").put_object(Bucket=self.bucket, Key=key, Body=content)


@dataclass(frozen=True)
class File:
    """A file of a bucket, by lines, with the sha256 of its content; `written` in epoch seconds."""

    digest: str
    written: float
    lines: Iterable[bytes]


@dataclass(frozen=True)
class S3Files:
    """Files of a bucket by lines, and its rejected labels under `labels-rejected/`."""

    clients: Clients
    bucket: str

    @contextmanager
    def read(self, key: str) -> Generator[File]:
        """Download a file, available within the block."""
        digest = hashlib.sha256()
        with tempfile.TemporaryFile() as file:
            with calling(f"read s3://{self.bucket}/{key}"):
                answer = self.clients("s3").get_object(Bucket=self.bucket, Key=key)
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
            file.seek(0)
            yield File(digest.hexdigest(), answer["LastModified"].timestamp(), file)

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Write a file of rejected labels."""
        S3Rejected(self.clients, self.bucket, LABELS_ASIDE).keep(f"{name}.jsonl", lines)
