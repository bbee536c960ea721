"""What policies are written of: statements, and those that several roles have.

Every ARN is known from the names, so a policy can be read, and tested, without a cloud. `*` stands only where AWS has
no narrower resource, and a condition narrows it where AWS has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from platforms.aws.names import Names
from rollout.core.catalogue import OWN
from services.sealed_packages import MANIFEST, PACKAGES

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z.]+/([^:@]+)")
Statement = dict[str, Any]


def allow(actions: list[str], resources: list[str], condition: dict[str, Any] | None = None) -> Statement:
    """One statement that allows actions on resources."""
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def document(*statements: Statement) -> str:
    """A policy of statements, as canonical JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def allow_service(service: str, action: str, resource: str = "", condition: dict[str, Any] | None = None) -> Statement:
    """One statement that allows one AWS service, such as `lambda`, an action."""
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": [action]}
    if resource:
        statement["Resource"] = [resource]
    return {**statement, "Condition": condition} if condition else statement


def tls_only(action: str, *resources: str) -> Statement:
    """Nobody uses a resource without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def trust(service: str) -> str:
    """Who may assume a role: one AWS service."""
    return document(allow_service(service, "sts:AssumeRole"))


def of_account(names: Names) -> dict[str, Any]:
    """The condition that a service acts for this account."""
    return {"StringEquals": {"aws:SourceAccount": names.account}}


def pulls(names: Names, images: Iterable[str]) -> list[Statement]:
    """Pull images: the stack's own, and those that a promoted release keeps of where it came from."""
    repositories = {names.arn("ecr", f"repository/{names.repository}")}
    for found in filter(None, map(_ECR.match, images)):
        owner, region, name = found.group(1, 2, 3)
        repositories.add(names.arn("ecr", f"repository/{name}", account=owner, region=region))
    return [
        allow(list(PULL), sorted(repositories)),
        allow(["ecr:GetAuthorizationToken"], ["*"]),  # has no resource
    ]


def tells(names: Names) -> list[Statement]:
    """Tell people what happened, and count it for the dashboard."""
    return [
        allow(["sns:Publish"], [names.arn("sns", names.alerts)]),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces(OWN)),
    ]


def watched_alarms(names: Names) -> Statement:
    """Which alarms ring; and only who may read alarms may name them in a guarded deployment."""
    return allow(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", f"alarm:{names.prefix}-*")])


def in_namespaces(*names: str) -> dict[str, Any]:
    """The condition that metrics are of some namespaces."""
    return {"StringEquals": {"cloudwatch:namespace": list(names)}}


def lists_bucket(names: Names) -> Statement:
    """List the bucket; under whichever prefix, since S3 tells a file that is not there (404) from one that may not be
    read (403) only to who may list without a condition.
    """
    return allow(["s3:ListBucket"], [bucket_arn(names)])


def members(names: Names, *members: str) -> list[str]:
    """The named members of packages, and the manifest that proves them; no archive."""
    return [f"{bucket_arn(names)}/{PACKAGES}/*/{name}" for name in (MANIFEST, *members)]


def bucket_arn(names: Names) -> str:
    """The ARN of the stack's bucket."""
    return names.arn("s3", names.bucket, account="", region="")
