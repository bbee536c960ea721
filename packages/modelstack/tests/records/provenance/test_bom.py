"""The bill of materials: valid for CycloneDX, and says what the facts say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelstack.records.provenance.bom import bom
from modelstack.records.provenance.facts import Facts
from tests.records.provenance.conftest import FACTS


@pytest.fixture(scope="module")
def validator() -> Any:
    """CycloneDX's own, which takes seconds to import."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6)


def test_the_strict_validator_takes_it(facts: Facts, validator: Any):
    assert validator.validate_str(bom(facts).decode()) is None


def test_it_holds_the_model_its_data_and_its_libraries():
    found: Any = json.loads(bom(FACTS))
    assert found["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert [one["bom-ref"] for one in found["components"]] == [
        "data:flights.csv.zip",
        "data:weather.csv",
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/scikit-learn@1.9.0",
    ]
    scopes = {one["name"]: one["scope"] for one in found["components"] if one["type"] == "library"}
    assert scopes == {"numpy": "required", "scikit-learn": "excluded"}
    assert found["dependencies"][0]["dependsOn"] == ["data:flights.csv.zip", "data:weather.csv", "pkg:pypi/numpy@2.4.6"]


def test_a_metric_has_its_interval_where_it_is_known():
    card: Any = json.loads(bom(FACTS))["metadata"]["component"]["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "auc", "value": "0.706"},
        {"type": "log_loss", "value": "0.4876", "confidenceInterval": {"lowerBound": "0.483", "upperBound": "0.492"}},
    ]
