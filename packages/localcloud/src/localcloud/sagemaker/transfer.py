"""How do objects come from S3 into a job's folders, and files from there to S3?

All functions block: call them in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

_CHUNK = 1 << 20


class DownloadFailed(Exception):
    """An object could not be read; the text is the job's FailureReason."""


class UploadFailed(Exception):
    """An object could not be written; the text is the job's FailureReason."""


def address(url: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URL."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")


def has_objects(s3: Any, url: str) -> bool:
    """Whether there is an object under a prefix that the client may list."""
    bucket, prefix = address(url)
    try:
        return bool(s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))
    except (ClientError, BotoCoreError):
        return False


def fetch(s3: Any, url: str, target: Path) -> None:
    """Bring all objects under a prefix into a folder, below it as they are below the prefix.

    Raises:
        DownloadFailed: One cannot be read, or its key is no path.
    """
    bucket, prefix = address(url)
    try:
        for key in _keys(s3, bucket, prefix):
            path = target.joinpath(*_relative(key, prefix))
            path.parent.mkdir(parents=True, exist_ok=True)
            body = s3.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK):
                    file.write(chunk)
    except (ClientError, BotoCoreError, OSError) as error:
        raise DownloadFailed(f"ClientError: Data download failed:{url}: {error}") from error


def put(s3: Any, file: Path, url: str, encryption: dict[str, str] | None = None) -> None:
    """Put a file to S3.

    Raises:
        UploadFailed: S3 does not take it, or the file cannot be read.
    """
    bucket, key = address(url)
    try:
        with file.open("rb") as content:
            s3.put_object(Bucket=bucket, Key=key, Body=content, **(encryption or {}))
    except (ClientError, BotoCoreError, OSError) as error:
        raise UploadFailed(f"ClientError: Artifact upload failed:{url}: {error}") from error


def put_all(s3: Any, folder: Path, url: str, encryption: dict[str, str] | None = None) -> None:
    """Put every file below a folder to S3, below an address as it is below the folder.

    Raises:
        UploadFailed: S3 does not take one, or one cannot be read.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        put(s3, path, f"{url.rstrip('/')}/{path.relative_to(folder)}", encryption)


def encryption(key: str | None) -> dict[str, str]:
    """What is said to S3 of how to encrypt an object, by the KMS key that a job names."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    token: dict[str, str] = {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
        # A key that ends with a slash is what consoles make for an empty folder.
        yield from (item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/"))
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _relative(key: str, prefix: str) -> Sequence[str]:
    """Where below the folder an object goes: as below the prefix if that is a folder, else by its own name."""
    root = f"{prefix}/" if key.startswith(f"{prefix}/") else prefix
    parts = key[root.rfind("/") + 1 :].split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise OSError(f"S3 key {key} has an illegal char sub-sequence in it")
    return parts
