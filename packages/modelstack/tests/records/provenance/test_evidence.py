"""Sign, change, verify: what was signed passes, and nothing else does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from bench.mutants import KINDS, Signed, mutants, signed
from modelstack.records.provenance import evidence
from modelstack.records.provenance.envelope import SignatureError
from modelstack.records.provenance.evidence import Attestation, documents, sign, verify_file
from modelstack.records.provenance.facts import Facts
from modelstack.records.provenance.key_pair import KeyPair
from tests.records.provenance.conftest import FACTS, about

MEMBERS = {"manifest.json": b'{"files": {}}', "a.json": b"{}", "model.bin": bytes(range(256)) * 8}


def test_what_was_signed_gives_its_facts_back(sealed: Path, key: KeyPair, facts: Facts):
    facts = about(sealed, facts)
    assert verify_file(sealed, sign(facts, key).files(), key.public_key) == facts


def test_the_same_facts_give_the_same_documents(facts: Facts):
    assert documents(facts) == documents(Facts.from_json(facts.to_json()))


def test_each_mutant_is_refused_before_anything_of_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def read(*_: object) -> None:
        raise AssertionError("facts were read")

    monkeypatch.setattr(evidence.Facts, "from_json", read)
    path = tmp_path / "model.tar.gz"
    refused: Counter[str] = Counter()
    for mutant in mutants(MEMBERS, FACTS, 4 * len(KINDS), Random(7)):
        path.write_bytes(mutant.archive)
        with pytest.raises(SignatureError):
            verify_file(path, mutant.files, mutant.public_key)
        refused[mutant.kind] += 1
    assert refused == dict.fromkeys(KINDS, 4)


def test_the_package_that_mutants_are_made_of_passes(tmp_path: Path, key: KeyPair):
    whole: Signed = signed(MEMBERS, FACTS, key)
    (tmp_path / "model.tar.gz").write_bytes(whole.archive)
    verify_file(tmp_path / "model.tar.gz", whole.files, whole.public_key)


def test_what_is_not_signed_says_so(sealed: Path, key: KeyPair):
    with pytest.raises(SignatureError, match=r"not signed: found no model\.sig and no provenance"):
        Attestation.of(documents(about(sealed)))


def test_facts_of_another_package_are_refused_even_if_they_are_signed(sealed: Path, key: KeyPair):
    whole = sign(about(sealed), key)
    with pytest.raises(SignatureError, match=f"is of sha256:{'a' * 64}"):
        Attestation(whole.documents, whole.model, sign(FACTS, key).provenance).verify(
            about(sealed).package.digest, key.public_key
        )
