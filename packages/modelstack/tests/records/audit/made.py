"""Chains of records for tests, signed with a key that is made for them."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import Entry, RecordKind, Signed

ENDPOINT = "flight-delay-prod"
WHO = "arn:aws:iam::000000000000:user/ada"


class Key:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))

    def check(self, message: bytes, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


def chain(count: int, endpoint: str = ENDPOINT, who: str = WHO) -> Chain:
    """A chain of so many records, all of which wait."""
    found = Chain()
    for number in range(count):
        kind = list(RecordKind)[number % len(RecordKind)]
        entry = Entry(1_000_000.0 + number, kind, {"release": f"{number:012x}", "numbers": {"step": 1.5}})
        found = found.noting(entry).sealed(endpoint, who)
    return found


def lines(made: Chain, key: Key) -> list[str]:
    return [Signed.by(key, record).line for record in made.waiting]
