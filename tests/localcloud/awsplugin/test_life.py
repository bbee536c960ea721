"""Every resource type, from its creation to its end, on a real cloud."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from localcloud.awsplugin import services
from localcloud.awsplugin.wire import Archive, Asset

pytestmark = pytest.mark.e2e

World = Any
State = dict[str, Any]
CODE = Archive(assets={"index.py": Asset(text="def handler(event, context):\n    return 1\n")}, hash="a" * 64)
OTHER_CODE = Archive(assets={"index.py": Asset(text="def handler(event, context):\n    return 2\n")}, hash="b" * 64)
OWNER = {"AWS": "arn:aws:iam::000000000000:root"}
TAGS = {"team": "models", "stage": "test"}


def policy(action: str, resource: str = "*", **more: Any) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}
    )


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def variants(model: str, instances: int = 1) -> list[dict[str, Any]]:
    variant = {"variantName": "v1", "modelName": model, "instanceType": "ml.m5.large"}
    return [{**variant, "initialInstanceCount": instances, "initialVariantWeight": 1}]


@dataclass
class Case:
    """A type's life.

    Attributes:
        token: The type.
        inputs: What it is created with, as much as a production program would set.
        ident: The id that the provider's documentation gives, from the outputs.
        imported: The id that `pulumi import` takes, where it differs.
        drift: Changes it behind the plugin's back.
        drifted: The paths that a refresh then shows; None where the service lets nothing be changed.
        change: Inputs that are then changed in place; None removes one.
        replace: Inputs whose change needs a new resource.
        first: Whether that replacement must delete first.
        unread: Inputs that an import cannot know.
        remains: The service keeps such a thing on every bucket.
    """

    token: str
    inputs: Callable[[World], State]
    ident: Callable[[State], str]
    imported: Callable[[State], str] | None = None
    drift: Callable[[World, State], Any] | None = None
    drifted: set[str] = field(default_factory=set)
    change: Callable[[World], State] = lambda _: {}
    replace: Callable[[World], State] = lambda _: {}
    first: bool = False
    unread: set[str] = field(default_factory=set)
    remains: bool = False


CASES = [
    Case(
        "aws:s3/bucket:Bucket",
        inputs=lambda w: {"bucket": w.name("data"), "forceDestroy": True, "tags": TAGS},
        ident=lambda s: s["bucket"],
        drift=lambda w, s: w.client("s3").put_bucket_tagging(
            Bucket=s["bucket"], Tagging={"TagSet": [{"Key": "team", "Value": "other"}]}
        ),
        drifted={"tags.team", "tags.stage"},
        change=lambda w: {"tags": {"team": "models"}, "forceDestroy": None},
        replace=lambda w: {"bucket": w.name("data2")},
        unread={"forceDestroy"},
    ),
    Case(
        "aws:s3/bucketVersioning:BucketVersioning",
        inputs=lambda w: {"bucket": w.bucket(), "versioningConfiguration": {"status": "Enabled"}},
        ident=lambda s: s["bucket"],
        drift=lambda w, s: w.client("s3").put_bucket_versioning(
            Bucket=s["bucket"], VersioningConfiguration={"Status": "Suspended"}
        ),
        drifted={"versioningConfiguration.status"},
        change=lambda w: {"versioningConfiguration": {"status": "Suspended"}},
        replace=lambda w: {"bucket": w.name("other")},
        remains=True,
    ),
    Case(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        inputs=lambda w: {
            "bucket": w.bucket(),
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": w.key()["arn"]},
                    "bucketKeyEnabled": True,
                }
            ],
        },
        ident=lambda s: s["bucket"],
        drift=lambda w, s: w.client("s3").put_bucket_encryption(
            Bucket=s["bucket"],
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        ),
        drifted={
            "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
            "rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId",
            "rules[0].bucketKeyEnabled",
        },
        change=lambda w: {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        replace=lambda w: {"bucket": w.name("other")},
        remains=True,
    ),
    Case(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        inputs=lambda w: {
            "bucket": w.bucket(),
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
        ident=lambda s: s["bucket"],
        drift=lambda w, s: w.client("s3").put_public_access_block(
            Bucket=s["bucket"], PublicAccessBlockConfiguration={"BlockPublicAcls": True}
        ),
        drifted={"blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"},
        change=lambda w: {"blockPublicAcls": False},
        replace=lambda w: {"bucket": w.name("other")},
    ),
    Case(
        "aws:s3/bucketPolicy:BucketPolicy",
        inputs=lambda w: {
            "bucket": (bucket := w.bucket()),
            "policy": policy("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal=OWNER),
        },
        ident=lambda s: s["bucket"],
        drift=lambda w, s: w.client("s3").put_bucket_policy(
            Bucket=s["bucket"], Policy=policy("s3:PutObject", f"arn:aws:s3:::{s['bucket']}/*", Principal=OWNER)
        ),
        drifted={"policy"},
        change=lambda w: {
            "policy": policy("s3:GetObject", f"arn:aws:s3:::{w.made[0].ident}/public/*", Principal=OWNER)
        },
        replace=lambda w: {"bucket": w.name("other")},
    ),
    Case(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        inputs=lambda w: {"bucket": w.bucket(), "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        ident=lambda s: s["bucket"],
        drift=lambda w, s: w.client("s3").put_bucket_ownership_controls(
            Bucket=s["bucket"], OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
        drifted={"rule.objectOwnership"},
        change=lambda w: {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        replace=lambda w: {"bucket": w.name("other")},
    ),
    Case(
        "aws:kms/key:Key",
        inputs=lambda w: {
            "description": "models",
            "enableKeyRotation": True,
            "deletionWindowInDays": 7,
            "policy": policy("kms:*", Principal=OWNER),
            "tags": TAGS,
        },
        ident=lambda s: s["keyId"],
        drift=lambda w, s: w.client("kms").disable_key_rotation(KeyId=s["keyId"]),
        drifted={"enableKeyRotation"},
        change=lambda w: {"description": "data", "enableKeyRotation": None, "isEnabled": False, "tags": {"a": "b"}},
        replace=lambda w: {"keyUsage": "SIGN_VERIFY", "customerMasterKeySpec": "RSA_2048"},
        unread={"deletionWindowInDays"},
    ),
    Case(
        "aws:kms/alias:Alias",
        inputs=lambda w: {"name": f"alias/{w.name('key')}", "targetKeyId": w.key()["arn"]},
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("kms").update_alias(AliasName=s["name"], TargetKeyId=w.key()["keyId"]),
        drifted={"targetKeyId"},
        change=lambda w: {"targetKeyId": w.key()["keyId"]},
        replace=lambda w: {"name": f"alias/{w.name('other')}"},
    ),
    Case(
        "aws:ecr/repository:Repository",
        inputs=lambda w: {
            "name": w.name("images"),
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": w.key()["arn"]}],
            "forceDelete": True,
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("ecr").put_image_tag_mutability(
            repositoryName=s["name"], imageTagMutability="MUTABLE"
        ),
        drifted={"imageTagMutability"},
        change=lambda w: {"imageTagMutability": None, "imageScanningConfiguration": None, "tags": None},
        replace=lambda w: {"encryptionConfigurations": None},
        first=True,
        unread={"forceDelete"},
    ),
    Case(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        inputs=lambda w: {"repository": w.repository(), "policy": expire(5)},
        ident=lambda s: s["repository"],
        drift=lambda w, s: w.client("ecr").put_lifecycle_policy(
            repositoryName=s["repository"], lifecyclePolicyText=expire(9)
        ),
        drifted={"policy"},
        change=lambda w: {"policy": expire(7)},
        replace=lambda w: {"repository": w.name("other")},
    ),
    Case(
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
        inputs=lambda w: {
            "modelPackageGroupName": w.name("group"),
            "modelPackageGroupDescription": "all versions",
            "tags": TAGS,
        },
        ident=lambda s: s["modelPackageGroupName"],
        drift=lambda w, s: w.client("sagemaker").delete_tags(ResourceArn=s["arn"], TagKeys=["stage"]),
        drifted={"tags.stage"},
        change=lambda w: {"tags": {"team": "other"}},
        replace=lambda w: {"modelPackageGroupDescription": "some versions"},
        first=True,
    ),
    Case(
        "aws:sagemaker/model:Model",
        inputs=lambda w: {"name": w.name("served"), **w.model_inputs("served"), "tags": TAGS},
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("sagemaker").add_tags(
            ResourceArn=s["arn"], Tags=[{"Key": "team", "Value": "other"}]
        ),
        drifted={"tags.team"},
        change=lambda w: {"tags": None},
        replace=lambda w: {"enableNetworkIsolation": True},
        first=True,
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        inputs=lambda w: {
            "name": w.name("config"),
            "productionVariants": variants(w.model()),
            "kmsKeyArn": w.key()["arn"],
            "dataCaptureConfig": {
                "enableCapture": True,
                "initialSamplingPercentage": 50,
                "destinationS3Uri": "s3://captured/capture",
                "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
                "captureContentTypeHeader": {"jsonContentTypes": ["application/json"]},
            },
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("sagemaker").delete_tags(ResourceArn=s["arn"], TagKeys=["team"]),
        drifted={"tags.team"},
        change=lambda w: {"tags": {"team": "models"}},
        replace=lambda w: {"productionVariants": variants(w.model("model2"), instances=2)},
        first=True,
    ),
    Case(
        "aws:sagemaker/endpoint:Endpoint",
        inputs=lambda w: {"name": w.name("endpoint"), "endpointConfigName": w.config(), "tags": TAGS},
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("sagemaker").delete_tags(ResourceArn=s["arn"], TagKeys=["team"]),
        drifted={"tags.team"},
        change=lambda w: {"endpointConfigName": w.config("config2")},
        replace=lambda w: {"name": w.name("other")},
    ),
    Case(
        "aws:iam/role:Role",
        inputs=lambda w: {
            "name": w.name("role"),
            "assumeRolePolicy": trust("lambda.amazonaws.com"),
            "description": "rolls back",
            "maxSessionDuration": 7200,
            "forceDetachPolicies": True,
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("iam").update_assume_role_policy(
            RoleName=s["name"], PolicyDocument=trust("ec2.amazonaws.com")
        ),
        drifted={"assumeRolePolicy"},
        change=lambda w: {"description": None, "maxSessionDuration": None, "tags": None},
        replace=lambda w: {"path": "/models/"},
        first=True,
        unread={"forceDetachPolicies"},
    ),
    Case(
        "aws:iam/rolePolicy:RolePolicy",
        inputs=lambda w: {"role": w.role()["name"], "name": "allow", "policy": policy("s3:GetObject")},
        ident=lambda s: f"{s['role']}:{s['name']}",
        drift=lambda w, s: w.client("iam").put_role_policy(
            RoleName=s["role"], PolicyName=s["name"], PolicyDocument=policy("*")
        ),
        drifted={"policy"},
        change=lambda w: {"policy": policy("s3:PutObject")},
        replace=lambda w: {"name": "other"},
    ),
    Case(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        inputs=lambda w: {
            "role": w.role()["name"],
            "policyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        },
        ident=lambda s: f"{s['role']}/{s['policyArn']}",
        replace=lambda w: {"policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
    ),
    Case(
        "aws:lambda/function:Function",
        inputs=lambda w: {
            "name": w.name("function"),
            "role": w.role()["arn"],
            "code": CODE,
            "runtime": "python3.11",
            "handler": "index.handler",
            "description": "rolls back",
            "timeout": 60,
            "memorySize": 256,
            "environment": {"variables": {"ENDPOINT_NAME": "flights"}},
            "reservedConcurrentExecutions": 1,
            "deadLetterConfig": {"targetArn": w.queue()["arn"]},
            "tracingConfig": {"mode": "Active"},
            "loggingConfig": {"logFormat": "JSON"},
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("lambda").update_function_configuration(
            FunctionName=s["name"], Timeout=9, Environment={"Variables": {"ENDPOINT_NAME": "other"}}
        ),
        drifted={"timeout", "environment.variables.ENDPOINT_NAME"},
        change=lambda w: {
            "code": OTHER_CODE,
            "timeout": None,
            "memorySize": None,
            "environment": None,
            "description": None,
            "reservedConcurrentExecutions": None,
            "deadLetterConfig": None,
            "tracingConfig": None,
            "tags": None,
        },
        replace=lambda w: {"name": w.name("other")},
        unread={"code"},
    ),
    Case(
        "aws:lambda/permission:Permission",
        inputs=lambda w: {
            "function": w.function()["name"],
            "statementId": "alarms",
            "action": "lambda:InvokeFunction",
            "principal": "lambda.alarms.cloudwatch.amazonaws.com",
            "sourceAccount": "000000000000",
            "sourceArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors",
        },
        ident=lambda s: s["statementId"],
        imported=lambda s: f"{s['function']}/{s['statementId']}",
        replace=lambda w: {"sourceArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:latency"},
        first=True,
    ),
    Case(
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        inputs=lambda w: {
            "functionName": w.function()["name"],
            "maximumRetryAttempts": 1,
            "maximumEventAgeInSeconds": 300,
            "destinationConfig": {"onFailure": {"destination": w.queue()["arn"]}},
        },
        ident=lambda s: s["functionName"],
        drift=lambda w, s: w.client("lambda").put_function_event_invoke_config(
            FunctionName=s["functionName"], MaximumRetryAttempts=0, MaximumEventAgeInSeconds=300
        ),
        drifted={"maximumRetryAttempts", "destinationConfig"},
        change=lambda w: {"destinationConfig": None, "maximumRetryAttempts": None},
        replace=lambda w: {"functionName": w.name("other")},
    ),
    Case(
        "aws:sqs/queue:Queue",
        inputs=lambda w: {
            "name": w.name("dead"),
            "messageRetentionSeconds": 1209600,
            "visibilityTimeoutSeconds": 90,
            "kmsMasterKeyId": "alias/aws/sqs",
            "redrivePolicy": json.dumps({"deadLetterTargetArn": w.queue()["arn"], "maxReceiveCount": 3}),
            "tags": TAGS,
        },
        ident=lambda s: s["url"],
        drift=lambda w, s: w.client("sqs").set_queue_attributes(
            QueueUrl=s["url"], Attributes={"MessageRetentionPeriod": "60"}
        ),
        drifted={"messageRetentionSeconds"},
        change=lambda w: {
            "messageRetentionSeconds": None,
            "kmsMasterKeyId": None,
            "sqsManagedSseEnabled": True,
            "redrivePolicy": None,
            "tags": None,
        },
        replace=lambda w: {"name": w.name("dead.fifo"), "fifoQueue": True},
    ),
    Case(
        "aws:sqs/queuePolicy:QueuePolicy",
        inputs=lambda w: {
            "queueUrl": (queue := w.queue())["url"],
            "policy": policy("sqs:SendMessage", queue["arn"], Principal={"Service": "events.amazonaws.com"}),
        },
        ident=lambda s: s["queueUrl"],
        drift=lambda w, s: w.client("sqs").set_queue_attributes(
            QueueUrl=s["queueUrl"], Attributes={"Policy": policy("sqs:*", "*", Principal="*")}
        ),
        drifted={"policy"},
        change=lambda w: {"policy": policy("sqs:SendMessage", "*", Principal={"Service": "sns.amazonaws.com"})},
        replace=lambda w: {"queueUrl": "http://127.0.0.1:1/000000000000/other"},
    ),
    Case(
        "aws:sns/topic:Topic",
        inputs=lambda w: {
            "name": w.name("alerts"),
            "displayName": "Alerts",
            "kmsMasterKeyId": "alias/aws/sns",
            "tags": TAGS,
        },
        ident=lambda s: s["arn"],
        drift=lambda w, s: w.client("sns").set_topic_attributes(
            TopicArn=s["arn"], AttributeName="DisplayName", AttributeValue="Other"
        ),
        drifted={"displayName"},
        change=lambda w: {"displayName": None, "kmsMasterKeyId": None, "tags": {"team": "other"}},
        replace=lambda w: {"name": w.name("other")},
    ),
    Case(
        "aws:sns/topicSubscription:TopicSubscription",
        inputs=lambda w: {
            "topic": w.topic()["arn"],
            "protocol": "sqs",
            "endpoint": w.queue()["arn"],
            "rawMessageDelivery": True,
            "filterPolicy": json.dumps({"kind": ["alarm"]}),
        },
        ident=lambda s: s["arn"],
        drift=lambda w, s: w.client("sns").set_subscription_attributes(
            SubscriptionArn=s["arn"], AttributeName="RawMessageDelivery", AttributeValue="false"
        ),
        drifted={"rawMessageDelivery"},
        change=lambda w: {"rawMessageDelivery": None, "filterPolicy": None},
        replace=lambda w: {"endpoint": "arn:aws:sqs:us-east-1:000000000000:other"},
    ),
    Case(
        "aws:sns/topicPolicy:TopicPolicy",
        inputs=lambda w: {
            "arn": (arn := w.topic()["arn"]),
            "policy": policy("sns:Publish", arn, Principal={"Service": "cloudwatch.amazonaws.com"}),
        },
        ident=lambda s: s["arn"],
        drift=lambda w, s: w.client("sns").set_topic_attributes(
            TopicArn=s["arn"], AttributeName="Policy", AttributeValue=policy("sns:*", s["arn"], Principal="*")
        ),
        drifted={"policy"},
        change=lambda w: {"policy": policy("sns:Publish", "*", Principal={"Service": "events.amazonaws.com"})},
        replace=lambda w: {"arn": "arn:aws:sns:us-east-1:000000000000:other"},
    ),
    Case(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        inputs=lambda w: {
            "name": w.name("errors"),
            "alarmDescription": "more than 5% of requests fail",
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 2,
            "datapointsToAlarm": 1,
            "threshold": 0.05,
            "treatMissingData": "notBreaching",
            "alarmActions": [w.topic()["arn"]],
            "okActions": [w.made[-1].state["arn"]],
            "metricQueries": [
                {"id": "rate", "expression": "errors / requests", "label": "5XX rate", "returnData": True},
                query("errors", "Invocation5XXErrors"),
                query("requests", "Invocations"),
            ],
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: set_threshold(w.client("cloudwatch"), s["name"], 0.5),
        drifted={"threshold"},
        change=lambda w: {
            "metricQueries": None,
            "metricName": "ModelLatency",
            "namespace": "AWS/SageMaker",
            "dimensions": {"EndpointName": "flights", "VariantName": "v1"},
            "period": 60,
            "extendedStatistic": "p99",
            "unit": "Microseconds",
            "threshold": 500_000,
            "alarmDescription": None,
            "treatMissingData": None,
            "okActions": None,
            "tags": None,
        },
        replace=lambda w: {"name": w.name("other")},
    ),
    Case(
        "aws:cloudwatch/dashboard:Dashboard",
        inputs=lambda w: {"dashboardName": w.name("board"), "dashboardBody": board("champion")},
        ident=lambda s: s["dashboardName"],
        drift=lambda w, s: w.client("cloudwatch").put_dashboard(
            DashboardName=s["dashboardName"], DashboardBody=board("other")
        ),
        drifted={"dashboardBody"},
        change=lambda w: {"dashboardBody": board("challenger")},
        replace=lambda w: {"dashboardName": w.name("other")},
    ),
    Case(
        "aws:cloudwatch/eventRule:EventRule",
        inputs=lambda w: {
            "name": w.name("rule"),
            "description": "alarms",
            "eventPattern": json.dumps({"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}),
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("events").disable_rule(Name=s["name"]),
        drifted={"state"},
        change=lambda w: {
            "eventPattern": None,
            "scheduleExpression": "rate(1 minute)",
            "state": "DISABLED",
            "description": None,
            "tags": None,
        },
        replace=lambda w: {"name": w.name("other")},
    ),
    Case(
        "aws:cloudwatch/eventTarget:EventTarget",
        inputs=lambda w: {
            "rule": w.rule(),
            "targetId": "rollback",
            "arn": w.function()["arn"],
            "input": json.dumps({"tick": True}),
            "retryPolicy": {"maximumRetryAttempts": 2, "maximumEventAgeInSeconds": 120},
            "deadLetterConfig": {"arn": w.queue()["arn"]},
        },
        ident=lambda s: f"{s['rule']}-{s['targetId']}",
        imported=lambda s: f"{s['rule']}/{s['targetId']}",
        drift=lambda w, s: w.client("events").put_targets(
            Rule=s["rule"], Targets=[{"Id": s["targetId"], "Arn": s["arn"], "Input": '{"tick": false}'}]
        ),
        drifted={"input", "retryPolicy", "deadLetterConfig"},
        change=lambda w: {"input": None, "retryPolicy": None},
        replace=lambda w: {"targetId": "other"},
    ),
    Case(
        "aws:cloudwatch/logGroup:LogGroup",
        inputs=lambda w: {"name": f"/aws/lambda/{w.name('fn')}", "retentionInDays": 14, "tags": TAGS},
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("logs").put_retention_policy(logGroupName=s["name"], retentionInDays=1),
        drifted={"retentionInDays"},
        change=lambda w: {"retentionInDays": None, "tags": None},
        replace=lambda w: {"name": f"/aws/lambda/{w.name('other')}"},
    ),
    Case(
        "aws:dynamodb/table:Table",
        inputs=lambda w: {
            "name": w.name("rollouts"),
            "attributes": [{"name": "endpoint", "type": "S"}],
            "hashKey": "endpoint",
            "billingMode": "PAY_PER_REQUEST",
            "pointInTimeRecovery": {"enabled": True},
            "serverSideEncryption": {"enabled": True},
            "ttl": {"attributeName": "expires", "enabled": True},
            "tags": TAGS,
        },
        ident=lambda s: s["name"],
        drift=lambda w, s: w.client("dynamodb").update_continuous_backups(
            TableName=s["name"], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        ),
        drifted={"pointInTimeRecovery.enabled"},
        change=lambda w: {
            "attributes": [{"name": "state", "type": "S"}, {"name": "endpoint", "type": "S"}],
            "globalSecondaryIndexes": [{"name": "by-state", "hashKey": "state", "projectionType": "ALL"}],
            "deletionProtectionEnabled": False,
            "streamEnabled": True,
            "streamViewType": "NEW_IMAGE",
            "ttl": None,
            "tags": None,
        },
        replace=lambda w: {
            "hashKey": "other",
            "attributes": [{"name": "other", "type": "S"}],
            "globalSecondaryIndexes": None,
        },
        first=True,
    ),
]


def expire(count: int) -> str:
    selection = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": count}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def query(name: str, metric: str) -> dict[str, Any]:
    where = {"EndpointName": "flights", "VariantName": "v1"}
    inner = {"metricName": metric, "namespace": "AWS/SageMaker", "period": 60, "stat": "Sum", "dimensions": where}
    return {"id": name, "metric": inner}


def board(text: str) -> str:
    place = {"type": "text", "x": 0, "y": 0, "width": 6, "height": 3}
    return json.dumps({"widgets": [{**place, "properties": {"markdown": text}}]})


def set_threshold(cloudwatch: Any, name: str, threshold: float) -> None:
    alarm = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    kept = ("AlarmName", "AlarmDescription", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Metrics")
    more = ("TreatMissingData", "AlarmActions", "OKActions")
    cloudwatch.put_metric_alarm(Threshold=threshold, **{k: alarm[k] for k in (*kept, *more)})


def test_every_type_that_is_served_has_a_case() -> None:
    assert {case.token for case in CASES} == set(services.TYPES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.token.rpartition(":")[2])
def test_a_resource_is_made_kept_changed_imported_and_removed(world: World, plugin: Any, case: Case) -> None:
    made = plugin.create(case.token, case.inputs(world), world.name("it"))
    world.made.append(made)
    assert made.ident == case.ident(made.state)
    assert plugin.changes(made) == set(), "a second update changes nothing"
    assert plugin.refresh(made) == made, "a refresh changes nothing"

    _is_imported(plugin, case, made)
    if case.drift is not None:
        made = _drift_is_seen_and_repaired(world, plugin, case, made)
    if changes := case.change(world):
        made = _is_changed_in_place(plugin, made, changes)
    found = plugin.diff(made, plugin.wanted(made, case.replace(world)))
    assert set(found.replaces) & case.replace(world).keys(), "needs a new resource"
    assert found.deleteBeforeReplace == case.first

    plugin.delete(made)
    assert case.remains or plugin.refresh(made) is None, "a refresh says that it is gone"
    plugin.delete(made)


def _is_imported(plugin: Any, case: Case, made: Any) -> None:
    adopted = plugin.adopt(case.token, (case.imported or case.ident)(made.state))
    assert adopted.ident == made.ident
    missing = {k for k in made.inputs if k not in adopted.inputs and not k.startswith("__")}
    assert missing == case.unread
    assert plugin.changes(adopted, {**adopted.inputs}) == set(), "an import describes what is there"
    ours = {k: v for k, v in made.inputs.items() if k not in case.unread}
    assert not plugin.changes(adopted, ours) - case.unread, "as does the program that made it"


def _drift_is_seen_and_repaired(world: World, plugin: Any, case: Case, made: Any) -> Any:
    assert case.drift is not None
    case.drift(world, made.state)
    seen = plugin.refresh(made)
    assert plugin.changes(seen, made.inputs) == case.drifted
    repaired = plugin.update(seen, made.inputs)
    assert plugin.changes(repaired) == set()
    assert plugin.refresh(repaired) == repaired
    return repaired


def _is_changed_in_place(plugin: Any, made: Any, changes: dict[str, Any]) -> Any:
    wanted = plugin.wanted(made, changes)
    found = plugin.diff(made, wanted)
    assert not found.replaces
    assert {d.split(".")[0].split("[")[0] for d in found.detailedDiff} == changes.keys() - _already(made, changes)
    changed = plugin.update(made, wanted)
    assert plugin.changes(changed) == set(), "the cloud took every change"
    assert plugin.refresh(changed) == changed
    return changed


def _already(made: Any, changes: dict[str, Any]) -> set[str]:
    """Changes that say what is so already."""
    return {k for k, v in changes.items() if made.state.get(k) == v}
