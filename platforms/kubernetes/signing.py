"""The key of a stack on Kubernetes, with which it signs what it registers: a Secret of its namespace.

    signer = signing_key(api, "flight-delay-prod")         # there already, or made now; it never changes

Who may read Secrets of the namespace can sign as the stack. Who verifies needs the public key only, which is an output
of the stack.
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
"""The keys of the Secret: the private key, PEM without a password, and the public one, for people to read."""


def secret_name(prefix: str) -> str:
    """The name of the Secret of a stack, by what its names begin with."""
    return f"{prefix}-signing"


def signing_key(api: Api, prefix: str, labels: Mapping[str, str] | None = None) -> KeyPair:
    """The key pair of a stack, which is made if there is none; two at once get the same.

    Args:
        api: The stack's namespace.
        prefix: What the stack's names begin with.
        labels: Of the Secret.

    Raises:
        RolloutError: The Secret holds no such key, or may not be read or made.
    """
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
