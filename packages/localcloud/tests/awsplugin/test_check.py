"""Inputs are checked against the SDK's schema before anything is made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.awsplugin import services
from localcloud.awsplugin.check import Naming, check
from localcloud.awsplugin.lifecycle import served
from localcloud.awsplugin.schema import schema
from localcloud.awsplugin.wire import UNKNOWN, Archive

POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
VARIANT = {"modelName": "m", "instanceType": "ml.m5.large", "initialInstanceCount": 1}
FUNCTION = {"role": "arn", "runtime": "python3.11", "handler": "a.b", "code": Archive(path="code.zip", hash="00")}
ALARM = {"comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1, "threshold": 1}
METRIC = {"metricName": "Errors", "namespace": "N", "period": 60, "statistic": "Sum"}

# The least that each type takes.
LEAST: dict[str, dict[str, Any]] = {
    "aws:s3/bucket:Bucket": {},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        "bucket": "b",
        "rules": [{"id": "all", "status": "Enabled"}],
    },
    "aws:s3/bucketVersioning:BucketVersioning": {"bucket": "b", "versioningConfiguration": {"status": "Enabled"}},
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        "bucket": "b",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    },
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {"bucket": "b"},
    "aws:s3/bucketPolicy:BucketPolicy": {"bucket": "b", "policy": POLICY},
    "aws:s3/bucketNotification:BucketNotification": {"bucket": "b", "eventbridge": True},
    "aws:kms/key:Key": {},
    "aws:ecr/repository:Repository": {},
    "aws:ecr/repositoryPolicy:RepositoryPolicy": {"repository": "r", "policy": POLICY},
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": {"modelPackageGroupName": "g"},
    "aws:sagemaker/model:Model": {"executionRoleArn": "arn", "primaryContainer": {"image": "i"}},
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": {"productionVariants": [VARIANT]},
    "aws:sagemaker/endpoint:Endpoint": {"endpointConfigName": "c"},
    "aws:sagemaker/pipeline:Pipeline": {
        "pipelineName": "p",
        "pipelineDisplayName": "p",
        "roleArn": "arn",
        "pipelineDefinition": json.dumps({"Version": "2020-12-01", "Steps": []}),
    },
    "aws:iam/role:Role": {"assumeRolePolicy": POLICY},
    "aws:iam/rolePolicy:RolePolicy": {"role": "r", "policy": POLICY},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"role": "r", "policyArn": "arn"},
    "aws:lambda/function:Function": FUNCTION,
    "aws:lambda/permission:Permission": {"action": "lambda:InvokeFunction", "function": "f", "principal": "p"},
    "aws:lambda/eventSourceMapping:EventSourceMapping": {"eventSourceArn": "arn:aws:sqs:r:1:q", "functionName": "f"},
    "aws:sqs/queue:Queue": {},
    "aws:sns/topic:Topic": {},
    "aws:sns/topicSubscription:TopicSubscription": {"topic": "arn", "protocol": "sqs", "endpoint": "arn"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {**ALARM, **METRIC},
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": {"alarmName": "a", "alarmRule": "TRUE"},
    "aws:cloudwatch/dashboard:Dashboard": {"dashboardName": "d", "dashboardBody": '{"widgets": []}'},
    "aws:cloudwatch/eventRule:EventRule": {"scheduleExpression": "rate(1 minute)"},
    "aws:cloudwatch/eventTarget:EventTarget": {"rule": "r", "arn": "arn"},
    "aws:cloudwatch/logGroup:LogGroup": {},
    "aws:dynamodb/table:Table": {
        "attributes": [{"name": "k", "type": "S"}],
        "hashKey": "k",
        "billingMode": "PAY_PER_REQUEST",
    },
    "aws:scheduler/schedule:Schedule": {
        "scheduleExpression": "rate(1 minute)",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": {"arn": "arn", "roleArn": "arn"},
    },
}
TOKENS = sorted(services.TYPES)


def failures(token: str, inputs: dict[str, Any], **more: Any) -> dict[str, str]:
    return dict(check(served(token), "thing", {}, inputs, seed=b"seed", **more).failures)


def inputs(token: str, given: dict[str, Any], old: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    done = check(served(token), "thing", old or {}, given, **{"seed": b"seed", **more})
    assert done.failures == []
    return done.inputs


def test_every_type_that_is_served_is_in_the_table() -> None:
    assert set(LEAST) == set(services.TYPES)


def test_every_type_that_is_served_has_a_life_on_a_real_cloud() -> None:
    lives = "".join(path.read_text() for path in Path(__file__).parent.glob("test_life_of_*.py"))
    assert set(re.findall(r'"token": "(aws:[^"]+)"', lives)) == set(services.TYPES)


@pytest.mark.parametrize("token", TOKENS)
def test_the_least_inputs_pass(token: str) -> None:
    assert failures(token, LEAST[token]) == {}


@pytest.mark.parametrize("token", TOKENS)
def test_every_input_that_the_sdk_has_is_served_or_refused_by_name(token: str) -> None:
    spec = served(token)
    assert set(spec.supported) <= set(schema().inputs(token))
    assert set(spec.outputs) <= set(schema().outputs(token))
    for name in set(schema().inputs(token)) - set(spec.supported):
        reason = failures(token, {**LEAST[token], name: "x"})[name]
        assert f"does not support '{name}' of {token}" in reason
        assert all(other in reason for other in spec.supported)


@pytest.mark.parametrize("token", TOKENS)
def test_an_unknown_property_is_refused_with_the_one_that_was_meant(token: str) -> None:
    name = max(served(token).supported, key=len)
    typo = name[:-1] + "_"
    reason = failures(token, {**LEAST[token], typo: "x"})[typo]
    assert f"{token} has no property '{typo}'" in reason
    assert f"did you mean '{name}'?" in reason


@pytest.mark.parametrize("token", [t for t in TOKENS if schema().required(t) or served(t).required])
def test_a_required_property_that_is_missing_is_named(token: str) -> None:
    for name in {*schema().required(token), *served(token).required}:
        given = {k: v for k, v in LEAST[token].items() if k != name}
        assert f"{token} needs '{name}'" in failures(token, given)[name]


@pytest.mark.parametrize("token", TOKENS)
def test_a_value_of_the_wrong_type_is_refused_with_the_one_expected(token: str) -> None:
    wrong = {"string": 1, "integer": "1", "number": "1", "boolean": "true", "json": 1, "asset": "path"}
    for name, kind in schema().inputs(token).items():
        if name in served(token).supported:
            value = wrong.get(kind.partition(":")[0], "text")
            reason = failures(token, {**LEAST[token], name: value})[name]
            assert re.search(r"expected an? .*, got (string|integer) ", reason), reason


@pytest.mark.parametrize("token", TOKENS)
def test_unknown_values_of_a_preview_pass(token: str) -> None:
    assert failures(token, dict.fromkeys(LEAST[token], UNKNOWN)) == {}


REFUSED = [
    ("aws:ecr/repository:Repository", {"imageTagMutability": "IMUTABLE"}, "imageTagMutability", "did you mean 'IMMU"),
    ("aws:lambda/function:Function", {"runtime": "python3.99"}, "runtime", "is not one of"),
    ("aws:lambda/function:Function", {"timeout": 901}, "timeout", "901 is not from 1 to 900"),
    ("aws:lambda/function:Function", {"packageType": "Image"}, "packageType", "package type Zip"),
    ("aws:iam/role:Role", {"assumeRolePolicy": "{"}, "assumeRolePolicy", "is not valid JSON"),
    ("aws:kms/key:Key", {"deletionWindowInDays": 3}, "deletionWindowInDays", "is not one of 7, 8"),
    ("aws:kms/key:Key", {"rotationPeriodInDays": 90}, "rotationPeriodInDays", "enableKeyRotation"),
    (
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        {"eventSourceArn": "arn:aws:kinesis:r:1:stream/s"},
        "eventSourceArn",
        "is no queue",
    ),
    (
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        {"batchSize": 11},
        "maximumBatchingWindowInSeconds",
        "needs a window of 1 or more",
    ),
    (
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        {"maximumBatchingWindowInSeconds": 301},
        "maximumBatchingWindowInSeconds",
        "301 is not from 0 to 300",
    ),
    ("aws:sqs/queue:Queue", {"kmsMasterKeyId": "k", "sqsManagedSseEnabled": True}, "sqsManagedSseEnabled", "not both"),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", {"extendedStatistic": "p99"}, "statistic", "either"),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", {"datapointsToAlarm": 2}, "datapointsToAlarm", "more than"),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", {"treatMissingData": "bad"}, "treatMissingData", "notBreaching"),
    ("aws:cloudwatch/eventRule:EventRule", {"scheduleExpression": "1 minute"}, "scheduleExpression", "rate(...)"),
    ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 2}, "retentionInDays", "is not one of"),
    (
        "aws:scheduler/schedule:Schedule",
        {"scheduleExpression": "1 minute"},
        "scheduleExpression",
        "none of rate(...), cro",
    ),
    ("aws:dynamodb/table:Table", {"hashKey": "other"}, "attributes", "must be the keys"),
    ("aws:dynamodb/table:Table", {"billingMode": "PROVISIONED"}, "billingMode", "of billingMode PAY_PER_REQUEST"),
    (
        "aws:dynamodb/table:Table",
        {"globalSecondaryIndexes": [{"name": "i", "projectionType": "ALL"}]},
        "globalSecondaryIndexes",
        "needs either 'hashKey' or 'keySchemas'",
    ),
    (
        "aws:dynamodb/table:Table",
        {
            "globalSecondaryIndexes": [
                {
                    "name": "i",
                    "keySchemas": [{"attributeName": "other", "keyType": "HASH"}],
                    "projectionType": "ALL",
                }
            ]
        },
        "attributes",
        "must be the keys",
    ),
    ("aws:s3/bucketNotification:BucketNotification", {"eventbridge": False}, "lambdaFunctions", "needs 'eventbridge'"),
    (
        "aws:s3/bucketNotification:BucketNotification",
        {"queues": [{"events": ["s3:ObjectCreated:*"]}]},
        "queues[0].queueArn",
        "needs 'queueArn'",
    ),
    ("aws:sagemaker/model:Model", {"primaryContainer": {}}, "primaryContainer", "'image' or 'modelPackageName'"),
    (
        "aws:sagemaker/model:Model",
        {"primaryContainer": {"image": "i", "modelUrl": "s3://b/k"}},
        "primaryContainer.modelUrl",
        "did you mean 'modelDataUrl'?",
    ),
    (
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        {"productionVariants": [{**VARIANT, "variantName": "v"}, {**VARIANT, "variantName": "v"}]},
        "productionVariants",
        "must differ",
    ),
    (
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        {"dataCaptureConfig": {"destinationS3Uri": "s3://b", "captureOptions": []}},
        "dataCaptureConfig.initialSamplingPercentage",
        "needs 'initialSamplingPercentage'",
    ),
    (
        "aws:s3/bucketVersioning:BucketVersioning",
        {"versioningConfiguration": {"status": "On"}},
        "versioningConfiguration.status",
        "Enabled",
    ),
    (
        "aws:cloudwatch/eventTarget:EventTarget",
        {"input": "{}", "inputPath": "$"},
        "inputPath",
        "one of",
    ),
    (
        "aws:sns/topicSubscription:TopicSubscription",
        {"protocol": "pigeon"},
        "protocol",
        "is not one of sqs",
    ),
]


@pytest.mark.parametrize(("token", "more", "path", "reason"), REFUSED)
def test_a_value_that_aws_would_refuse_is_refused_with_what_is_allowed(
    token: str, more: dict[str, Any], path: str, reason: str
) -> None:
    assert reason in failures(token, {**LEAST[token], **more})[path]


def test_an_alarm_on_queries_needs_exactly_one_result() -> None:
    query = {"id": "m", "expression": "a / b"}
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    assert "exactly one" in failures(token, {**ALARM, "metricQueries": [query]})["metricQueries"]
    assert failures(token, {**ALARM, "metricQueries": [{**query, "returnData": True}]}) == {}
    assert (
        "either"
        in failures(token, {**ALARM, "metricQueries": [{**query, "returnData": True}], **METRIC})["metricQueries"]
    )


def test_a_name_is_the_resources_own_and_seven_hex_digits() -> None:
    named = inputs("aws:iam/role:Role", LEAST["aws:iam/role:Role"])
    assert re.fullmatch(r"thing-[0-9a-f]{7}", named["name"])
    assert named["__defaults"] == ["name"]


def test_the_same_seed_gives_the_same_name_and_another_seed_another() -> None:
    token = "aws:sqs/queue:Queue"
    assert inputs(token, {}) == inputs(token, {})
    assert inputs(token, {}) != inputs(token, {}, seed=b"other")
    assert inputs(token, {}, seed=b"") != inputs(token, {}, seed=b""), "without a seed it is random"


def test_an_automatic_name_stays_until_one_is_given() -> None:
    token = "aws:sqs/queue:Queue"
    old = inputs(token, {})
    assert inputs(token, {}, old=old, seed=b"other")["name"] == old["name"]
    given = inputs(token, {"name": "mine"}, old=old)
    assert given == {"name": "mine"}
    assert inputs(token, {}, old=given)["name"] != "mine", "a name that is taken back is made anew"


def test_names_keep_to_the_form_of_their_service() -> None:
    assert re.fullmatch(r"data-[0-9a-f]{7}", inputs("aws:s3/bucket:Bucket", {"bucketPrefix": "data-"})["bucket"])
    assert inputs("aws:sqs/queue:Queue", {}, naming=Naming("enforce", "exact"))["name"] == "exact"
    assert "disabled" in failures("aws:sqs/queue:Queue", {}, naming=Naming("disable", ""))["name"]


@pytest.mark.parametrize("token", [t for t in TOKENS if served(t).name])
@given(resource=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=400))
def test_names_keep_within_the_limit_of_their_service(token: str, resource: str) -> None:
    name = served(token).name
    assert name is not None
    done = check(served(token), resource, {}, LEAST[token], seed=b"seed")
    chosen = done.inputs[name.prop]
    assert len(chosen) <= name.limit
    assert not name.lower or chosen == chosen.lower()


def test_policies_are_kept_in_one_form() -> None:
    spelled = '{ "Version" : "2012-10-17",\n "Statement": [ ] }'
    given = inputs("aws:iam/role:Role", {"assumeRolePolicy": spelled})
    same = inputs("aws:iam/role:Role", {"assumeRolePolicy": {"Statement": [], "Version": "2012-10-17"}})
    assert given["assumeRolePolicy"] == '{"Statement":[],"Version":"2012-10-17"}'
    assert same["assumeRolePolicy"] == given["assumeRolePolicy"]
