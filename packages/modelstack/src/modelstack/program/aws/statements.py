"""IAM statements that several roles share.

Every ARN follows from the names, so policies are testable without a cloud. `*` is used only where AWS has no narrower
resource, with a condition where AWS has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from modelstack.platforms.aws.names import Names
from modelstack.rollout.core.catalogue import OWN
from modelstack.services.sealed_packages import MANIFEST, PACKAGES

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z.]+/([^:@]+)")
Statement = dict[str, Any]


def allow(actions: list[str], resources: list[str], condition: dict[str, Any] | None = None) -> Statement:
    """A statement that allows actions on resources."""
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def document(*statements: Statement) -> str:
    """A policy of statements, as canonical JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def allow_service(service: str, action: str, resource: str = "", condition: dict[str, Any] | None = None) -> Statement:
    """A statement that allows an action to an AWS service such as `lambda`."""
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": [action]}
    if resource:
        statement["Resource"] = [resource]
    return {**statement, "Condition": condition} if condition else statement


def tls_only(action: str, *resources: str) -> Statement:
    """Deny access without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def trust(service: str) -> str:
    """The trust policy of a role for one AWS service."""
    return document(allow_service(service, "sts:AssumeRole"))


def of_account(names: Names) -> dict[str, Any]:
    """The condition that a service acts for this account."""
    return {"StringEquals": {"aws:SourceAccount": names.account}}


def pulls(names: Names, images: Iterable[str]) -> list[Statement]:
    """Pull the stack's images, and those of promoted releases from their origin."""
    repositories = {names.arn("ecr", f"repository/{names.repository}")}
    for found in filter(None, map(ECR.match, images)):
        owner, region, name = found.group(1, 2, 3)
        repositories.add(names.arn("ecr", f"repository/{name}", account=owner, region=region))
    return [
        allow(list(PULL), sorted(repositories)),
        allow(["ecr:GetAuthorizationToken"], ["*"]),  # has no resource
    ]


def tells(names: Names) -> list[Statement]:
    """Publish notifications and metrics."""
    return [
        allow(["sns:Publish"], [names.arn("sns", names.alerts)]),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces(OWN)),
    ]


def watched_alarms(names: Names) -> Statement:
    """Read the stack's alarms, which naming them in a guarded deployment also needs."""
    return allow(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", f"alarm:{names.prefix}-*")])


def in_namespaces(*names: str) -> dict[str, Any]:
    """The condition on metric namespaces."""
    return {"StringEquals": {"cloudwatch:namespace": list(names)}}


def lists_bucket(names: Names) -> Statement:
    """List the bucket, without a prefix condition: only then does S3 answer 404 and not 403 for a missing object."""
    return allow(["s3:ListBucket"], [bucket_arn(names)])


def members(names: Names, *members: str) -> list[str]:
    """The named members of packages with their manifest, but no archive."""
    return [f"{bucket_arn(names)}/{PACKAGES}/*/{name}" for name in (MANIFEST, *members)]


def bucket_arn(names: Names) -> str:
    """The ARN of the stack's bucket."""
    return names.arn("s3", names.bucket, account="", region="")


def journal(names: Names) -> list[Statement]:
    """Read and write the journal, and its copy among the documents."""
    return [
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["dynamodb:BatchGetItem", "dynamodb:PutItem"], [names.arn("dynamodb", f"table/{names.documents}")]),
    ]
