"""What AWS refuses is refused here, with AWS's code and text; one table."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .shared import KIND, OWNER, document, push_layer

pytestmark = pytest.mark.e2e

NOBODY = f"arn:aws:iam::{OWNER}:role/limits-nobody"
GROUP = f"arn:aws:scheduler:us-east-1:{OWNER}:schedule-group/default"


def trusts(service: str = "lambda", **condition: Any) -> str:
    principal = {"Service": f"{service}.amazonaws.com"}
    when = {"Condition": {"ArnLike": condition}} if condition else {}
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **when})


def names(role: str) -> str:
    return document({"Effect": "Allow", "Principal": {"AWS": role}, "Action": "sts:AssumeRole"})


def opens(principal: str, action: str, resource: str = "*") -> str:
    return document({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": resource})


def sized(size: int) -> str:
    """A policy of that many characters that count."""
    policy = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/"})
    return policy.replace("b/", "b/" + "x" * (size - len("".join(policy.split()))))


def rules(*filters: tuple[str, str, str]) -> dict[str, Any]:
    """A bucket's notifications to queues: event, prefix and suffix of each."""
    queue = f"arn:aws:sqs:us-east-1:{OWNER}:limits"
    return {
        "QueueConfigurations": [
            {
                "QueueArn": queue,
                "Events": [f"s3:ObjectCreated:{event}"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": a}, {"Name": "suffix", "Value": b}]}},
            }
            for event, a, b in filters
        ]
    }


@dataclass
class Made:
    """What the rows refer to."""

    cloud: Any
    numbers: list[int] = field(default_factory=lambda: [0])

    def name(self) -> str:
        self.numbers[0] += 1
        return f"limits-{self.numbers[0]}"

    def role(self, trust: str) -> str:
        return self.cloud.client("iam").create_role(RoleName=self.name(), AssumeRolePolicyDocument=trust)["Role"]["Arn"]

    def function(self, **given: Any) -> Any:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as file:
            file.writestr("f.py", "def handler(event, context): return len(str(event))")
        made = {"FunctionName": self.name(), "Runtime": "python3.11", "Handler": "f.handler"}
        made |= {"Code": {"ZipFile": code.getvalue()}, **given}
        return self.cloud.client("lambda").create_function(**{"Role": self.role(trusts()), **made})

    def runs(self) -> str:
        arn = self.function()["FunctionArn"]
        self.cloud.client("lambda").get_waiter("function_active_v2").wait(FunctionName=arn)
        return arn

    def invoke(self, kind: str, size: int) -> Any:
        payload = json.dumps("x" * (size - 2))
        return self.cloud.client("lambda").invoke(FunctionName=self.runs(), InvocationType=kind, Payload=payload)

    def trust(self, policy: str) -> Any:
        return self.cloud.client("iam").create_role(RoleName=self.name(), AssumeRolePolicyDocument=policy)

    def inline(self, *sizes: int) -> Any:
        iam, role = self.cloud.client("iam"), self.role(trusts()).rpartition("/")[2]
        for number, size in enumerate(sizes):
            answer = iam.put_role_policy(RoleName=role, PolicyName=f"p{number}", PolicyDocument=sized(size))
        return answer

    def managed(self, size: int) -> Any:
        return self.cloud.client("iam").create_policy(PolicyName=self.name(), PolicyDocument=sized(size))

    def attached(self, number: int) -> None:
        iam, role = self.cloud.client("iam"), self.role(trusts()).rpartition("/")[2]
        for _ in range(number):
            iam.attach_role_policy(RoleName=role, PolicyArn=self.managed(200)["Policy"]["Arn"])

    def publish(self, subject: str) -> Any:
        topic = self.cloud.client("sns").create_topic(Name="limits")["TopicArn"]
        return self.cloud.client("sns").publish(TopicArn=topic, Subject=subject, Message="m")

    def events(self, size: int) -> Any:
        entry = {"Source": "s", "DetailType": "d", "Detail": json.dumps({"x": "x" * (size - 10)})}
        return self.cloud.client("events").put_events(Entries=[entry])

    def schedule(self, role: str) -> Any:
        target = {"Arn": f"arn:aws:sqs:us-east-1:{OWNER}:limits", "RoleArn": role}
        return self.cloud.client("scheduler").create_schedule(
            Name=self.name(), ScheduleExpression="rate(1 hour)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
        )

    def image(self, *layers: bytes, pushes: bool) -> Any:
        ecr, name = self.cloud.client("ecr"), self.name()
        ecr.create_repository(repositoryName=name)
        digests = [push_layer(self.cloud, name, layer) for layer in layers] if pushes else ["sha256:" + "1" * 64]
        parts = [{"mediaType": KIND, "size": 1, "digest": digest} for digest in digests]
        manifest = {"schemaVersion": 2, "mediaType": KIND, "config": parts[0], "layers": parts[1:]}
        return ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="1")

    def update(self, expression: str) -> Any:
        dynamodb, table = self.cloud.client("dynamodb"), self.name()
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return dynamodb.update_item(
            TableName=table,
            Key={"k": {"S": "1"}},
            UpdateExpression=expression,
            ExpressionAttributeNames={"#a": "a"},
            ExpressionAttributeValues={":v": {"N": "1"}},
        )

    def bucket(self) -> str:
        name = self.name()
        self.cloud.client("s3").create_bucket(Bucket=name)
        return name

    def notify(self, configuration: dict[str, Any]) -> Any:
        bucket = self.bucket()
        queue = self.cloud.client("sqs").create_queue(QueueName="limits")["QueueUrl"]
        policy = document({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"})
        self.cloud.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        return self.cloud.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )

    def calls(self, *, allowed: bool) -> Any:
        function, bucket = self.runs(), self.bucket()
        if allowed:
            self.cloud.client("lambda").add_permission(
                FunctionName=function,
                StatementId="s3",
                Action="lambda:InvokeFunction",
                Principal="s3.amazonaws.com",
                SourceArn=f"arn:aws:s3:::{bucket}",
            )
        rule = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
        return self.cloud.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]}
        )

    def key(self, call: str, *, usable: bool, default: bool = False) -> Any:
        s3, kms, bucket = self.cloud.client("s3"), self.cloud.client("kms"), self.bucket()
        key = kms.create_key()["KeyMetadata"]["Arn"]
        with_key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
        if default:
            by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
            s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]},
            )
            with_key = {}
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **with_key)
        if not usable:
            kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        more = {"Body": b"y", **with_key} if call == "put_object" else {}
        return getattr(s3, call)(Bucket=bucket, Key="k", **more)

    def opened(self, principal: str) -> Any:
        bucket = self.bucket()
        policy = opens(principal, "s3:GetObject", f"arn:aws:s3:::{bucket}/*")
        return self.cloud.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)

    def locked(self, principal: str) -> Any:
        root = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "kms:*", "Resource": "*"}
        more = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:Decrypt", "Resource": "*"}
        return self.cloud.client("kms").create_key(Policy=document(root, more))

    def alarm(self, metrics: int) -> Any:
        stat = {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}
        queries: list[Any] = [{"Id": f"m{n}", "MetricStat": stat, "ReturnData": False} for n in range(metrics)]
        queries.append({"Id": "e", "Expression": "SUM(METRICS())", "ReturnData": True})
        return self.cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=self.name(),
            Metrics=queries,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )

    def model(self, region: str = "us-east-1", bucket_region: str = "us-east-1") -> Any:
        name = self.name()
        s3 = self.cloud.client("s3", region=bucket_region)
        place = {} if bucket_region == "us-east-1" else {"LocationConstraint": bucket_region}
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
        s3.put_object(Bucket=name, Key="model.tar.gz", Body=b"x")
        image = f"{OWNER}.dkr.ecr.{region}.amazonaws.com/limits-serving:1"
        return self.cloud.client("sagemaker").create_model(
            ModelName=name,
            ExecutionRoleArn=self.role(trusts("sagemaker")),
            PrimaryContainer={"Image": image, "ModelDataUrl": f"s3://{name}/model.tar.gz"},
        )


