"""Puts into one folder what a stack has said of the package that it serves, so that a person can look at it.

collect(target, digest, folder)

model.tar.gz                     the archive
documents/, signatures/          what is said of it, and who has signed that, as both lie in the bucket
signing-key.pem                  the public key of the stack, which has signed it
audit.jsonl, audit-key.der       every record of what happened, and the key that has signed them
approvals/                       who agreed to a release, and why
"""

from __future__ import annotations

from pathlib import Path

from botocore.exceptions import ClientError

from cli.errors import explained
from cli.target import Target
from cli.view.audit_records import kept
from platforms.aws.approvals import APPROVALS
from platforms.s3.package_store import BucketPackageStore
from provenance.envelope import SignatureError
from services.sealed_packages import RegistryError, folder_of

ARCHIVE = "model.tar.gz"
_SAID = ("documents/", "signatures/", ARCHIVE)


def collect(target: Target, digest: str, folder: Path) -> None:
    """Write all that a stack has said of a package, and its audit record.

    Args:
        target: The stack's endpoint.
        digest: `sha256:<hex>` of the package.
        folder: Made if it is not there.

    Raises:
        OperatorError: Something cannot be read.
    """
    package = f"{folder_of(digest)}/"
    with explained(f"reading what {target.endpoint} says of {digest}"):
        for key, content in _objects(target, package):
            name = key.removeprefix(package)
            if name.startswith(_SAID):
                _write(folder / name, content)
        for key, content in _objects(target, f"{APPROVALS}/"):
            _write(folder / key, content)
        key = target.client("kms").get_public_key(KeyId=target.output("audit_key"))["PublicKey"]
    _write(folder / "signing-key.pem", target.output("signing_key").encode())
    _write(folder / "audit-key.der", key)
    _write(folder / "audit.jsonl", "".join(f"{line}\n" for line in kept(target)).encode())


def signed(target: Target, digest: str) -> bool:
    """Whether all that is said of a package is signed with the key that the stack names in its outputs."""
    store = BucketPackageStore(target.output("artifact_bucket"), target.client("s3"))
    key = target.output("signing_key").encode()
    try:
        store.evidence(store.uri(digest), key).verify(digest, key)
    except (ClientError, RegistryError, SignatureError):
        return False
    return True


def _objects(target: Target, prefix: str) -> list[tuple[str, bytes]]:
    s3, bucket = target.client("s3"), target.output("artifact_bucket")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [(key, s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
