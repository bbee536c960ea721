"""Where the documents and signatures of a package lie in a stack's bucket, beside its archive.

    evidence = read(archive_uri, public_key, s3)         # raises Unsigned; nothing is verified but what names the files
    evidence.verify(package_digest, public_key)

    signatures/<key>/model.sig, provenance.sigstore.json       what one key has signed
    documents/<statement>/facts.json, card.md, ...             what one signed statement names, under its digest

A statement's documents have a folder of their own, so that two who register one package at once, each from another
commit, do not mix theirs. Its bundle is put last: where it is, all that it names is too.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

from platforms.aws.objects import RegistryError, upload
from platforms.aws.packages import beside, folder_of
from platforms.sealed_packages import Unsigned
from provenance import statement
from provenance.envelope import SignatureError, key_id, opened
from provenance.evidence import MODEL, PROVENANCE, Evidence
from provenance.statement import StatementError

LONGEST = 16 * 1024**2
"""Bytes of one file that are read."""
_DIGITS = 12
_SIGNATURES = "signatures"
_MISSING = {"NoSuchKey", "AccessDenied"}
"""What S3 says of an object that is not there: the second to a role of another account, which may not list."""
_TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8", "sig": "application/json"}


def read(archive_uri: str, public_key: bytes, s3: Any) -> Evidence:
    """Get what was signed with a key of the package of an archive.

    Args:
        archive_uri: `s3://bucket/key` of the archive.
        public_key: The key that is trusted, PEM.
        s3: boto3 S3 client.

    Raises:
        Unsigned: There is no signature with that key.
        SignatureError: What names the documents is not signed with it.
        RegistryError: A document is missing or too long.
    """
    model, provenance = (
        _get(s3, beside(archive_uri, f"{_signed_by(public_key)}/{name}")) for name in (MODEL, PROVENANCE)
    )
    if model is None or provenance is None:
        raise Unsigned(
            f"{archive_uri} is not signed with the key {short_id(public_key)}, or its signature may not be "
            "read: it was registered before packages were signed. Run `pulumi up` on the stack that registered it, "
            "which signs it"
        )
    payload = opened(provenance, public_key)
    try:
        names = sorted(statement.documents_of(payload))
    except StatementError as error:
        raise SignatureError(str(error)) from None
    found = {name: _get(s3, beside(archive_uri, f"{_told_in(payload)}/{name}")) for name in names}
    if missing := [name for name, content in found.items() if content is None]:
        raise RegistryError(f"{beside(archive_uri, _told_in(payload))} lacks {', '.join(missing)}")
    return Evidence({name: content for name, content in found.items() if content is not None}, model, provenance)


def keys(archive_uri: str, s3: Any) -> list[str]:
    """The first 12 digits of the id of each key that has signed an archive; nothing is verified."""
    place = urlsplit(beside(archive_uri, f"{_SIGNATURES}/"))
    prefix = place.path.lstrip("/")
    listed = s3.list_objects_v2(Bucket=place.netloc, Prefix=prefix, Delimiter="/")
    return [item["Prefix"].removeprefix(prefix).rstrip("/") for item in listed.get("CommonPrefixes", [])]


def short_id(public_key: bytes) -> str:
    """A key as `keys` names it."""
    return key_id(public_key)[:_DIGITS]


def keep(evidence: Evidence, package_digest: str, public_key: bytes, bucket: str, s3: Any) -> None:
    """Put documents and signatures beside where the archive is, or goes; what is there is compared.

    Args:
        evidence: What to put.
        package_digest: `sha256:<hex>` of the archive.
        public_key: The key that has signed it, PEM.
        bucket: The stack's bucket.
        s3: boto3 S3 client.

    Raises:
        RegistryError: Other bytes are there.
    """
    folder, signed = folder_of(package_digest), _signed_by(public_key)
    told = _told_in(opened(evidence.provenance, public_key))
    files = {f"{told}/{name}": content for name, content in sorted(evidence.documents.items())}
    files[f"{signed}/{MODEL}"] = _standing(evidence.model, f"s3://{bucket}/{folder}/{signed}/{MODEL}", public_key, s3)
    files[f"{signed}/{PROVENANCE}"] = evidence.provenance
    for name, content in files.items():
        upload(s3, bucket, f"{folder}/{name}", content, _TYPES[name.rpartition(".")[2]])


def _standing(model: bytes, uri: str, public_key: bytes, s3: Any) -> bytes:
    """The model signature that is there, if an interrupted call left one: no two of one archive have the same bytes."""
    there = _get(s3, uri)
    if there is not None and opened(there, public_key) == opened(model, public_key):
        return there
    return model


def _signed_by(public_key: bytes) -> str:
    return f"{_SIGNATURES}/{short_id(public_key)}"


def _told_in(payload: bytes) -> str:
    return f"documents/{hashlib.sha256(payload).hexdigest()[:_DIGITS]}"


def _get(s3: Any, uri: str) -> bytes | None:
    place = urlsplit(uri)
    try:
        body = s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"]
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return None
        raise
    content: bytes = body.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise RegistryError(f"{uri} has more than {LONGEST:,} bytes: nothing in it was read")
    return content
