"""The signing key of a stack on Kubernetes, in a Secret of its namespace.

A reader of the namespace's Secrets can sign as the stack. Verification needs only the public key, a stack output.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from platforms.kubernetes import names
from platforms.kubernetes.answers import Exists
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import SECRET
from provenance.key_pair import KeyPair
from rollout.core.errors import RolloutError

PRIVATE, PUBLIC = "key.pem", "key.pub"
"""Keys in the Secret: the private key, PEM without a password, and the public one, for people."""


def secret_name(prefix: str) -> str:
    """The name of a stack's Secret, by its name prefix."""
    return f"{prefix}-signing"


def signing_key(api: Api, prefix: str, labels: Mapping[str, str] | None = None) -> KeyPair:
    """The key pair of a stack, created on first use; concurrent calls get the same. `labels` are the Secret's."""
    name = secret_name(prefix)
    found = api.find(SECRET, name)
    if found is None:
        pair = KeyPair.new()
        try:
            found = api.create(SECRET, _secret(name, labels or {}, pair), manager=names.PROGRAM)
        except Exists:  # another update of the stack was faster: its key counts
            found = api.get(SECRET, name)
    return _read(found, f"{api.namespace}/{name}")


def _secret(name: str, labels: Mapping[str, str], pair: KeyPair) -> dict[str, Any]:
    content = {PRIVATE: pair.pem(), PUBLIC: pair.public_key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels)},
        "type": "Opaque",
        "immutable": True,
        "data": {key: base64.b64encode(value).decode() for key, value in content.items()},
    }


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
