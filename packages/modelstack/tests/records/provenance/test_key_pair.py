"""A key in a file: made once, its owner's alone, and of one kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from modelstack.records.provenance.key_pair import KeyFileError, KeyPair


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path):
    path = tmp_path / "keys" / "signing.pem"
    first = KeyPair.made(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyPair.made(path).public_key == first.public_key == KeyPair.read(path).public_key
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_many_at_once_get_one_key(tmp_path: Path):
    path = tmp_path / "signing.pem"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: KeyPair.made(path).public_key, range(32)))
    assert len(set(keys)) == 1


def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path):
    path = tmp_path / "signing.pem"
    KeyPair.made(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        KeyPair.read(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"text", "no private key in PEM"),
        (
            ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "another kind",
        ),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
            ),
            "without a password",
        ),
    ],
)
def test_a_file_with_something_else_is_refused(tmp_path: Path, content: bytes, told: str):
    path = tmp_path / "signing.pem"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=told):
        KeyPair.read(path)
