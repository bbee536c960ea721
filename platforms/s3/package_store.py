"""`PackageStore` in a bucket.

    packages/<digest>/model.tar.gz                              the archive
    packages/<digest>/manifest.json, metrics.json, ...          the JSON files at its top, to read without the weights
    packages/<digest>/signatures/<key>/model.sig, provenance.sigstore.json       the signatures of one key
    packages/<digest>/documents/<statement>/facts.json, card.md, ...             the documents of one signed statement

Each statement has its own folder of documents: two stacks that register one package at once do not mix theirs.
The signature `provenance.sigstore.json` is written last, so everything that it names exists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline import archive
from pipeline.pack import SealedPackage
from platforms.s3.objects import fetch, is_there, upload
from provenance import statement
from provenance.envelope import SignatureError, key_id, opened
from provenance.evidence import MODEL, PROVENANCE, Attestation
from provenance.statement import StatementError
from services.sealed_packages import RegistryError, Unsigned, folder_of, member_uri

LONGEST = 16 * 1024**2
"""Maximum size of a file that is read, bytes."""
_DIGITS = 12
_SIGNATURES = "signatures"
_MISSING = {"NoSuchKey", "AccessDenied"}
"""S3's codes for a missing object: the second for a role of another account, which may not list."""
_TYPES = {
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "sig": "application/json",
    "gz": "application/gzip",
}


@dataclass(frozen=True)
class BucketPackageStore:
    """`PackageStore` in a bucket; `bucket` is where it writes, a URI that is read names its own bucket."""

    bucket: str
    s3: Any

    def uri(self, package_digest: str) -> str:
        return f"s3://{self.bucket}/{folder_of(package_digest)}/model.tar.gz"

    def has(self, archive_uri: str) -> bool:
        return is_there(archive_uri, self.s3)

    def signers(self, archive_uri: str) -> list[str]:
        place = urlsplit(member_uri(archive_uri, f"{_SIGNATURES}/"))
        prefix = place.path.lstrip("/")
        listed = self.s3.list_objects_v2(Bucket=place.netloc, Prefix=prefix, Delimiter="/")
        return [item["Prefix"].removeprefix(prefix).rstrip("/") for item in listed.get("CommonPrefixes", [])]

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        signed = [
            self._get(member_uri(archive_uri, f"{_signed_by(public_key)}/{name}")) for name in (MODEL, PROVENANCE)
        ]
        model, provenance = signed
        if model is None or provenance is None:
            raise Unsigned(
                f"{archive_uri} is not signed with the key {key_id(public_key)[:_DIGITS]}, or its signature may not be "
                "read: it was registered before packages were signed. Run `pulumi up` on the stack that registered it, "
                "which signs it"
            )
        payload = opened(provenance, public_key)
        try:
            names = sorted(statement.documents_of(payload))
        except StatementError as error:
            raise SignatureError(str(error)) from None
        found = {name: self._get(member_uri(archive_uri, f"{_documents(payload)}/{name}")) for name in names}
        if missing := [name for name, content in found.items() if content is None]:
            raise RegistryError(f"{member_uri(archive_uri, _documents(payload))} lacks {', '.join(missing)}")
        return Attestation({name: content for name, content in found.items() if content is not None}, model, provenance)

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        signed, documents = _signed_by(public_key), _documents(opened(evidence.provenance, public_key))
        files = {f"{documents}/{name}": content for name, content in sorted(evidence.documents.items())}
        # An interrupted call may have left a signature of the model: no two of one archive have the same bytes.
        there = self._get(member_uri(self.uri(sealed.digest), f"{signed}/{MODEL}"))
        same = there is not None and opened(there, public_key) == opened(evidence.model, public_key)
        files[f"{signed}/{MODEL}"] = there if there is not None and same else evidence.model
        files[f"{signed}/{PROVENANCE}"] = evidence.provenance
        for name, content in files.items():
            self._put(sealed.digest, name, content)

    def put(self, sealed: SealedPackage) -> str:
        """See `PackageStore`. The archive is written last, so its JSON files exist when it does."""
        for name, content in archive.documents(sealed.path).items():
            self._put(sealed.digest, name, content)
        return self._put(sealed.digest, "model.tar.gz", sealed.path)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        fetch(archive_uri, package_digest, to, self.s3)

    def _put(self, package_digest: str, name: str, content: bytes | Path) -> str:
        key = f"{folder_of(package_digest)}/{name}"
        return upload(self.s3, self.bucket, key, content, _TYPES[name.rpartition(".")[2]])

    def _get(self, uri: str) -> bytes | None:
        place = urlsplit(uri)
        try:
            body = self.s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"]
        except self.s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        content: bytes = body.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise RegistryError(f"{uri} has more than {LONGEST:,} bytes: nothing in it was read")
        return content


def _signed_by(public_key: bytes) -> str:
    return f"{_SIGNATURES}/{key_id(public_key)[:_DIGITS]}"


def _documents(payload: bytes) -> str:
    return f"documents/{hashlib.sha256(payload).hexdigest()[:_DIGITS]}"
