"""What counts as a change, and which change needs a new resource."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.awsplugin import services
from localcloud.awsplugin.check import check
from localcloud.awsplugin.diff import compare, delete_first
from localcloud.awsplugin.lifecycle import served
from localcloud.awsplugin.wire import UNKNOWN, Archive

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
BUCKET = "aws:s3/bucket:Bucket"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
FUNCTION = "aws:lambda/function:Function"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
TABLE = "aws:dynamodb/table:Table"


def changed(token: str, state: dict[str, Any], wanted: dict[str, Any], **more: Any) -> dict[str, str]:
    return {d.path: d.kind for d in compare(served(token), state, wanted, more.pop("default_tags", {}), **more)}


def statement(**parts: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **parts}]})


SAME = [
    pytest.param(FUNCTION, {"timeout": 3, "memorySize": 128}, {}, id="what the service takes by default"),
    pytest.param(BUCKET, {"tags": {}, "forceDestroy": False}, {}, id="empty and absent"),
    pytest.param(
        ROLE_POLICY,
        {"policy": statement(Action=["s3:GetObject"], Resource="*")},
        {"policy": statement(Action="s3:GetObject", Resource=["*"])},
        id="one action and a list of one",
    ),
    pytest.param(
        ROLE_POLICY,
        {"policy": statement(Action=["b", "a"], Resource="*")},
        {"policy": statement(Action=["a", "b"], Resource="*")},
        id="the order of actions",
    ),
    pytest.param(
        ALARM,
        {"alarmActions": ["b", "a"], "metricQueries": []},
        {"alarmActions": ["a", "b"]},
        id="the order of alarm actions",
    ),
    pytest.param(
        TABLE,
        {"attributes": [{"name": "b", "type": "S"}, {"name": "a", "type": "S"}]},
        {"attributes": [{"name": "a", "type": "S"}, {"name": "b", "type": "S"}]},
        id="the order of attributes",
    ),
    pytest.param(
        CONFIG,
        {"productionVariants": [{"modelName": "m", "variantName": "variant-1", "initialVariantWeight": 1}]},
        {"productionVariants": [{"modelName": "m"}]},
        id="a variant's name that the service chose",
    ),
    pytest.param(
        "aws:sqs/queue:Queue",
        {"redrivePolicy": '{"deadLetterTargetArn":"arn","maxReceiveCount":"3"}'},
        {"redrivePolicy": '{"deadLetterTargetArn":"arn","maxReceiveCount":3}'},
        id="a count as number and as text",
    ),
    pytest.param(
        FUNCTION,
        {"code": Archive(hash="00")},
        {"code": Archive(path="elsewhere.zip", hash="00")},
        id="an archive of the same content at another place",
    ),
]


@pytest.mark.parametrize(("token", "state", "wanted"), SAME)
def test_the_same_in_another_form_is_no_change(token: str, state: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert changed(token, state, wanted) == {}


DIFFERENT = [
    (
        BUCKET,
        {"tags": {"a": "1", "b": "2"}},
        {"tags": {"a": "9", "c": "3"}},
        {"tags.a": "update", "tags.b": "delete", "tags.c": "add"},
    ),
    (FUNCTION, {"timeout": 9}, {}, {"timeout": "delete"}),
    (FUNCTION, {"code": Archive(hash="00")}, {"code": Archive(path="a", hash="01")}, {"code": "update"}),
    (FUNCTION, {}, {"code": Archive(path="a", hash="01")}, {"code": "add"}),
    (
        FUNCTION,
        {"environment": {"variables": {"A": "1"}}},
        {"environment": {"variables": {"A": UNKNOWN}}},
        {"environment.variables.A": "update"},
    ),
    (
        CONFIG,
        {"productionVariants": [{"modelName": "m", "initialVariantWeight": 1}]},
        {"productionVariants": [{"modelName": "n", "initialVariantWeight": 0.5}]},
        {"productionVariants[0].modelName": "update", "productionVariants[0].initialVariantWeight": "update"},
    ),
    (
        CONFIG,
        {"productionVariants": [{"modelName": "m"}]},
        {"productionVariants": [{"modelName": "m"}] * 2},
        {"productionVariants": "update"},
    ),
    (ROLE_POLICY, {"policy": statement(Action="a")}, {"policy": statement(Action="b")}, {"policy": "update"}),
    (ROLE_POLICY, {"policy": statement(Action="a")}, {"policy": UNKNOWN}, {"policy": "update"}),
]


@pytest.mark.parametrize(("token", "state", "wanted", "paths"), DIFFERENT)
def test_a_change_is_told_by_its_path(
    token: str, state: dict[str, Any], wanted: dict[str, Any], paths: dict[str, str]
) -> None:
    assert changed(token, state, wanted) == paths


def test_a_live_value_that_the_service_chose_is_no_change() -> None:
    assert changed("aws:kms/key:Key", {"policy": '{"Statement":[]}', "description": "d"}, {}) == {}


def test_ignored_paths_are_left_out() -> None:
    state = {"endpointConfigName": "a", "tags": {"x": "1", "y.z": "1"}}
    wanted = {"endpointConfigName": "b", "tags": {"x": "2", "y.z": "2"}}
    endpoint = "aws:sagemaker/endpoint:Endpoint"
    assert set(changed(endpoint, state, wanted)) == {"endpointConfigName", "tags.x", 'tags["y.z"]'}
    assert set(changed(endpoint, state, wanted, ignore=["endpointConfigName"])) == {"tags.x", 'tags["y.z"]'}
    assert set(changed(endpoint, state, wanted, ignore=["tags"])) == {"endpointConfigName"}
    assert set(changed(endpoint, state, wanted, ignore=['tags["y.z"]', "tags.x"])) == {"endpointConfigName"}
    assert changed(endpoint, state, wanted, ignore=["*"]) == {}


def test_the_providers_tags_count_as_the_resources_own() -> None:
    default = {"team": "models"}
    state = {"tags": {"a": "b"}, "tagsAll": {"a": "b", "team": "models"}}
    assert changed(BUCKET, state, {"tags": {"a": "b"}}, default_tags=default) == {}
    assert changed(BUCKET, state, {"tags": {"a": "b"}}, default_tags={"team": "other"}) == {"tags.team": "update"}
    assert changed(BUCKET, state, {"tags": UNKNOWN}, default_tags=default) == {"tags": "update"}


REPLACED = [
    ("aws:kms/key:Key", {"keyUsage": "SIGN_VERIFY"}, {}, False, "keys have no name of their own"),
    (ROLE_POLICY, {"role": "s", "name": "n"}, {"role": "r", "name": "n"}, False, "another role, another identity"),
    (
        "aws:sagemaker/endpoint:Endpoint",
        {"name": "e", "endpointConfigName": "c"},
        {
            "name": "e",
            "endpointConfigName": "c",
            "deploymentConfig": {"autoRollbackConfiguration": {"alarms": [{"alarmName": "a"}]}},
        },
        True,
        "the genuine provider reads it back after anybody's guarded update",
    ),
    ("aws:iam/role:Role", {"name": "n", "path": "/b/"}, {"name": "n", "path": "/"}, True, "the same fixed name"),
    ("aws:iam/role:Role", {"name": "m", "path": "/b/"}, {"name": "n", "path": "/"}, False, "another fixed name"),
    (TABLE, {"name": "t", "hashKey": "b"}, {"name": "t", "hashKey": "a"}, True, "the same fixed name"),
    (
        "aws:lambda/permission:Permission",
        {"function": "f", "statementId": "s", "action": "b"},
        {"function": "f", "statementId": "s", "action": "a"},
        True,
        "the same statement",
    ),
]


@pytest.mark.parametrize(("token", "wanted", "state", "first", "why"), REPLACED)
def test_a_replacement_deletes_first_when_both_would_have_the_same_name(
    token: str, wanted: dict[str, Any], state: dict[str, Any], first: bool, why: str
) -> None:
    found = compare(served(token), state, wanted, {})
    assert any(d.replace for d in found)
    assert delete_first(served(token), found, wanted) is first, why


def test_a_replacement_under_an_automatic_name_is_made_first() -> None:
    role = "aws:iam/role:Role"
    named = check(served(role), "r", {}, {"assumeRolePolicy": "{}"}, seed=b"x").inputs
    found = compare(served(role), {**named, "path": "/"}, {**named, "path": "/b/"}, {})
    assert not delete_first(served(role), found, named)


def test_a_region_is_where_a_resource_lives() -> None:
    found = compare(served(BUCKET), {"bucket": "b", "region": "us-east-1"}, {"bucket": "b", "region": "eu-west-1"}, {})
    assert [(d.path, d.replace) for d in found] == [("region", True)]
    assert changed(BUCKET, {"region": "us-east-1"}, {}) == {}


@pytest.mark.parametrize("token", sorted(services.TYPES))
def test_every_type_can_change_in_place_or_says_that_it_cannot(token: str) -> None:
    spec = served(token)
    in_place = {name for name, prop in spec.props.items() if not prop.replace and not prop.local}
    assert bool(in_place) == (spec.update is not None)
