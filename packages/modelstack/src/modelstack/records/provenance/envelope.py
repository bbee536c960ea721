"""Signs and opens statements: a DSSE envelope in a Sigstore bundle.

The signature is ECDSA P-256 with SHA-256 over DSSE's pre-authentication encoding. The bundle identifies the key by a
hash and does not contain it.

Sources: DSSE protocol v1.0.2 (secure-systems-lab/dsse); Sigstore bundle v0.3 (sigstore/protobuf-specs).
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from modelstack.records.provenance.facts import canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
LONGEST = 4 * 1024**2  # maximum bytes of a bundle
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the P-256 group. Source: SP 800-186, 3.2.1.3."""


class SignatureError(Exception):
    """A signature is missing or wrong, so nothing of the content was used."""


class Signer(Protocol):
    """Signs with a private P-256 key."""

    @property
    def public_key(self) -> bytes:
        """The public key, PEM."""

    def sign(self, message: bytes) -> bytes:
        """Sign the SHA-256 of a message: ASN.1 DER."""


def enclose(payload: bytes, signer: Signer) -> bytes:
    """Sign a statement and return the bundle with both."""
    return _bundle(payload, _lower(signer.sign(pre_authentication(payload))), signer.public_key)


def opened(bundle: bytes, public_key: bytes) -> bytes:
    """Verify a bundle with a key (PEM) and return its statement; raises SignatureError otherwise.

    Accepts only the exact bytes that `enclose` writes, so that one statement and signature have one encoding.
    """
    payload, der = _parts(bundle)
    key = _p256(public_key)
    trusted = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    named = key_id(trusted)[:12]
    if _bundle(payload, _lower(der), trusted) != bundle:
        raise SignatureError(f"the signature is not by the key {named}, or its file was changed: nothing was read")
    try:
        key.verify(der, pre_authentication(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise SignatureError(f"the signature does not fit what it signs by the key {named}: nothing was read") from None
    return payload


def pre_authentication(payload: bytes) -> bytes:
    """The bytes to sign for a payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def key_id(public_key: bytes) -> str:
    """The id of a key in a bundle: sha256 of its PEM, hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def pem_of(der: bytes) -> bytes:
    """Canonical PEM of a DER public key (SubjectPublicKeyInfo)."""
    text = base64.b64encode(der).decode()
    lines = [text[place : place + 64] for place in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()


def _lower(der: bytes) -> bytes:
    """Normalize a signature: (r, order - s) verifies as well as (r, s). Bytes that are no signature pass unchanged."""
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        return der
    return encode_dss_signature(r, min(s, ORDER - s)) if 0 < s < ORDER else der


def _bundle(payload: bytes, der: bytes, public_key: bytes) -> bytes:
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": "", "sig": base64.b64encode(der).decode()}],
    }
    material = {"publicKey": {"hint": key_id(public_key)}, "tlogEntries": []}
    return canonical({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


def _parts(bundle: bytes) -> tuple[bytes, bytes]:
    if len(bundle) > LONGEST:
        raise SignatureError(f"the signature has {len(bundle):,} bytes, expected at most {LONGEST:,}")
    try:
        envelope = json.loads(bundle)["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        return base64.b64decode(envelope["payload"], validate=True), base64.b64decode(signature["sig"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise SignatureError("the signature is no Sigstore bundle with one signature: nothing was read") from None


def _p256(public_key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(public_key)
    except (ValueError, TypeError):
        raise SignatureError("the public key is no PEM of a public key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignatureError("the public key is of another kind: expected one on the curve P-256")
    return key
