"""Pulumi's properties as Terraform's attributes, and the cuts in the provider's sources."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.genuine.attributes import convert, differences, kind_of
from localcloud.genuine.build import cut


def block(blocks: dict[str, tuple[int, Any]] | None = None, **attributes: Any) -> dict[str, Any]:
    nested = [{"TypeName": name, "Nesting": nesting, "Block": of} for name, (nesting, of) in (blocks or {}).items()]
    return {"Attributes": [{"Name": name, "Type": kind} for name, kind in attributes.items()], "BlockTypes": nested}


def test_a_type_has_the_name_that_terraform_gives_it() -> None:
    assert kind_of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock") == "aws_s3_bucket_public_access_block"
    assert kind_of("aws:lambda/function:Function") == "aws_lambda_function"


def test_names_plurals_and_objects_become_those_of_the_schema() -> None:
    rule = block({"filter": (1, block(prefix="string"))}, id="string", days="number")
    schema = block({"rule": (2, rule), "logging": (2, block(level="string"))}, tags=["map", "string"], policy="string")
    properties = {"rules": [{"id": "a", "filter": {"prefix": ""}}], "tags": {"camelCase": "x"}, "policy": {"b": 1}}
    assert convert("aws_thing", schema, properties) == {
        "rule": [{"id": "a", "filter": {"prefix": ""}}],
        "logging": [],
        "tags": {"camelCase": "x"},
        "policy": '{"b": 1}',
    }
    assert convert("aws_thing", schema, {"logging": {"level": "all"}})["logging"] == [{"level": "all"}]


def test_a_property_that_the_schema_has_not_is_an_error() -> None:
    with pytest.raises(KeyError, match="policies: the genuine provider has none of policies, policie"):
        convert("aws_thing", block(tags=["map", "string"]), {"policies": "x"})


def test_states_differ_where_their_meaning_does() -> None:
    ours = {"policy": '{"a": 1, "b": 2}', "items": [{"x": 1}, {"x": 2}], "empty": [], "timeout": 3}
    genuine = {"policy": '{"b":2,"a":1}', "items": [{"x": 2}, {"x": 1}], "note": "", "fifo": False, "timeout": 4}
    assert list(differences(ours, genuine)) == ["timeout: 3, and genuinely 4"]
    assert list(differences({"items": [{"x": 1}]}, {"items": [{"x": 3}]})) == ["items[0].x: 1, and genuinely 3"]


def test_entries_of_other_services_are_cut() -> None:
    text = '\t"path/service/iam"\n\t"path/service/ec2"\n\tfmt\n'
    assert cut(text, ((r'^\t"path/service/(\w+)"\n', "s3 iam"),)) == '\t"path/service/iam"\n\tfmt\n'
