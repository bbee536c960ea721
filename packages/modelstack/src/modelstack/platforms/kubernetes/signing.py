"""The keys of a stack on Kubernetes, in two Secrets of its namespace: one signs packages, one audit records.

The controller may read only the one for audit records, so it cannot sign a package. A reader of all Secrets of the
namespace can sign as the stack. Verification needs only the public keys, which are stack outputs.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from modelstack.platforms.kubernetes.access_token import immutable_secret
from modelstack.platforms.kubernetes.api import Api
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.errors import RolloutError

PRIVATE, PUBLIC = "key.pem", "key.pub"
"""Keys in the Secret: the private key, PEM without a password, and the public one, for people."""


def secret_name(prefix: str) -> str:
    """The name of the Secret with the key for packages, by the stack's name prefix."""
    return f"{prefix}-signing"


def audit_secret_name(prefix: str) -> str:
    """The name of the Secret with the key for audit records, by the stack's name prefix."""
    return f"{prefix}-audit"


def key_pair(api: Api, name: str, labels: Mapping[str, str] | None = None) -> KeyPair:
    """The key pair in a Secret, created on first use; concurrent calls get the same. `labels` are the Secret's."""

    def content() -> dict[str, bytes]:
        pair = KeyPair.new()
        return {PRIVATE: pair.pem(), PUBLIC: pair.public_key}

    return _read(immutable_secret(api, name, labels or {}, content), f"{api.namespace}/{name}")


def _read(secret: Mapping[str, Any], where: str) -> KeyPair:
    try:
        key = load_pem_private_key(base64.b64decode(secret["data"][PRIVATE]), None)
    except (KeyError, TypeError, ValueError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RolloutError(
            f"Secret {where} has no private key on the curve P-256, PEM without a password, under {PRIVATE!r}"
        )
    return KeyPair(key)
