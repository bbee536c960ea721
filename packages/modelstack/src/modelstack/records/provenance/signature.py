"""The OpenSSF model signature of an archive: a statement with the sha256 of one file.

`model_signing verify key` accepts a bundle with it. Source: OpenSSF Model Signing v1.0 (ossf/model-signing-spec).
"""

from __future__ import annotations

import hashlib
from typing import Any

from modelstack.records.provenance.facts import canonical
from modelstack.records.provenance.statement import SUBJECT, TYPE, StatementError, parsed

PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def statement(package_digest: str) -> bytes:
    """The statement of an archive (`sha256:<hex>`) as canonical JSON."""
    digest = package_digest.removeprefix("sha256:")
    root = hashlib.sha256(bytes.fromhex(digest)).hexdigest()  # over the list of digests, which is one here
    return canonical(
        {
            "_type": TYPE,
            "subject": [{"name": SUBJECT, "digest": {"sha256": root}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "resources": [{"name": ".", "algorithm": "sha256", "digest": digest}],
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
            },
        }
    )


def signed_digest(payload: bytes) -> str:
    """The package digest in a statement; StatementError unless its bytes are what `statement` writes for an archive."""
    resources: Any = parsed(payload, PREDICATE_TYPE)["predicate"].get("resources")
    try:
        (resource,) = resources
        digest: str = resource["digest"]
        if statement(digest) != payload:
            raise ValueError
    except (TypeError, ValueError, KeyError, AttributeError):
        raise StatementError("the model signature is not of one archive by its sha256") from None
    return f"sha256:{digest}"
