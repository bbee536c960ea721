"""For each rule a stack that keeps to it and one that breaks it, as few resources as that takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy import tokens
from policy.rule import Declared

TAGS = {"project": "modelstack", "owner": "modelstack"}


def made(
    kind: str, name: str = "it", /, *, stack: str = "dev", default_tags: Mapping[str, str] | None = None, **values: Any
) -> Declared:
    """A resource of a stack."""
    urn = f"urn:pulumi:{stack}::modelstack::modelstack:index:Parent${kind}::{name}"
    return Declared(kind, name, urn, values, default_tags or {})


def document(*statements: Mapping[str, Any]) -> str:
    """A policy of IAM."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str = "arn:aws:s3:::it/*", **more: Any) -> dict[str, Any]:
    """A statement that allows something."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def tls(arn: str) -> str:
    """A policy that refuses requests without TLS."""
    without = {"Bool": {"aws:SecureTransport": "false"}}
    return document(
        {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": [arn, f"{arn}/*"], "Condition": without}
    )


def config(
    name: str = "solo", stack: str = "dev", *, count: int = 1, kind: str = "ml.m5.large", **more: Any
) -> Declared:
    """An endpoint config with one variant, `v-1`."""
    variant = {"variantName": "v-1", "instanceType": kind, "initialInstanceCount": count}
    capture = {
        "enableCapture": True,
        "initialSamplingPercentage": 100,
        "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
    }
    values = {"productionVariants": [variant], "dataCaptureConfig": capture} | more
    return made(tokens.CONFIG, name, stack=stack, **values)


def alarm(name: str, metric: str = "ModelLatency", **more: Any) -> Declared:
    """An alarm on a metric of variant `v-1` that tells a topic."""
    values = {
        "name": name,
        "metricQueries": [reads("v-1", metric)],
        "treatMissingData": "breaching",
        "alarmActions": ["arn:topic"],
    }
    return made(tokens.METRIC_ALARM, name, **(values | more))


def reads(variant: str, metric: str = "Invocation5XXErrors") -> dict[str, Any]:
    """A query of an alarm on a metric of a variant."""
    return {"id": variant, "metric": {"metricName": metric, "dimensions": {"VariantName": variant}}}


def encryption(algorithm: str = "aws:kms", **key: str) -> Declared:
    """The encryption of a bucket."""
    default = {"sseAlgorithm": algorithm, **key}
    return made(tokens.BUCKET_ENCRYPTION, bucket="it", rules=[{"applyServerSideEncryptionByDefault": default}])


def closed(**more: bool) -> Declared:
    """The public access block of a bucket."""
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return made(tokens.BUCKET_CLOSED, bucket="it", **(dict.fromkeys(names, True) | more))


def lifecycle(*rules: Mapping[str, Any]) -> Declared:
    """The lifecycle of a bucket."""
    return made(tokens.BUCKET_LIFECYCLE, bucket="it", rules=[{"status": "Enabled", **rule} for rule in rules])


@dataclass(frozen=True)
class Pair:
    """Stacks for one rule.

    Attributes:
        keeps: Stacks that keep to it.
        breaks: Stacks that break it, each with what is said, one text for each finding.
    """

    keeps: Sequence[Sequence[Declared]]
    breaks: Sequence[tuple[Sequence[Declared], Sequence[str]]]


BUCKET = made(tokens.BUCKET, bucket="it")
VERSIONED = made(tokens.BUCKET_VERSIONING, bucket="it", versioningConfiguration={"status": "Enabled"})
PARTS = (closed(), encryption(), lifecycle(), VERSIONED)
ENDPOINT = made(tokens.ENDPOINT, name="it")
HEARS = made(tokens.SUBSCRIPTION, protocol="lambda")
QUEUE_ARN, TOPIC_ARN = "arn:aws:sqs:us-east-1:1:it", "arn:aws:sns:us-east-1:1:it"
KEY = {"kmsMasterKeyId": "arn:aws:kms:us-east-1:1:key/it"}
EXPIRES = {"expiration": {"days": 30}, "noncurrentVersionExpiration": {"noncurrentDays": 1}}
COMPOSITE = made(tokens.COMPOSITE_ALARM, alarmRule='ALARM("quiet")', alarmActions=["arn:topic"])
DENIES_ALL = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE_ARN}
ASSUME = "sts:AssumeRole"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
USER = "arn:aws:iam::000000000000:role/it"
OF_ACCOUNT = {
    "Principal": {"Service": "es.amazonaws.com"},
    "Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}},
}
WEB, GITHUB = "sts:AssumeRoleWithWebIdentity", "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::000000000000:oidc-provider/{GITHUB}"
GITHUB_ASKED = {
    "StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"},
    "StringLike": {f"{GITHUB}:sub": "repo:owner/name:ref:refs/heads/*"},
}


def trusting(condition: Mapping[str, Any]) -> Declared:
    """A role that workflows on GitHub may take on, under a condition."""
    statement = {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": WEB, "Condition": condition}
    return made(tokens.ROLE, assumeRolePolicy=document(statement))


FIXTURES: Mapping[str, Pair] = {
    "own-key": Pair(
        keeps=[
            [encryption(**KEY)],
            [made(tokens.TABLE, serverSideEncryption={"enabled": True, "kmsKeyArn": "arn:key"})],
            [made(tokens.REPOSITORY, encryptionConfigurations=[{"encryptionType": "KMS", "kmsKey": "arn:key"}])],
        ],
        breaks=[
            ([encryption("AES256")], ["it names no KMS key"]),
            ([encryption("AES256", **KEY)], ["it names no KMS key"]),
            ([encryption()], ["it names no KMS key"]),
            ([made(tokens.BUCKET_ENCRYPTION, bucket="it", rules=[])], ["it names no KMS key"]),
            ([made(tokens.TABLE, serverSideEncryption={"enabled": True})], ["it names no KMS key"]),
            ([made(tokens.REPOSITORY)], ["it names no KMS key"]),
            ([made(tokens.TOPIC, kmsMasterKeyId="alias/aws/sns")], ["its key is alias/aws/sns, which AWS owns"]),
        ],
    ),
    "encrypted": Pair(
        keeps=[
            [made(tokens.TABLE, serverSideEncryption={"enabled": True})],
            [made(tokens.QUEUE, sqsManagedSseEnabled=True)],
            [made(tokens.QUEUE, **KEY)],
        ],
        breaks=[
            ([made(tokens.TABLE)], ["its encryption is not switched on"]),
            ([made(tokens.QUEUE, sqsManagedSseEnabled=False)], ["its encryption is not switched on"]),
        ],
    ),
    "key-rotation": Pair(
        keeps=[[made(tokens.KEY, enableKeyRotation=True)], [made(tokens.KEY, keyUsage="SIGN_VERIFY")]],
        breaks=[([made(tokens.KEY)], ["enableKeyRotation is not true"])],
    ),
    "tls-only": Pair(
        keeps=[
            [BUCKET, made(tokens.BUCKET_POLICY, bucket="it", policy=tls("arn:aws:s3:::it"))],
            [made(tokens.QUEUE, name="it", policy=tls(QUEUE_ARN))],
            [made(tokens.TOPIC, name="it"), made(tokens.TOPIC_POLICY, policy=tls(TOPIC_ARN))],
        ],
        breaks=[
            ([BUCKET], ["no policy refuses requests without TLS"]),
            (
                [BUCKET, made(tokens.BUCKET_POLICY, bucket="other", policy=tls("arn:aws:s3:::other"))],
                ["no policy refuses requests without TLS"],
            ),
            ([made(tokens.QUEUE, name="it", policy=document(DENIES_ALL))], ["no policy refuses requests without TLS"]),
            (
                [made(tokens.QUEUE, name="it", policy=tls(QUEUE_ARN).replace("Deny", "Allow"))],
                ["no policy refuses requests without TLS"],
            ),
        ],
    ),
    "not-public": Pair(
        keeps=[
            [closed()],
            [made(tokens.QUEUE, policy=document(DENIES_ALL))],
            [made(tokens.BUCKET_ACL, acl="private")],
            [made(tokens.FUNCTION_URL, authorizationType="AWS_IAM")],
            [made(tokens.FUNCTION_PERMISSION, principal="s3.amazonaws.com", sourceArn="arn:aws:s3:::it")],
            [made(tokens.FUNCTION_PERMISSION, principal="sns.amazonaws.com", sourceAccount="000000000000")],
            [made(tokens.FUNCTION_PERMISSION, principal="*", principalOrgId="o-1")],
            [made(tokens.LAYER_PERMISSION, principal="*", organizationId="o-1")],
            [made(tokens.SECURITY_GROUP, ingress=[{"cidrBlocks": ["10.0.0.0/8"], "ipv6CidrBlocks": ["fd00::/48"]}])],
            [made(tokens.SECURITY_RULE, type="egress", cidrBlocks=["0.0.0.0/0"])],
            [made(tokens.ACCESS_POINT, bucket="it")],
            [made(tokens.TABLE_POLICY, policy=document(allow("dynamodb:GetItem", Principal={"AWS": USER})))],
            [made(tokens.LOG_POLICY, policyDocument=document(allow("logs:PutLogEvents", **OF_ACCOUNT)))],
            [made(tokens.VPC_ENDPOINT, policy=document(allow("s3:GetObject", Principal="*")))],
            [trusting(GITHUB_ASKED)],
            [made(tokens.ROLE, assumeRolePolicy=document(allow(ASSUME, Principal={"Service": "lambda"})))],
        ],
        breaks=[
            ([closed(blockPublicPolicy=False)], ["blockPublicPolicy is not true"]),
            ([made(tokens.BUCKET_ACL, acl="public-read")], ["its ACL is public-read"]),
            ([made(tokens.FUNCTION_URL, authorizationType="NONE")], ["its URL asks nobody who they are"]),
            ([made(tokens.FUNCTION_PERMISSION, principal="*")], ["everybody may call the function"]),
            (
                [made(tokens.FUNCTION_PERMISSION, principal="s3.amazonaws.com", sourceArn="arn:aws:s3:::*")],
                ["s3.amazonaws.com may call the function for everybody: sourceArn or sourceAccount names no source"],
            ),
            ([made(tokens.LAYER_PERMISSION, principal="*")], ["it is for everybody"]),
            (
                [made(tokens.SECURITY_GROUP, ingress=[{"cidrBlocks": ["0.0.0.0/1", "128.0.0.0/1"]}])],
                ["requests may come from 0.0.0.0/1", "requests may come from 128.0.0.0/1"],
            ),
            (
                [made(tokens.SECURITY_RULE, type="ingress", ipv6CidrBlocks=["::/0"])],
                ["requests may come from ::/0"],
            ),
            ([made(tokens.INGRESS_RULE, cidrIpv4="0.0.0.0/0")], ["requests may come from 0.0.0.0/0"]),
            (
                [made(tokens.ACCESS_POINT, publicAccessBlockConfiguration={"blockPublicPolicy": False})],
                ["blockPublicPolicy is false"],
            ),
            (
                [made(tokens.LOG_POLICY, policyDocument=document(allow("logs:PutLogEvents", Principal="*")))],
                ["a statement allows logs:PutLogEvents to everybody"],
            ),
            (
                [made(tokens.QUEUE, policy=document(allow("sqs:SendMessage", Principal={"Service": "sns"})))],
                ["a statement allows sqs:SendMessage to sns for everybody: no condition names a source"],
            ),
            (
                [trusting({"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}})],
                [f"a statement allows {WEB} to everybody whom {PROVIDER} knows: no condition names aud and sub"],
            ),
            (
                [made(tokens.TOPIC, policy=document(allow("sns:Publish", Principal={"AWS": "*"})))],
                ["a statement allows sns:Publish to everybody"],
            ),
            (
                [made(tokens.ROLE, assumeRolePolicy=document(allow(ASSUME, Principal="*")))],
                ["a statement allows sts:AssumeRole to everybody"],
            ),
        ],
    ),
    "buckets-whole": Pair(
        keeps=[[BUCKET, *PARTS]],
        breaks=[
            ([BUCKET, closed(), encryption(), lifecycle()], ["no resource declares its versioning"]),
            (
                [BUCKET, encryption(), VERSIONED],
                [f"no resource declares its {part}" for part in ("public access block", "lifecycle")],
            ),
        ],
    ),
    "network-isolation": Pair(
        keeps=[[made(tokens.MODEL, enableNetworkIsolation=True)]],
        breaks=[([made(tokens.MODEL)], ["its container may call any address"])],
    ),
    "images-fixed": Pair(
        keeps=[
            [
                made(
                    tokens.REPOSITORY,
                    imageTagMutability="IMMUTABLE",
                    imageScanningConfiguration={"scanOnPush": True},
                )
            ]
        ],
        breaks=[
            (
                [made(tokens.REPOSITORY)],
                ["images are not scanned when they are pushed", "a tag may be moved to another image"],
            )
        ],
    ),
    "no-wildcard": Pair(
        keeps=[
            [made(tokens.ROLE_POLICY, policy=document(allow("s3:GetObject")))],
            [made(tokens.ROLE_POLICY, policy=document(allow("cloudwatch:GetMetricData", "*")))],
            [made(tokens.ROLE_POLICY, policy=document({**allow("s3:*", "*"), "Effect": "Deny"}))],
            [made(ATTACHMENT, policyArn="arn:aws:iam::000000000000:policy/it")],
        ],
        breaks=[
            (
                [made(tokens.ROLE_POLICY, policy=document(allow("*", "*")))],
                ["* allows more than one action", "* is allowed on every resource"],
            ),
            ([made(tokens.POLICY, policy=document(allow(["s3:Get*"])))], ["s3:Get* allows more than one action"]),
            (
                [made(tokens.ROLE_POLICY, policy=document(allow("s3:GetObject", "*")))],
                ["s3:GetObject is allowed on every resource"],
            ),
            (
                [
                    made(
                        tokens.ROLE_POLICY,
                        policy=document({"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn"}),
                    )
                ],
                ["NotAction allows all but what it names"],
            ),
            (
                [made(tokens.ROLE, inlinePolicies=[{"name": "it", "policy": document(allow("s3:*"))}])],
                ["s3:* allows more than one action"],
            ),
            (
                [made(ATTACHMENT, policyArn="arn:aws:iam::aws:policy/AdministratorAccess")],
                ["arn:aws:iam::aws:policy/AdministratorAccess is kept by AWS, and names no resource of this account"],
            ),
            (
                [made(tokens.ROLE_POLICY, policy=document(allow("iam:PassRole", "arn:aws:iam::000000000000:role/*")))],
                ["iam:PassRole is allowed on every resource like arn:aws:iam::000000000000:role/*"],
            ),
        ],
    ),
    "two-instances": Pair(
        keeps=[
            [config(stack="prod", count=2)],
            *([config(stack=stack)] for stack in ("dev", "pre-prod", "local-3-prod", "products")),
            [made(tokens.MODEL, stack="prod", vpcConfig={"subnets": ["a", "b"]})],
        ],
        breaks=[
            *(
                ([config(stack=stack)], ["variant v-1 has 1 instance"])
                for stack in ("prod", "production", "eu-prod", "Prod_2")
            ),
            ([config(tags={"Environment": "production"})], ["variant v-1 has 1 instance"]),
            (
                [made(tokens.MODEL, stack="prod-eu", vpcConfig={"subnets": ["a"]})],
                ["vpcConfig names one subnet, which lies in one zone"],
            ),
        ],
    ),
    "captured": Pair(
        keeps=[[config()]],
        breaks=[
            ([config(dataCaptureConfig=None)], ["data capture is off"]),
            (
                [config(dataCaptureConfig={"enableCapture": True, "captureOptions": [{"captureMode": "Input"}]})],
                ["0% of the requests are captured", "requests and answers are not both captured"],
            ),
        ],
    ),
    "watched": Pair(
        keeps=[[config(), alarm("slow"), alarm("fails", "Invocation5XXErrors")]],
        breaks=[
            ([config(), alarm("slow")], ["no alarm is on the failures of variant v-1"]),
            (
                [config(), alarm("slow"), alarm("both", metricQueries=[reads("v-1"), reads("v-2")])],
                ["no alarm is on the failures of variant v-1"],
            ),
            (
                [config(), config("pair")],
                [f"no alarm is on the {what} of variant v-1" for what in ("failures", "latency")],
            ),
        ],
    ),
    "alarms-tell": Pair(
        keeps=[[alarm("loud")], [alarm("quiet", alarmActions=[]), COMPOSITE]],
        breaks=[
            ([alarm("loud", treatMissingData=None)], ["it does not say what missing data means"]),
            (
                [alarm("silent", alarmActions=[]), COMPOSITE],
                ["it tells nobody, and no composite alarm asks about it"],
            ),
            ([alarm("off", actionsEnabled=False)], ["it tells nobody, and no composite alarm asks about it"]),
            ([made(tokens.COMPOSITE_ALARM, alarmRule="TRUE")], ["it tells nobody"]),
        ],
    ),
    "way-back": Pair(
        keeps=[
            [ENDPOINT, HEARS, alarm("loud")],
            [made(tokens.ENDPOINT, deploymentConfig={"autoRollbackConfiguration": {"alarms": [{"alarmName": "it"}]}})],
        ],
        breaks=[
            (stack, ["nothing takes a bad release back: no function hears of alarms, and no alarm guards it"])
            for stack in ([ENDPOINT], [ENDPOINT, HEARS], [ENDPOINT, alarm("loud")])
        ],
    ),
    "signed": Pair(
        keeps=[[made(tokens.PACKAGE, signing_key="arn:aws:kms:us-east-1:000000000000:key/signing")]],
        breaks=[([made(tokens.PACKAGE)], ["no key signs it"])],
    ),
    "logs-end": Pair(
        keeps=[[made(tokens.LOG, retentionInDays=30)]],
        breaks=[([made(tokens.LOG)], ["its lines are kept for ever"])],
    ),
    "objects-end": Pair(
        keeps=[[lifecycle(EXPIRES)]],
        breaks=[
            ([lifecycle()], ["no rule lets anything expire", "old versions are kept for ever"]),
            (
                [lifecycle({**EXPIRES, "status": "Disabled"})],
                ["no rule lets anything expire", "old versions are kept for ever"],
            ),
        ],
    ),
    "recoverable": Pair(
        keeps=[[made(tokens.TABLE, pointInTimeRecovery={"enabled": True})], [VERSIONED]],
        breaks=[
            ([made(tokens.TABLE)], ["it has no recovery to a point in time"]),
            (
                [made(tokens.BUCKET_VERSIONING, versioningConfiguration={"status": "Suspended"})],
                ["versions are not kept"],
            ),
        ],
    ),
    "owned": Pair(
        keeps=[
            [made(tokens.BUCKET, tags=TAGS)],
            [made(tokens.BUCKET, default_tags=TAGS)],
            [made(tokens.BUCKET, tags={"owner": "me"}, default_tags={"project": "modelstack"})],
            [made(tokens.BUCKET_POLICY)],
        ],
        breaks=[
            ([made(tokens.BUCKET)], ["it has no tag 'project'", "it has no tag 'owner'"]),
            ([made(tokens.BUCKET, tags={"owner": ""}, default_tags=TAGS)], ["it has no tag 'owner'"]),
        ],
    ),
    "cost-ceiling": Pair(
        keeps=[
            [config(count=2)],
            [config(kind="ml.p9.large", count=50)],
            [config(stack="prod", kind="ml.m5.4xlarge", count=2)],
        ],
        breaks=[
            (
                [config(kind="ml.m5.4xlarge")],
                ["its instances cost 673 USD a month, and stack dev may spend 500"],
            ),
            (
                [config(shadowProductionVariants=[{"instanceType": "ml.m5.xlarge", "initialInstanceCount": 3}])],
                ["its instances cost 588 USD a month, and stack dev may spend 500"],
            ),
        ],
    ),
    "priced": Pair(
        keeps=[[config()]],
        breaks=[([config(kind="ml.p9.large")], ["ml.p9.large is not priced, so the ceiling leaves it out"])],
    ),
}
