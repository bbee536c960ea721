"""The certificates of a cluster."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.cluster.pki import Authority, Identity

CLIENT = Identity("kubelet", "system:node:node1", ("system:nodes",))
SERVER = Identity("apiserver", "kube-apiserver", hosts=("10.99.0.1", "kubernetes.default"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_client_is_its_common_name_in_its_organizations(authority: Authority) -> None:
    certificate = read(authority.issue(CLIENT)[0])
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [CLIENT.user]
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [name.value for name in groups] == ["system:nodes"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH], "a client's certificate serves nobody"


def test_a_server_is_asked_by_its_names_and_addresses(authority: Authority) -> None:
    certificate = read(authority.issue(SERVER)[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.99.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes.default"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_certificates_are_signed_by_the_authority_and_fit_their_keys(authority: Authority) -> None:
    certificate, key = authority.issue(CLIENT)
    read(certificate).verify_directly_issued_by(read(authority.certificate))
    ssl.create_default_context(cafile=str(authority.certificate)).load_cert_chain(certificate, key)


def test_everything_is_made_once(authority: Authority, tmp_path: Path) -> None:
    before = [path.read_bytes() for path in (*authority.issue(CLIENT), *authority.account_key())]
    again = Authority(tmp_path / "pki")
    assert [path.read_bytes() for path in (*again.issue(CLIENT), *again.account_key())] == before


def test_only_its_owner_reads_a_key(authority: Authority, tmp_path: Path) -> None:
    authority.issue(CLIENT)
    authority.account_key()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
