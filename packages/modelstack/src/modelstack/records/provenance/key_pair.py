"""A signing key pair in a file, for machines without a key service."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class KeyFileError(Exception):
    """The file holds no usable key, or others may read it; the message says what to do."""


@dataclass(frozen=True)
class KeyPair:
    """`Signer` with a private key in memory."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> KeyPair:
        """Generate a key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def read(cls, path: Path) -> KeyPair:
        """Read a private P-256 key, PEM without password; KeyFileError for another, or if others may read the file."""
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} may be read by others than its owner: run `chmod 600 {path}`")
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError):
            raise KeyFileError(f"{path} is no private key in PEM without a password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyFileError(f"{path} holds a key of another kind: expected one on the curve P-256")
        return cls(key)

    @classmethod
    def made(cls, path: Path) -> KeyPair:
        """Read a file's key, and create it first if needed; raises as `read`. Two concurrent calls get the same key."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=path.parent) as partial:  # which its owner alone may read
                partial.write(cls.new().pem())
                partial.flush()
                with suppress(FileExistsError):
                    os.link(partial.name, path)
        return cls.read(path)

    @property
    def public_key(self) -> bytes:
        """The public key, PEM."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def pem(self) -> bytes:
        """The private key, PEM, without a password."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """See `Signer`."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))
