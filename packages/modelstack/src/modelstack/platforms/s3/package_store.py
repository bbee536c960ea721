"""`PackageStore` in a bucket: objects that never change, written once with their sha256."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstack.platforms.s3.errors import code_of
from modelstack.services.package_store import FilePackageStore
from modelstack.services.sealed_packages import RegistryError

_CHUNK = 1 << 20
_MISSING = {"NoSuchKey", "AccessDenied"}
"""S3's codes for a missing object: the second for a role of another account, which may not list."""
_TYPES = {
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "sig": "application/json",
    "gz": "application/gzip",
}


@dataclass(frozen=True)
class BucketPackageStore(FilePackageStore):
    """`PackageStore` in a bucket; `bucket` is where it writes, a URI that is read names its own bucket."""

    bucket: str
    s3: Any

    def has(self, archive_uri: str) -> bool:
        """See `PackageStore`; by a GET: the answer to a HEAD cannot tell a missing bucket from a missing key."""
        bucket, key = _place(archive_uri)
        try:
            self.s3.get_object(Bucket=bucket, Key=key)["Body"].close()
        except self.s3.exceptions.NoSuchKey:
            return False
        return True

    def _uri(self, name: str) -> str:
        return f"s3://{self.bucket}/{name}"

    def _write(self, name: str, content: bytes | Path) -> None:
        upload(self.s3, self.bucket, name, content, _TYPES[name.rpartition(".")[2]])

    def _read(self, uri: str) -> Iterable[bytes]:
        bucket, key = _place(uri)
        try:
            body = self.s3.get_object(Bucket=bucket, Key=key)["Body"]
        except self.s3.exceptions.ClientError as error:
            if code_of(error) in _MISSING:
                raise FileNotFoundError(str(error)) from error
            raise
        return body.iter_chunks(_CHUNK)

    def _list(self, uri: str) -> Iterable[str]:
        bucket, prefix = _place(uri)
        listed = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [f"s3://{bucket}/{item['Key']}" for item in listed.get("Contents", [])]


def upload(s3: Any, bucket: str, key: str, content: bytes | Path, content_type: str) -> None:
    """Write an object with its sha256, or compare the existing one (else `RegistryError`)."""
    uri = f"s3://{bucket}/{key}"
    wanted = _sha256(content)
    there = _stored_sha256(s3, bucket, key)
    if there == wanted:
        return
    if there is not None:
        raise RegistryError(
            f"{uri} is there with digest sha256:{there.hex()}, expected sha256:{wanted.hex()}: it was changed after it "
            "was uploaded. Find out by whom; then delete this object and run again"
        )
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as body:
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(wanted).decode(),
        )
    if (stored := _stored_sha256(s3, bucket, key)) != wanted:
        found = f"sha256:{stored.hex()}" if stored else "nothing"
        raise RegistryError(f"{uri} was uploaded as sha256:{wanted.hex()}, but holds {found}")


def _stored_sha256(s3: Any, bucket: str, key: str) -> bytes | None:
    """The digest of the stored bytes, read back: a checksum on record only says what was sent."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    sha256 = hashlib.sha256()
    for block in body.iter_chunks(_CHUNK):
        sha256.update(block)
    return sha256.digest()


def _sha256(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _place(uri: str) -> tuple[str, str]:
    """The bucket and the key of a URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
