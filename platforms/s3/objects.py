"""Objects of S3 that never change: written once with their sha256, and compared if they exist."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

from services.sealed_packages import RegistryError
from serving.unpacking import MAX_BYTES


def upload(s3: Any, bucket: str, key: str, content: bytes | Path, content_type: str) -> str:
    """Write an object with its sha256, or compare the existing one (else `RegistryError`); returns its URI."""
    uri = f"s3://{bucket}/{key}"
    wanted = _sha256(content)
    there = _stored_sha256(s3, bucket, key)
    if there == wanted:
        return uri
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
    return uri


def fetch(archive_uri: str, package_digest: str, to: Path, s3: Any) -> None:
    """Download `s3://bucket/key` to a file, which appears only if its bytes have the digest (else `RegistryError`)."""
    bucket, _, key = archive_uri.removeprefix("s3://").partition("/")
    unproven = to.with_name(to.name + ".partial")
    sha256 = hashlib.sha256()
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.ClientError as error:
        raise RegistryError(f"cannot read {archive_uri}: {error}") from error
    try:
        with unproven.open("wb") as file:
            for block in body.iter_chunks(1 << 20):
                sha256.update(block)
                if file.tell() + len(block) > MAX_BYTES:
                    raise RegistryError(f"{archive_uri} has more than {MAX_BYTES:,} bytes: nothing in it was read")
                file.write(block)
        found = f"sha256:{sha256.hexdigest()}"
        if found != package_digest:
            raise RegistryError(
                f"{archive_uri} has digest {found}, expected {package_digest}: it was changed after it was registered"
            )
        unproven.replace(to)
    finally:
        unproven.unlink(missing_ok=True)


def is_there(uri: str, s3: Any) -> bool:
    """Whether an object exists, by a GET: the answer to a HEAD cannot tell a missing bucket from a missing key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        s3.get_object(Bucket=bucket, Key=key)["Body"].close()
    except s3.exceptions.NoSuchKey:
        return False
    return True


def _stored_sha256(s3: Any, bucket: str, key: str) -> bytes | None:
    """The digest of the stored bytes, read back: a checksum on record only says what was sent."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    sha256 = hashlib.sha256()
    for block in body.iter_chunks(1 << 20):
        sha256.update(block)
    return sha256.digest()


def _sha256(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
