"""The properties that a life does not touch: each reaches the cloud, and is there when read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.awsplugin.wire import Archive, Asset

pytestmark = pytest.mark.e2e

World = Any
CODE = Archive(assets={"index.py": Asset(text="def handler(event, context):\n    return 1\n")}, hash="a" * 64)
BACKOFF = {"minDelayTarget": 20, "maxDelayTarget": 20, "numRetries": 3, "numNoDelayRetries": 0}
DELIVERY = json.dumps({"http": {"defaultHealthyRetryPolicy": BACKOFF}})


def allow(action: str, resource: str, service: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def function(w: World, **more: Any) -> dict[str, Any]:
    settings = {"runtime": "python3.11", "handler": "index.handler", "role": w.role()["arn"], "code": CODE}
    return {k: v for k, v in {**settings, **more}.items() if v is not None}


def bus(w: World) -> str:
    name = w.name("bus")
    w.client("events").create_event_bus(Name=name)
    return name


def variant(model: str, name: str = "v1", **more: Any) -> dict[str, Any]:
    sized = {"instanceType": "ml.m5.large", "initialInstanceCount": 1}
    return {"variantName": name, "modelName": model, **sized, **more}


def containers(w: World) -> dict[str, Any]:
    inputs = w.model_inputs("pipeline")
    one = inputs.pop("primaryContainer")
    return {**inputs, "containers": [{**one, "containerHostname": "first"}]}


CASES: list[tuple[str, str, Callable[[World], dict[str, Any]]]] = [
    (
        "a locked bucket",
        "aws:s3/bucket:Bucket",
        lambda w: {"bucketPrefix": w.name("locked-"), "objectLockEnabled": True},
    ),
    (
        "a key with a period",
        "aws:kms/key:Key",
        lambda w: {
            "enableKeyRotation": True,
            "rotationPeriodInDays": 90,
            "bypassPolicyLockoutSafetyCheck": True,
            "deletionWindowInDays": 7,
        },
    ),
    ("a key of many regions", "aws:kms/key:Key", lambda w: {"multiRegion": True, "deletionWindowInDays": 7}),
    ("a list of containers", "aws:sagemaker/model:Model", containers),
    (
        "a model in a network",
        "aws:sagemaker/model:Model",
        lambda w: {**w.model_inputs("m"), "vpcConfig": {"subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]}},
    ),
    (
        "a variant with all that it may say",
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda w: {
            "productionVariants": [
                variant(
                    w.model(),
                    initialVariantWeight=0.25,
                    volumeSizeInGb=32,
                    modelDataDownloadTimeoutInSeconds=300,
                    containerStartupHealthCheckTimeoutInSeconds=300,
                    routingConfigs=[{"routingStrategy": "LEAST_OUTSTANDING_REQUESTS"}],
                )
            ],
            "executionRoleArn": "arn:aws:iam::000000000000:role/models",
        },
    ),
    (
        "a configuration with defaults everywhere",
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda w: {
            "productionVariants": [{"modelName": w.model(), "instanceType": "ml.m5.large", "initialInstanceCount": 1}]
        },
    ),
    (
        "a bounded role",
        "aws:iam/role:Role",
        lambda w: {
            "namePrefix": w.name("bounded-"),
            "assumeRolePolicy": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            "permissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        },
    ),
    (
        "an inline policy by its prefix",
        "aws:iam/rolePolicy:RolePolicy",
        lambda w: {
            "namePrefix": "read-",
            "role": w.role()["name"],
            "policy": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
            },
        },
    ),
    (
        "a function with all that it may say",
        "aws:lambda/function:Function",
        lambda w: function(
            w,
            architectures=["x86_64"],
            ephemeralStorage={"size": 1024},
            packageType="Zip",
            sourceCodeHash="of the user's own making",
            environment={"variables": {"A": "1"}},
            loggingConfig={"logFormat": "JSON", "applicationLogLevel": "DEBUG", "systemLogLevel": "WARN"},
            skipDestroy=False,
        ),
    ),
    (
        "a permission for an account",
        "aws:lambda/permission:Permission",
        lambda w: {"function": w.function()["name"], "action": "lambda:InvokeFunction", "principal": "000000000000"},
    ),
    (
        "a mapping of some messages of a queue, by the function's ARN",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        lambda w: {
            "eventSourceArn": w.queue()["arn"],
            "functionName": w.reader()["arn"],
            "filterCriteria": {"filters": [{"pattern": json.dumps({"body": {"kind": ["capture"]}})}]},
            "enabled": False,
        },
    ),
    (
        "a queue with all that it may say",
        "aws:sqs/queue:Queue",
        lambda w: {
            "namePrefix": w.name("all-"),
            "delaySeconds": 5,
            "maxMessageSize": 65536,
            "receiveWaitTimeSeconds": 10,
            "kmsMasterKeyId": w.key()["arn"],
            "kmsDataKeyReusePeriodSeconds": 600,
            "policy": allow("sqs:SendMessage", "*", "sns.amazonaws.com"),
            "redriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
        },
    ),
    (
        "a topic with all that it may say",
        "aws:sns/topic:Topic",
        lambda w: {
            "namePrefix": w.name("all-"),
            "tracingConfig": "Active",
            "signatureVersion": 2,
            "deliveryPolicy": DELIVERY,
            "policy": allow("sns:Publish", "*", "events.amazonaws.com"),
        },
    ),
    (
        "a subscription with all that it may say",
        "aws:sns/topicSubscription:TopicSubscription",
        lambda w: {
            "topic": w.topic()["arn"],
            "protocol": "lambda",
            "endpoint": w.function()["arn"],
            "filterPolicy": json.dumps({"kind": [{"anything-but": "test"}]}),
            "filterPolicyScope": "MessageBody",
            "redrivePolicy": json.dumps({"deadLetterTargetArn": w.queue()["arn"]}),
            "confirmationTimeoutInMinutes": 2,
            "endpointAutoConfirms": True,
        },
    ),
    (
        "an alarm on a statistic",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        lambda w: {
            "comparisonOperator": "LessThanThreshold",
            "evaluationPeriods": 3,
            "metricName": "Invocations",
            "namespace": "AWS/Lambda",
            "period": 300,
            "statistic": "Average",
            "threshold": 0.5,
            "actionsEnabled": False,
            "insufficientDataActions": [w.topic()["arn"]],
            "treatMissingData": "breaching",
        },
    ),
    (
        "an alarm on few samples",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        lambda w: {
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 1,
            "metricName": "Duration",
            "namespace": "AWS/Lambda",
            "period": 60,
            "extendedStatistic": "p95",
            "evaluateLowSampleCountPercentiles": "ignore",
            "threshold": 100,
        },
    ),
    (
        "a rule on a bus",
        "aws:cloudwatch/eventRule:EventRule",
        lambda w: {
            "namePrefix": w.name("rule-"),
            "eventBusName": bus(w),
            "eventPattern": json.dumps({"source": ["models"]}),
            "roleArn": w.role()["arn"],
            "forceDestroy": True,
        },
    ),
    (
        "a target with a template",
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda w: {
            "rule": w.rule(),
            "arn": w.function()["arn"],
            "inputTransformer": {"inputPaths": {"state": "$.detail.state"}, "inputTemplate": '{"state": <state>}'},
            "roleArn": w.role()["arn"],
            "forceDestroy": True,
        },
    ),
    (
        "a target with a path",
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda w: {"rule": w.rule(), "arn": w.function()["arn"], "inputPath": "$.detail"},
    ),
    (
        "a queue as a target",
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda w: {
            "rule": w.rule(),
            "arn": w.queue()["arn"],
        },
    ),
    (
        "an encrypted log group",
        "aws:cloudwatch/logGroup:LogGroup",
        lambda w: {
            "namePrefix": f"/{w.name('logs')}",
            "kmsKeyId": w.key()["arn"],
            "logGroupClass": "INFREQUENT_ACCESS",
            "skipDestroy": False,
        },
    ),
]


@pytest.mark.parametrize(("what", "token", "inputs"), CASES, ids=[case[0] for case in CASES])
def test_what_is_set_is_there(
    world: World, plugin: Any, what: str, token: str, inputs: Callable[[World], dict[str, Any]]
) -> None:
    given = inputs(world)
    made = plugin.create(token, given, world.name("it"))
    world.made.append(made)
    assert plugin.changes(made) == set()
    assert plugin.refresh(made) == made
    unset = {k for k, v in made.inputs.items() if made.state.get(k) != v and not k.startswith("__")}
    assert unset == set()
