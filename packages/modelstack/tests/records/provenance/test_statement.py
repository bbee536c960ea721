"""The in-toto statement: valid for in-toto, and says what the facts say, no more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from modelstack.records.provenance.facts import Facts, canonical
from modelstack.records.provenance.statement import StatementError, documents_of, package_of, statement
from tests.records.provenance.conftest import FACTS, UNKNOWN

DOCUMENTS = {"card.md": b"# Card", "bom.cdx.json": b"{}"}


def told(facts: Facts) -> Any:
    return json.loads(statement(facts, DOCUMENTS))["predicate"]


def test_in_toto_and_slsa_take_the_statement(facts: Facts):
    body = json.loads(statement(facts, DOCUMENTS))
    Statement.copy_from_pb(ParseDict(body, statement_pb2.Statement())).validate()
    provenance = ParseDict(body["predicate"], provenance_pb2.Provenance())
    assert provenance.run_details.builder.id == facts.builder.id
    assert provenance.build_definition.build_type == f"urn:modelstack:recipe:{facts.recipe.format}"


def test_it_is_about_the_package_and_names_every_document():
    payload = statement(FACTS, DOCUMENTS)
    assert package_of(payload) == FACTS.package.digest
    assert documents_of(payload) == {name: hashlib.sha256(content).hexdigest() for name, content in DOCUMENTS.items()}


def test_the_checkout_the_data_and_the_libraries_went_in():
    found = told(FACTS)["buildDefinition"]["resolvedDependencies"]
    assert found[0] == {
        "name": "checkout",
        "uri": f"git+{FACTS.source.remote}@{FACTS.source.commit}",
        "digest": {"gitCommit": FACTS.source.commit},
        "annotations": {"dirty": False},
    }
    named = {item.get("name", item.get("uri")) for item in found}
    assert named == {
        "checkout",
        "code",
        "flights.csv.zip",
        "weather.csv",
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/scikit-learn@1.9.0",
    }


def test_what_is_unknown_is_left_out():
    assert [one["name"] for one in told(UNKNOWN)["buildDefinition"]["resolvedDependencies"]] == ["code"]
    assert told(UNKNOWN)["runDetails"]["metadata"] == {"finishedOn": UNKNOWN.builder.finished}
    nowhere = replace(FACTS, source=replace(FACTS.source, remote=None))
    assert "uri" not in told(nowhere)["buildDefinition"]["resolvedDependencies"][0]


@pytest.mark.parametrize("change", [{"subject": []}, {"subject": 1}, {"predicate": {}}, {"predicateType": "other"}])
def test_a_statement_of_another_kind_is_refused(change: dict[str, object]):
    payload = canonical({**json.loads(statement(FACTS, DOCUMENTS)), **change})
    with pytest.raises(StatementError):
        documents_of(payload)
        package_of(payload)


@pytest.mark.parametrize("name", ["card.md", 7], ids=["twice", "no text"])
def test_documents_that_are_not_each_named_once_are_refused(name: object):
    body = json.loads(statement(FACTS, DOCUMENTS))
    body["predicate"]["runDetails"]["byproducts"].insert(0, {"name": name, "digest": {"sha256": "0" * 64}})
    with pytest.raises(StatementError, match="each of its documents once"):
        documents_of(canonical(body))


def test_a_statement_that_says_two_things_to_two_readers_is_refused():
    payload = statement(FACTS, DOCUMENTS)
    twice = payload.replace(b'"subject":', b'"subject":[],"subject":')
    assert json.loads(twice) == json.loads(payload)
    with pytest.raises(StatementError, match="no in-toto statement"):
        package_of(twice)


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"{}", b"[" * 100_000, b"\xff"], ids=lambda value: value[:4])
def test_what_is_no_statement_is_refused(payload: bytes):
    with pytest.raises(StatementError, match="no in-toto statement"):
        package_of(payload)
