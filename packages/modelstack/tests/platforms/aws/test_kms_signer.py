"""A key in KMS signs, and whoever has the public key verifies without KMS."""

from __future__ import annotations

import hashlib
from pathlib import Path
from unittest.mock import Mock

import pytest

from modelstack.pipeline import archive
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.kms_signer import KmsSigner
from modelstack.records.provenance.envelope import SignatureError, enclose, opened
from modelstack.records.provenance.signature import statement
from tests.platforms.aws.either import EITHER, clients_of


@pytest.fixture(params=EITHER)
def clients(request: pytest.FixtureRequest) -> Clients:
    return clients_of(request)


@pytest.fixture
def signer(clients: Clients) -> KmsSigner:
    made = clients("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return KmsSigner(clients, made["KeyMetadata"]["Arn"])


def test_what_kms_has_signed_is_opened_with_the_public_key_alone_however_long_it_is(signer: KmsSigner):
    for payload in (b'{"a":1}', b"x" * 100_000):
        assert opened(enclose(payload, signer), signer.public_key) == payload


def test_another_key_of_kms_is_refused(signer: KmsSigner, clients: Clients):
    other = clients("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with pytest.raises(SignatureError, match="is not by the key"):
        opened(enclose(b"{}", signer), KmsSigner(clients, other).public_key)


def test_model_signing_verifies_what_kms_has_signed(signer: KmsSigner, tmp_path: Path):
    from model_signing import verifying

    archive.seal({"manifest.json": b'{"files": {}}'}, tmp_path / "model.tar.gz")
    (tmp_path / "key.pub").write_bytes(signer.public_key)
    payload = statement(archive.package_digest(tmp_path / "model.tar.gz"))
    (tmp_path / "model.sig").write_bytes(enclose(payload, signer))
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
    verifier.verify(tmp_path / "model.tar.gz", tmp_path / "model.sig")


def test_kms_signs_the_digest_as_a_message_may_be_longer_than_it_takes() -> None:
    """moto takes a digest for a message, so that what comes of it is shown on the local cloud."""
    kms = Mock()
    kms.sign.return_value = {"Signature": b"signed"}
    assert KmsSigner(lambda _: kms, "arn:key").sign(b"x" * 10_000) == b"signed"
    digest = hashlib.sha256(b"x" * 10_000).digest()
    kms.sign.assert_called_once_with(
        KeyId="arn:key", Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
    )
