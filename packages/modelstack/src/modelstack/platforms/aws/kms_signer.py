"""Signs with a key that never leaves AWS KMS: of the spec ECC_NIST_P256, with the usage SIGN_VERIFY.

KMS gets the digest of the message, so that its length does not matter. Verifying needs the public key only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from modelstack.platforms.aws.clients import Clients

ALGORITHM = "ECDSA_SHA_256"


@dataclass(frozen=True)
class KmsSigner:
    """`Signer` with a key of KMS, by its ARN; raises ClientError and BotoCoreError."""

    clients: Clients
    key: str

    @cached_property
    def public_key(self) -> bytes:
        """The public key, PEM."""
        from modelstack.records.provenance.envelope import pem_of  # noqa: PLC0415  a function signs, and has not what verifies

        return pem_of(self.clients("kms").get_public_key(KeyId=self.key)["PublicKey"])

    def sign(self, message: bytes) -> bytes:
        """Sign the SHA-256 of a message: ASN.1 DER."""
        digest = hashlib.sha256(message).digest()
        kms = self.clients("kms")
        answer = kms.sign(KeyId=self.key, Message=digest, MessageType="DIGEST", SigningAlgorithm=ALGORITHM)
        return answer["Signature"]
