"""One stack of `make promote`, as somebody works on it: with the keys of a user of its account, and of no other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cli.errors import OperatorError, explained
from cli.local.account import account_of, user
from cli.local.cloud import Local
from cli.local.stack import Done, Stack
from cli.target import ROOT, Target
from platforms.aws.names import Names

RELEASES = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
"""The policy of who runs `pulumi up`: all rights in their own account. In another one, they have what it gives them."""


@dataclass(frozen=True)
class Workplace:
    """One stack, and who works there.

    Attributes:
        name: What people call it, such as `staging`.
        account: The account that it is in.
        stack: The stack; its commands have the keys of who releases there.
        root: The environment variables by which commands sign as root of the account.
    """

    name: str
    account: str
    stack: Stack
    root: Mapping[str, str]

    def target(self) -> Target:
        """The stack's endpoint, with the keys of who releases there."""
        outputs = self.stack.outputs()
        return Target(self.stack.name, outputs["endpoint_name"], outputs["region"], outputs, self.stack.environment)

    def modelstack(self, *words: str, keys: Mapping[str, str] | None = None) -> Done:
        """Run `modelstack --stack STACK WORDS`, with these keys or those of who releases there."""
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "--stack", self.stack.name, *words],
            cwd=ROOT,
            env={**os.environ, **(self.stack.environment if keys is None else keys)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def version(self, digest: str) -> dict[str, Any]:
        """The registered version of a package, by its digest, as SageMaker describes it; empty when there is none.

        Raises:
            OperatorError: The registry does not answer.
        """
        target = self.target()
        sagemaker = target.client("sagemaker")
        with explained(f"reading the versions of {target.endpoint}"):
            pages = sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=target.output("package_group"), SortBy="CreationTime", SortOrder="Descending"
            )
            for item in (item for page in pages for item in page["ModelPackageSummaryList"]):
                found = sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])
                if found.get("CustomerMetadataProperties", {}).get("package_digest") == digest:
                    return found
        return {}


def workplace(local: Local, name: str) -> Workplace:
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
    return Workplace(name.rpartition("-")[2], account, replace(stack, environment=keys), stack.environment)


def agrees(place: Workplace) -> dict[str, str]:
    """The keys of a user who may agree to what waits on a stack, and do nothing else there."""
    names = Names(
        place.stack.written()["config"]["modelstack:model"]["name"],
        place.stack.name,
        place.account,
        os.environ["AWS_REGION"],
    )
    bucket = f"arn:{names.partition}:s3:::{names.bucket}"
    given = {
        "s3:PutObject": f"{bucket}/approvals/*",
        "s3:ListBucket": bucket,
        "kms:GenerateDataKey": names.arn("kms", "key/*"),
        "dynamodb:GetItem": names.arn("dynamodb", f"table/{names.journal}"),
        "sagemaker:ListModelPackages": "*",
        "sagemaker:DescribeModelPackage": names.arn("sagemaker", f"model-package/{names.package_group}/*"),
    }
    allowed = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in given.items()]
    return user(place.root, "approves", {"Version": "2012-10-17", "Statement": allowed})