@pytest.fixture(scope="module")
def made(cloud: Any) -> Made:
    return Made(cloud)


OVERLAP = "Cannot have overlapping suffixes in two rules if the prefixes are overlapping"
PATHS = r"Two document paths overlap with each other; .*; path one: \[a, b\], path two: \[a\]"
ROWS: dict[str, tuple[Callable[[Made], Any], str, str, Callable[[Made], Any]]] = {
    # what: refused call, AWS's code, AWS's text, a call just within the limit
    "a function's time": (
        lambda m: m.function(Timeout=901), "ValidationException",
        "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900",
        lambda m: m.function(Timeout=900),
    ),
    "a function's environment": (
        lambda m: m.function(Environment={"Variables": {"A": "x" * 4089}}), "InvalidParameterValueException",
        "you have provided exceeded the 4KB limit", lambda m: m.function(Environment={"Variables": {"A": "x" * 4088}}),
    ),
    "a function's runtime": (
        lambda m: m.function(Runtime="python1.0"), "InvalidParameterValueException",
        r"Value python1.0 at 'runtime' failed .* enum value set: \[.*\] or be a valid ARN",
        lambda m: m.function(Runtime="python3.12"),
    ),
    "a function's role": (
        lambda m: m.function(Role=m.role(trusts("states"))), "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda", lambda m: m.function(),
    ),
    "an asynchronous payload": (
        lambda m: m.invoke("Event", (1 << 20) + 1), "RequestEntityTooLargeException",
        "1048577 byte payload is too large for the Event invocation type", lambda m: m.invoke("Event", 1 << 20),
    ),
    "a payload": (
        lambda m: m.invoke("RequestResponse", (6 << 20) + 1), "RequestEntityTooLargeException",
        "Request must be smaller than 6291456 bytes", lambda m: m.invoke("RequestResponse", 6 << 20),
    ),
    "events": (
        lambda m: m.events(1 << 20), "ValidationException", "Total size of the entries in the request is over the",
        lambda m: m.events((1 << 20) - 2),
    ),
    "a subject's length": (
        lambda m: m.publish("s" * 100), "InvalidParameter", "Invalid parameter: Subject", lambda m: m.publish("s" * 99),
    ),
    "a subject's lines": (
        lambda m: m.publish("a\nb"), "InvalidParameter", "Invalid parameter: Subject", lambda m: m.publish("é"),
    ),
    "a schedule's role": (
        lambda m: m.schedule(m.role(trusts())), "ValidationException", "must allow AWS EventBridge Scheduler to assume",
        lambda m: m.schedule(m.role(trusts("scheduler"))),
    ),
    "a schedule's role for one schedule": (
        lambda m: m.schedule(m.role(trusts("scheduler", **{"aws:SourceArn": GROUP.replace("-group", "") + "/*"}))),
        "ValidationException", "must allow AWS EventBridge Scheduler to assume",
        lambda m: m.schedule(m.role(trusts("scheduler", **{"aws:SourceArn": GROUP}))),
    ),
    "a schedule's role that is not there": (
        lambda m: m.schedule(NOBODY), "ValidationException", "must allow AWS EventBridge Scheduler to assume",
        lambda m: m.schedule(m.role(trusts("scheduler"))),
    ),
    "a role's name": (
        lambda m: m.cloud.client("iam").create_role(RoleName="r" * 65, AssumeRolePolicyDocument=trusts()),
        "ValidationError", "at 'roleName' failed to satisfy constraint: Member must have length less than or equal to",
        lambda m: m.cloud.client("iam").create_role(RoleName="r" * 64, AssumeRolePolicyDocument=trusts()),
    ),
    "a role's characters": (
        lambda m: m.cloud.client("iam").create_role(RoleName="a b", AssumeRolePolicyDocument=trusts()),
        "ValidationError", "The specified value for roleName is invalid",
        lambda m: m.cloud.client("iam").create_role(RoleName="a+=,.@_-", AssumeRolePolicyDocument=trusts()),
    ),
    "a role's policies": (
        lambda m: m.inline(5000, 5241), "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role limits-",
        lambda m: m.inline(5000, 5240),
    ),
    "a managed policy": (
        lambda m: m.managed(6145), "LimitExceeded", "Cannot exceed quota for PolicySize: 6144",
        lambda m: m.managed(6144),
    ),
    "managed policies of a role": (
        lambda m: m.attached(11), "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10",
        lambda m: m.attached(10),
    ),
    "a trust policy": (
        lambda m: m.trust(trusts(**{"aws:SourceArn": "x" * 2048})), "LimitExceeded",
        "Cannot exceed quota for ACLSizePerRole: 2048", lambda m: m.trust(trusts(**{"aws:SourceArn": "x" * 1800})),
    ),
    "whom a role trusts": (
        lambda m: m.trust(names(NOBODY)), "MalformedPolicyDocument", 'Invalid principal in policy: "AWS":"arn:aws:iam',
        lambda m: m.trust(names(m.role(trusts()))),
    ),
    "to whom a key is open": (
        lambda m: m.locked(NOBODY), "MalformedPolicyDocumentException", "one or more invalid principals",
        lambda m: m.locked(m.role(trusts())),
    ),
    "to whom a bucket is open": (
        lambda m: m.opened(NOBODY), "MalformedPolicy", "Invalid principal in policy",
        lambda m: m.opened(m.role(trusts())),
    ),
    "an image's layers": (
        lambda m: m.image(pushes=False), "LayersNotFoundException",
        r"Layers with digests '\[sha256:1+\]' required for pushing image into repository with name 'limits-",
        lambda m: m.image(b"{}", b"layer", pushes=True),
    ),
    "an update's paths": (
        lambda m: m.update("SET #a.b = :v REMOVE a"), "ValidationException", PATHS,
        lambda m: m.update("SET #a = :v, ab = :v ADD c :v"),
    ),
    "one path twice": (
        lambda m: m.update("SET #a = :v, a = :v"), "ValidationException", "Two document paths overlap",
        lambda m: m.update("SET #a = if_not_exists(a, :v)"),
    ),
    "rules of a bucket": (
        lambda m: m.notify(rules(("*", "a/", ""), ("Put", "a/b", ".csv"))), "InvalidArgument", OVERLAP,
        lambda m: m.notify(rules(("*", "a/", ".csv"), ("Put", "a/b", ".txt"), ("Put", "b/", ""))),
    ),
    "a function that a bucket calls": (
        lambda m: m.calls(allowed=False), "InvalidArgument", "Unable to validate the following destination",
        lambda m: m.calls(allowed=True),
    ),
    "a key to write with": (
        lambda m: m.key("put_object", usable=False), "KMS.KMSInvalidStateException", "is pending deletion",
        lambda m: m.key("put_object", usable=True),
    ),
    "a bucket's key to write with": (
        lambda m: m.key("put_object", usable=False, default=True), "KMS.KMSInvalidStateException",
        "is pending deletion", lambda m: m.key("put_object", usable=True, default=True),
    ),
    "a key to read with": (
        lambda m: m.key("get_object", usable=False), "KMS.KMSInvalidStateException", "is pending deletion",
        lambda m: m.key("get_object", usable=True),
    ),
    "a bucket's key to read with": (
        lambda m: m.key("get_object", usable=False, default=True), "KMS.KMSInvalidStateException",
        "is pending deletion", lambda m: m.key("get_object", usable=True, default=True),
    ),
    "a model's image": (
        lambda m: m.model(region="eu-west-1"), "ValidationException",
        "does not match expected region of us-east-1. Cross region ECR image pulls are not allowed", Made.model,
    ),
    "a model's data": (
        lambda m: m.model(bucket_region="eu-west-1"), "ValidationException",
        "Could not access model data at s3://.* located in us-east-1", Made.model,
    ),
    "an alarm's metrics": (
        lambda m: m.alarm(11), "ValidationError", "can use at most 10 metrics", lambda m: m.alarm(10),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("refused", "code", "text", "taken"), ROWS.values(), ids=ROWS)
def test_what_aws_refuses_is_refused_and_no_more(made, refused, code, text, taken):
    with pytest.raises(ClientError, match=text) as caught:
        refused(made)
    assert caught.value.response["Error"]["Code"] == code
    taken(made)
