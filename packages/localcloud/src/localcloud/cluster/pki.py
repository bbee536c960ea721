"""The certificates of a cluster: one authority, what the servers show, and who the clients are.

Everything lies in one folder of mode 0700 and is made once. A client is known by its certificate: the common name is
the user, the organizations are the groups, as Kubernetes has it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS = 10
_AUTHORITY = "ca"


@dataclass(frozen=True)
class Identity:
    """Who a certificate is for.

    Attributes:
        name: Of its files.
        user: The common name.
        groups: The organizations.
        hosts: Names and addresses that a server is asked by; none for a client.
    """

    name: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Authority:
    """Makes certificates in a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.certificate.exists():
            self._create()

    @property
    def certificate(self) -> Path:
        """The authority's own certificate, PEM."""
        return self._folder / f"{_AUTHORITY}.crt"

    def issue(self, identity: Identity) -> tuple[Path, Path]:
        """The certificate and the key of an identity, PEM; made when one of them is missing."""
        certificate, key = (self._folder / f"{identity.name}.{ending}" for ending in ("crt", "key"))
        if not (certificate.exists() and key.exists()):
            private = ec.generate_private_key(ec.SECP256R1())
            usage = ExtendedKeyUsageOID.SERVER_AUTH if identity.hosts else ExtendedKeyUsageOID.CLIENT_AUTH
            issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            builder = (
                _builder(_name(identity.user, identity.groups), issuer.subject, private.public_key())
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            )
            if identity.hosts:
                builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(identity.hosts)), False)
            _keep(key, _private(private))
            _keep(certificate, _signed(builder, self._key()))
        return certificate, key

    def account_key(self) -> tuple[Path, Path]:
        """The public and the private key by which the tokens of service accounts are signed, PEM."""
        public, private = self._folder / "accounts.pub", self._folder / "accounts.key"
        if not (public.exists() and private.exists()):
            made = rsa.generate_private_key(65537, 2048)
            _keep(private, _private(made))
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            _keep(public, made.public_key().public_bytes(serialization.Encoding.PEM, form))
        return public, private

    def _create(self) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        name = _name("localcloud cluster", ())
        builder = (
            _builder(name, name, private.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
        )
        _keep(self._folder / f"{_AUTHORITY}.key", _private(private))
        _keep(self.certificate, _signed(builder, private))

    def _key(self) -> ec.EllipticCurvePrivateKey:
        read = serialization.load_pem_private_key((self._folder / f"{_AUTHORITY}.key").read_bytes(), None)
        assert isinstance(read, ec.EllipticCurvePrivateKey)  # noqa: S101  it was made above
        return read


_SIGNS = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
    )


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _keep(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
    new.replace(path)
