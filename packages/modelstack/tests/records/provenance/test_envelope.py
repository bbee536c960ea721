"""Signing and opening: what was signed comes back, and nothing else is opened."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from modelstack.records.provenance.envelope import (
    ORDER,
    SignatureError,
    enclose,
    key_id,
    opened,
    pem_of,
    pre_authentication,
)
from modelstack.records.provenance.facts import canonical
from modelstack.records.provenance.key_pair import KeyPair

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


def test_what_was_signed_is_opened(key: KeyPair):
    assert opened(enclose(PAYLOAD, key), key.public_key) == PAYLOAD


def test_what_is_signed_is_the_encoding_that_dsse_gives_as_its_example():
    given = pre_authentication(b"hello world")
    assert given == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_every_flipped_bit_of_a_bundle_is_refused(key: KeyPair):
    bundle = enclose(b"{}", key)
    for place in range(len(bundle) * 8):
        changed = bytearray(bundle)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(SignatureError):
            opened(bytes(changed), key.public_key)


def test_the_second_signature_that_anybody_can_make_of_one_is_refused(key: KeyPair):
    body = json.loads(enclose(PAYLOAD, key))
    first = body["dsseEnvelope"]["signatures"][0]
    r, s = decode_dss_signature(base64.b64decode(first["sig"]))
    second = encode_dss_signature(r, ORDER - s)
    key.private.public_key().verify(second, pre_authentication(PAYLOAD), ec.ECDSA(SHA256()))
    first["sig"] = base64.b64encode(second).decode()
    with pytest.raises(SignatureError, match="its file was changed"):
        opened(canonical(body), key.public_key)


def test_whichever_of_the_two_a_signer_makes_the_same_is_written(key: KeyPair):
    class Higher(KeyPair):
        def sign(self, message: bytes) -> bytes:
            r, s = decode_dss_signature(super().sign(message))
            return encode_dss_signature(r, max(s, ORDER - s))

    assert opened(enclose(PAYLOAD, Higher(key.private)), key.public_key) == PAYLOAD


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("dsseEnvelope", "signatures", []),
        ("dsseEnvelope", "signatures", "twice"),
        ("dsseEnvelope", "payloadType", "application/json"),
        ("dsseEnvelope", "payload", "no base64!"),
        ("verificationMaterial", "certificate", {"rawBytes": ""}),
    ],
)
def test_a_bundle_of_another_form_is_refused(key: KeyPair, part: str, field: str, value: Any):
    body = json.loads(enclose(PAYLOAD, key))
    body[part][field] = 2 * body[part][field] if value == "twice" else value
    with pytest.raises(SignatureError):
        opened(json.dumps(body, sort_keys=True, separators=(",", ":")).encode(), key.public_key)


@pytest.mark.parametrize("bundle", [b"", b"{}", b"[1]", b"null", b"\xff", b'{"dsseEnvelope": 1}', b"[" * 100_000])
def test_what_is_no_bundle_is_refused(key: KeyPair, bundle: bytes):
    with pytest.raises(SignatureError, match="no Sigstore bundle"):
        opened(bundle, key.public_key)


def test_a_bundle_that_is_too_long_is_not_looked_at(key: KeyPair):
    with pytest.raises(SignatureError, match="expected at most"):
        opened(b" " * (4 * 1024**2 + 1), key.public_key)


def pem(private: Any) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("public", "told"),
    [
        (KeyPair.new().public_key, "is not by the key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "expected one on the curve P-256"),
        (pem(rsa.generate_private_key(65537, 2048)), "expected one on the curve P-256"),
        (b"key", "no PEM of a public key"),
    ],
)
def test_any_other_key_is_refused(key: KeyPair, public: bytes, told: str):
    with pytest.raises(SignatureError, match=told):
        opened(enclose(PAYLOAD, key), public)


def test_blank_lines_around_a_key_make_no_other_key_of_it(key: KeyPair):
    assert opened(enclose(PAYLOAD, key), b"\n" + key.public_key + b"\n") == PAYLOAD


def test_a_key_in_der_becomes_the_pem_that_every_tool_writes(key: KeyPair):
    loaded = load_pem_public_key(key.public_key)
    assert pem_of(loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)) == key.public_key


def test_a_bundle_names_its_key_and_does_not_bring_it(key: KeyPair):
    bundle = enclose(PAYLOAD, key)
    assert json.loads(bundle)["verificationMaterial"] == {
        "publicKey": {"hint": key_id(key.public_key)},
        "tlogEntries": [],
    }
    assert base64.b64encode(key.public_key) not in bundle
