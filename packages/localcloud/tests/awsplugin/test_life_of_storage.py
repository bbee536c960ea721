"""Buckets, tables, images and keys, each from its creation to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

OWNER = {"AWS": "arn:aws:iam::000000000000:root"}
TAGS = {"team": "models", "stage": "test"}


def policy(action: str, resource: str = "*", **more: Any) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}
    )


def pulls(action: str) -> str:
    """A repository's policy, which names no resource."""
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Principal": OWNER}]}
    )


CASES: list[dict[str, Any]] = [
    {
        "token": "aws:s3/bucket:Bucket",
        "inputs": lambda w: {"bucket": w.name("data"), "forceDestroy": True, "tags": TAGS},
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_bucket_tagging(
            Bucket=s["bucket"], Tagging={"TagSet": [{"Key": "team", "Value": "other"}]}
        ),
        "drifted": {"tags.team", "tags.stage"},
        "change": lambda w: {"tags": {"team": "models"}, "forceDestroy": None},
        "replace": lambda w: {"bucket": w.name("data2")},
        "unread": {"forceDestroy"},
    },
    {
        "token": "aws:s3/bucketVersioning:BucketVersioning",
        "inputs": lambda w: {"bucket": w.bucket(), "versioningConfiguration": {"status": "Enabled"}},
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_bucket_versioning(
            Bucket=s["bucket"], VersioningConfiguration={"Status": "Suspended"}
        ),
        "drifted": {"versioningConfiguration.status"},
        "change": lambda w: {"versioningConfiguration": {"status": "Suspended"}},
        "replace": lambda w: {"bucket": w.name("other")},
        "remains": True,
    },
    {
        "token": "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "inputs": lambda w: {
            "bucket": w.bucket(),
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": w.key()["arn"]},
                    "bucketKeyEnabled": True,
                }
            ],
        },
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_bucket_encryption(
            Bucket=s["bucket"],
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        ),
        "drifted": {
            "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
            "rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId",
            "rules[0].bucketKeyEnabled",
        },
        "change": lambda w: {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        "replace": lambda w: {"bucket": w.name("other")},
        "remains": True,
    },
    {
        "token": "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "inputs": lambda w: {
            "bucket": w.bucket(),
            "rules": [
                {
                    "id": "capture",
                    "status": "Enabled",
                    "filter": {"prefix": "capture/"},
                    "expiration": {"days": 30},
                    "noncurrentVersionExpiration": {"noncurrentDays": 1},
                },
                {
                    "id": "versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"expiredObjectDeleteMarker": True},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                },
            ],
        },
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_bucket_lifecycle_configuration(
            Bucket=s["bucket"],
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "capture",
                        "Status": "Enabled",
                        "Filter": {"Prefix": "capture/"},
                        "Expiration": {"Days": 400},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                    },
                    {
                        "ID": "versions",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "Expiration": {"ExpiredObjectDeleteMarker": True},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    },
                ]
            },
        ),
        "drifted": {"rules[0].expiration.days"},
        "change": lambda w: {
            "rules": [
                {"id": "capture", "status": "Disabled", "filter": {"prefix": "capture/"}, "expiration": {"days": 7}}
            ]
        },
        "replace": lambda w: {"bucket": w.name("other")},
    },
    {
        "token": "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "inputs": lambda w: {
            "bucket": w.bucket(),
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_public_access_block(
            Bucket=s["bucket"], PublicAccessBlockConfiguration={"BlockPublicAcls": True}
        ),
        "drifted": {"blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"},
        "change": lambda w: {"blockPublicAcls": False},
        "replace": lambda w: {"bucket": w.name("other")},
    },
    {
        "token": "aws:s3/bucketPolicy:BucketPolicy",
        "inputs": lambda w: {
            "bucket": (bucket := w.bucket()),
            "policy": policy("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal=OWNER),
        },
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_bucket_policy(
            Bucket=s["bucket"], Policy=policy("s3:PutObject", f"arn:aws:s3:::{s['bucket']}/*", Principal=OWNER)
        ),
        "drifted": {"policy"},
        "change": lambda w: {
            "policy": policy("s3:GetObject", f"arn:aws:s3:::{w.made[0].ident}/public/*", Principal=OWNER)
        },
        "replace": lambda w: {"bucket": w.name("other")},
    },
    {
        "token": "aws:s3/bucketNotification:BucketNotification",
        "inputs": lambda w: {
            "bucket": w.bucket(),
            "lambdaFunctions": [
                {
                    "lambdaFunctionArn": w.called()["arn"],
                    "events": ["s3:ObjectCreated:*"],
                    "filterPrefix": prefix,
                    "filterSuffix": ".jsonl",
                }
                for prefix in ("labels/", "capture/")
            ],
        },
        "ident": lambda s: s["bucket"],
        "drift": lambda w, s: w.client("s3").put_bucket_notification_configuration(
            Bucket=s["bucket"], NotificationConfiguration={"EventBridgeConfiguration": {}}
        ),
        "drifted": {"eventbridge", "lambdaFunctions"},
        "change": lambda w: {
            "lambdaFunctions": [
                {"lambdaFunctionArn": w.called()["arn"], "events": ["s3:ObjectCreated:Put"], "id": "puts"}
            ],
            "eventbridge": True,
        },
        "replace": lambda w: {"bucket": w.name("other")},
    },
    {
        "token": "aws:kms/key:Key",
        "inputs": lambda w: {
            "description": "models",
            "enableKeyRotation": True,
            "deletionWindowInDays": 7,
            "policy": policy("kms:*", Principal=OWNER),
            "tags": TAGS,
        },
        "ident": lambda s: s["keyId"],
        "drift": lambda w, s: w.client("kms").disable_key_rotation(KeyId=s["keyId"]),
        "drifted": {"enableKeyRotation"},
        "change": lambda w: {"description": "data", "enableKeyRotation": None, "isEnabled": False, "tags": {"a": "b"}},
        "replace": lambda w: {"keyUsage": "SIGN_VERIFY", "customerMasterKeySpec": "RSA_2048"},
        "unread": {"deletionWindowInDays"},
    },
    {
        "token": "aws:ecr/repository:Repository",
        "inputs": lambda w: {
            "name": w.name("images"),
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": w.key()["arn"]}],
            "forceDelete": True,
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("ecr").put_image_tag_mutability(
            repositoryName=s["name"], imageTagMutability="MUTABLE"
        ),
        "drifted": {"imageTagMutability"},
        "change": lambda w: {"imageTagMutability": None, "imageScanningConfiguration": None, "tags": None},
        "replace": lambda w: {"encryptionConfigurations": None},
        "first": True,
        "unread": {"forceDelete"},
    },
    {
        "token": "aws:ecr/repositoryPolicy:RepositoryPolicy",
        "inputs": lambda w: {"repository": w.repository(), "policy": pulls("ecr:BatchGetImage")},
        "ident": lambda s: s["repository"],
        "drift": lambda w, s: w.client("ecr").set_repository_policy(
            repositoryName=s["repository"], policyText=pulls("ecr:PutImage")
        ),
        "drifted": {"policy"},
        "change": lambda w: {"policy": pulls("ecr:GetDownloadUrlForLayer")},
        "replace": lambda w: {"repository": w.name("other")},
    },
    {
        "token": "aws:dynamodb/table:Table",
        "inputs": lambda w: {
            "name": w.name("rollouts"),
            "attributes": [{"name": "endpoint", "type": "S"}],
            "hashKey": "endpoint",
            "billingMode": "PAY_PER_REQUEST",
            "pointInTimeRecovery": {"enabled": True},
            "serverSideEncryption": {"enabled": True},
            "ttl": {"attributeName": "expires", "enabled": True},
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("dynamodb").update_continuous_backups(
            TableName=s["name"], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        ),
        "drifted": {"pointInTimeRecovery.enabled"},
        "change": lambda w: {
            "attributes": [{"name": "state", "type": "S"}, {"name": "endpoint", "type": "S"}],
            "globalSecondaryIndexes": [{"name": "by-state", "hashKey": "state", "projectionType": "ALL"}],
            "deletionProtectionEnabled": False,
            "ttl": None,
            "tags": None,
        },
        "replace": lambda w: {
            "hashKey": "other",
            "attributes": [{"name": "other", "type": "S"}],
            "globalSecondaryIndexes": None,
        },
        "first": True,
    },
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["token"].rpartition(":")[2])
def test_a_resource_is_made_kept_changed_imported_and_removed(
    world: Any, live_through: Any, case: dict[str, Any]
) -> None:
    live_through(world, **case)


def test_an_index_whose_keys_are_a_list_is_read_back_as_one(world: Any, plugin: Any) -> None:
    keys = [{"attributeName": "waiting", "keyType": "HASH"}, {"attributeName": "since", "keyType": "RANGE"}]
    made = plugin.create(
        "aws:dynamodb/table:Table",
        {
            "name": world.name("labels"),
            "hashKey": "id",
            "attributes": [
                {"name": "id", "type": "S"},
                {"name": "waiting", "type": "S"},
                {"name": "since", "type": "N"},
            ],
            "billingMode": "PAY_PER_REQUEST",
            "globalSecondaryIndexes": [{"name": "waiting", "keySchemas": keys, "projectionType": "ALL"}],
        },
    )
    world.made.append(made)
    (index,) = world.client("dynamodb").describe_table(TableName=made.ident)["Table"]["GlobalSecondaryIndexes"]
    assert index["KeySchema"] == [
        {"AttributeName": "waiting", "KeyType": "HASH"}, {"AttributeName": "since", "KeyType": "RANGE"}
    ]  # fmt: skip
    assert plugin.changes(made) == set()
    assert plugin.refresh(made) == made
