"""Signs a statement and opens what was signed: a DSSE envelope in a Sigstore bundle, as other tools read it.

    bundle = enclose(payload, KeyPair.read(path))       # bytes of a file
    payload = opened(bundle, public_key)                # raises SignatureError; the payload was not parsed until then

The signature is ECDSA on the curve P-256 over SHA-256 of the envelope's pre-authentication encoding, which covers the
payload and its type. The bundle says by a hash which key signed, and never brings that key along.

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

from provenance.facts import canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
LONGEST = 4 * 1024**2
"""Bytes of a bundle that is looked at."""
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256. Source: SP 800-186, 3.2.1.3."""


class SignatureError(Exception):
    """What should be signed is not, or not by this key; the message says why. Nothing of it was used."""


class Signer(Protocol):
    """Holds a private key on the curve P-256, or knows who does."""

    @property
    def public_key(self) -> bytes:
        """The key to verify with, PEM."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign the SHA-256 of a message: ASN.1 DER."""
        ...


def enclose(payload: bytes, signer: Signer) -> bytes:
    """Sign a statement, and put it into a bundle with its signature."""
    return _bundle(payload, _lower(signer.sign(pre_authentication(payload))), signer.public_key)


def opened(bundle: bytes, public_key: bytes) -> bytes:
    """Return the statement in a bundle, once it is shown to be signed with a key.

    Only the bytes that `enclose` writes are taken: a bundle that says the same in other bytes is another one.

    Args:
        bundle: What `enclose` returned.
        public_key: The key that is trusted, PEM.

    Raises:
        SignatureError: It is no such bundle, or not signed with that key.
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
    """The bytes that are signed for a payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def key_id(public_key: bytes) -> str:
    """By what a bundle names a key: sha256 of its PEM, hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def pem_of(der: bytes) -> bytes:
    """A public key in PEM, as every tool writes it, of its DER (SubjectPublicKeyInfo)."""
    text = base64.b64encode(der).decode()
    lines = [text[place : place + 64] for place in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()


def _lower(der: bytes) -> bytes:
    """The one of two signatures that is written: from (r, s) anybody can make (r, order - s), which verifies as well.

    What is no signature is given back, for the verification to refuse.
    """
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
    """The payload and the signature of a bundle."""
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
