"""A session on one stack of `make promote`: with the keys of a user of its account, and of no other."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3

from demos.stack_session import Session
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local, account_of

RELEASES = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
"""The policy of who runs `pulumi up`: all rights in their own account. In another one, they have what it gives them."""


@dataclass(frozen=True)
class AccountSession(Session):
    """One stack, and who works there.

    Attributes:
        name: What people call it, such as `staging`.
        account: The account that it is in.
        root: The environment variables by which commands sign as root of the account.
    """

    name: str
    account: str
    root: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A client of AWS with the keys of who releases there."""
        return _client(service, self.stack.environment)

    def version(self, digest: str) -> dict[str, Any]:
        """The registered version of a package, by its digest, as SageMaker describes it; empty when there is none."""
        sagemaker, group = self.client("sagemaker"), self.stack.outputs()["package_group"]
        for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
            for item in page["ModelPackageSummaryList"]:
                found = sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])
                if found.get("CustomerMetadataProperties", {}).get("package_digest") == digest:
                    return found
        return {}


def open_session(local: Local, name: str) -> AccountSession:
    """Select a stack, make it if it is not there, and give who releases there a user of its account.

    Args:
        local: The local cloud, which runs.
        name: The stack's name, such as `local-2-staging`.

    Raises:
        OperatorError: The stack's file names no account, or the stack cannot be made.
    """
    stack = local.select(name)
    account = account_of(stack)
    if account is None:
        raise OperatorError(f"stack {name}: its file names no account, and it is to have one of its own", exit_code=2)
    keys = user(stack.environment, "releases", RELEASES)
    return AccountSession(replace(stack, environment=keys), name.rpartition("-")[2], account, stack.environment)


def agrees(place: AccountSession) -> dict[str, str]:
    """The keys of a user who may agree to what waits on a stack, and do nothing else there."""
    outputs, region = place.stack.outputs(), os.environ["AWS_REGION"]
    bucket = f"arn:aws:s3:::{outputs['artifact_bucket']}"

    def arn(service: str, resource: str) -> str:
        return f"arn:aws:{service}:{region}:{place.account}:{resource}"

    given = {
        "s3:PutObject": f"{bucket}/approvals/*",
        "s3:ListBucket": bucket,
        "kms:GenerateDataKey": arn("kms", "key/*"),
        "dynamodb:GetItem": arn("dynamodb", f"table/{outputs['journal_table']}"),
        "sagemaker:ListModelPackages": "*",
        "sagemaker:DescribeModelPackage": arn("sagemaker", f"model-package/{outputs['package_group']}/*"),
    }
    allowed = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in given.items()]
    return user(place.root, "approves", {"Version": "2012-10-17", "Statement": allowed})


def user(root: Mapping[str, str], name: str, policy: Mapping[str, Any]) -> dict[str, str]:
    """The variables by which commands sign as an IAM user, who is made if not there; earlier keys of theirs are gone.

    Args:
        root: The same of the account's root.
        name: The user's name.
        policy: The one policy that the user has.
    """
    iam = _client("iam", root)
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


def _client(service: str, keys: Mapping[str, str]) -> Any:
    """A client of AWS that signs with given keys, whatever the environment has."""
    named = (keys[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    return boto3.Session(*named, region_name=os.environ["AWS_REGION"]).client(service)
