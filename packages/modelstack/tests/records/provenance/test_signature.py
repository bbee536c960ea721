"""The model signature: model-signing verifies what we sign, and refuses what was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline import archive
from modelstack.records.provenance.envelope import enclose
from modelstack.records.provenance.facts import canonical
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.records.provenance.signature import signed_digest, statement
from modelstack.records.provenance.statement import StatementError


@pytest.fixture
def oracle(tmp_path: Path, key: KeyPair, sealed: Path):
    """Has model-signing verify an archive with our bundle; it takes long to import."""
    from model_signing import verifying

    (tmp_path / "key.pub").write_bytes(key.public_key)
    (tmp_path / "model.sig").write_bytes(enclose(statement(archive.package_digest(sealed)), key))

    def verify(path: Path) -> None:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
        verifier.verify(path, tmp_path / "model.sig")

    return verify


def test_model_signing_verifies_our_signature(oracle, sealed: Path):
    oracle(sealed)


def test_model_signing_refuses_a_changed_archive(oracle, sealed: Path):
    sealed.write_bytes(sealed.read_bytes() + b"\x00")
    with pytest.raises(ValueError, match="mismatch"):
        oracle(sealed)


def test_a_statement_names_the_digest_of_its_archive(sealed: Path):
    digest = archive.package_digest(sealed)
    assert signed_digest(statement(digest)) == digest


@pytest.mark.parametrize(
    "change",
    [
        {"subject": []},
        {"subject": [{"name": "other.tar.gz"}]},
        {"subject": [{"digest": {"sha256": "0" * 64}}]},
        {"predicate": 7},
        {"predicate": {"resources": []}},
        {"predicate": {"resources": [{"digest": "no hex"}]}},
        {"predicate": {"resources": [{"algorithm": "md5"}]}},
        {"predicate": {"resources": [{"name": "elsewhere"}]}},
        {"predicate": {"serialization": {"ignore_paths": ["."]}}},
        {"predicate": {"serialization": {"hash_type": "md5"}}},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"note": "one field more"},
    ],
)
def test_a_statement_with_anything_else_in_it_is_refused(change: dict[str, Any]):
    body = json.loads(statement("sha256:" + "a" * 64))
    _merge(body, change)
    with pytest.raises(StatementError):
        signed_digest(canonical(body))


def _merge(body: Any, change: Any) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            _merge(body[key], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            _merge(body[key][0], value[0])
        else:
            body[key] = value
