"""Puts into one folder what a stack has said of the package that it serves, so that a person can look at it.

collect(place, digest, folder)

model.tar.gz                     the archive
documents/, signatures/          what is said of it, and who has signed that, as both are in the bucket
signing-key.pem                  the public key of the stack, which has signed it
audit.jsonl, audit-key.der       every record of what happened, and the key that has signed them
approvals/                       who agreed to a release, and why
"""

from __future__ import annotations

from pathlib import Path

from demos.promotion.account_session import AccountSession
from modelstack.cli.errors import OperatorError

ARCHIVE = "model.tar.gz"
_SIGNED = ("documents/", "signatures/", ARCHIVE)


def collect(place: AccountSession, digest: str, folder: Path) -> None:
    """Write all that a stack has said of a package, and its audit record.

    Args:
        place: The stack.
        digest: `sha256:<hex>` of the package.
        folder: Made if it is not there.
    """
    outputs, package = place.stack.outputs(), f"packages/{digest.removeprefix('sha256:')}/"
    s3, bucket = place.client("s3"), outputs["artifact_bucket"]
    for prefix, begins, cut in ((package, _SIGNED, package), ("approvals/", "", "")):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for key in (item["Key"] for item in page.get("Contents", [])):
                if key.removeprefix(cut).startswith(begins):
                    to = folder / key.removeprefix(cut)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    (folder / "signing-key.pem").write_text(outputs["signing_key"])
    (folder / "audit-key.der").write_bytes(place.client("kms").get_public_key(KeyId=outputs["audit_key"])["PublicKey"])
    exported = place.modelstack("audit", "export")
    if exported.code:
        raise OperatorError(f"{place.stack.name}: the audit record cannot be exported: {exported.output.strip()}")
    (folder / "audit.jsonl").write_text(exported.output)
