"""Captures and labels in S3, and drift in CloudWatch."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from monitoring.captured import Malformed, Recorded
from monitoring.exchanges import traffic
from platforms.aws.clients import Clients
from platforms.aws.names import CAPTURE, CAPTURE_ASIDE, LABELS_ASIDE
from platforms.aws.transient import gone

_CHUNK = 1 << 20


@dataclass(frozen=True)
class S3Captures:
    """`Captures` in a bucket, under `capture/<endpoint>/<variant>/yyyy/mm/dd/hh/`.

    Attributes:
        clients: Gives clients.
        bucket: The bucket.
        endpoint: The endpoint.
        since: The hour from which on files are looked for that came late, epoch seconds.
    """

    clients: Clients
    bucket: str
    endpoint: str
    since: float

    def keys(self, variant: str, after: str, most: int) -> Sequence[str]:
        """The next files, oldest first."""
        prefix = self._prefix(variant)
        answer = self.clients("s3").list_objects_v2(
            Bucket=self.bucket, Prefix=prefix, StartAfter=after or prefix, MaxKeys=most
        )
        return [item["Key"] for item in answer.get("Contents", [])]

    def recent(self, variant: str, until: str) -> Sequence[str]:
        """The files of the last hours up to one."""
        prefix = self._prefix(variant)
        first = f"{prefix}{datetime.fromtimestamp(self.since, UTC):%Y/%m/%d/%H}/"
        found: list[str] = []
        if until > first:
            pages = self.clients("s3").get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, StartAfter=first):
                keys = [item["Key"] for item in page.get("Contents", [])]
                found += [key for key in keys if key <= until]
                if keys and keys[-1] > until:
                    break
        return found

    def _prefix(self, variant: str) -> str:
        return f"{CAPTURE}/{self.endpoint}/{variant}/"

    def exchanges(self, key: str) -> Iterator[tuple[bytes, Recorded | Malformed]]:
        """What one file holds, each with its line.

        Raises:
            FileNotFoundError: It has gone since it was listed.
        """
        return ((line, item) for line in self.lines(key) for item in traffic((line,)))

    def lines(self, key: str) -> Iterable[bytes]:
        """The lines of one file, as they arrive.

        In large chunks: a line is put together anew with each chunk, and one of 7 MB would be with 7,000 small ones.

        Raises:
            FileNotFoundError: It has gone since it was listed.
        """
        try:
            return self.clients("s3").get_object(Bucket=self.bucket, Key=key)["Body"].iter_lines(_CHUNK)
        except ClientError as error:
            if gone(error):
                raise FileNotFoundError(key) from error
            raise

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Write what could not be read of a file under `capture-rejected/`, at the same place."""
        content = "".join(f"{line}\n" for line in lines).encode()
        kept = f"{CAPTURE_ASIDE}/{key.partition('/')[2]}"
        self.clients("s3").put_object(Bucket=self.bucket, Key=kept, Body=content)


@dataclass(frozen=True)
class File:
    """A file of a bucket.

    Attributes:
        digest: The sha256 of its content.
        written: When it was written, epoch seconds.
        lines: Its lines.
    """

    digest: str
    written: float
    lines: Iterable[bytes]


@dataclass(frozen=True)
class S3Files:
    """Files of a bucket, line by line, and the rejected labels that are kept in it under `labels-rejected/`."""

    clients: Clients
    bucket: str

    @contextmanager
    def read(self, key: str) -> Generator[File]:
        """A file, whole, as long as the block lasts."""
        answer = self.clients("s3").get_object(Bucket=self.bucket, Key=key)
        body = answer["Body"]
        digest = hashlib.sha256()
        with tempfile.TemporaryFile() as file:
            while chunk := body.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            file.seek(0)
            yield File(digest.hexdigest(), answer["LastModified"].timestamp(), file)

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Write a file of rejected labels."""
        content = "".join(f"{line}\n" for line in lines).encode()
        self.clients("s3").put_object(Bucket=self.bucket, Key=f"{LABELS_ASIDE}/{name}.jsonl", Body=content)
