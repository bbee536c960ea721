"""Rules on the permissions of roles."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelstack.policy import documents
from modelstack.policy.documents import allows, listed
from modelstack.policy.principals import WILD, is_open
from modelstack.policy.rule import Declared, ResourceRule, Values

WITHOUT_RESOURCE = frozenset(
    {
        "cloudwatch:GetMetricData",
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
        "logs:DescribeLogGroups",
        "sagemaker:ListArtifacts",
        "sagemaker:ListAssociations",
        "sagemaker:ListContexts",
        "sagemaker:ListEndpoints",
        "sagemaker:ListModelPackages",
        "sagemaker:QueryLineage",
        "sts:GetCallerIdentity",
        "xray:PutTraceSegments",
    }
)
"""Actions that AWS grants on no narrower resource than `*`.

Source: Service Authorization Reference, the actions without resource types. Two of CloudWatch have the type `dataset`,
which does not hold a stack's metrics, and listing packages has a version, which does not exist yet.
"""
_WHOM = {"Principal", "NotPrincipal"}
_WITHOUT = {action.lower() for action in WITHOUT_RESOURCE}
ATTACHED = ("policyArn", "policyArns", "managedPolicyArn", "managedPolicyArns")
"""The properties that attach a policy by its ARN."""
_UNTYPED = {"execute-api", "s3", "sns", "sqs"}
"""Services whose ARNs have a resource's name without its type."""
_OF_SERVICE = re.compile(r"/?(aws|aws-service-role|service-role)/([\w-]+/)?")
"""The prefix of a service's own logs and roles."""
_NAMED_BY_AWS = {("sagemaker", "artifact")}
"""Service and type of resources that AWS names at creation, so that no policy can name them before."""
_RAISES = "iam:(?!Get|List|PassRole$)"
"""Actions that change roles, users and policies."""
_LEAST = 3
"""The fewest letters of a name before a wildcard."""


def _no_wildcard(resource: Declared) -> Iterator[str]:
    for name in ATTACHED:
        for arn in listed(resource.values.get(name)):
            if is_of_aws(arn):
                yield f"{arn} is kept by AWS, and names no resource of this account"
    for document in documents.of(resource):
        if document.problem and resource.type.startswith("aws:iam/"):
            yield f"{document.where} cannot be read: {document.problem}"
        for statement in document.statements:
            yield from excesses(resource.type, statement)


def is_of_aws(arn: object) -> bool:
    """Whether an ARN is that of an AWS managed policy."""
    return ":iam::aws:policy/" in str(arn)


def excesses(kind: str, statement: Values) -> Iterator[str]:
    """How a statement allows more than it names.

    With principals on a resource outside IAM (`kind`), a statement is about that resource alone: it may use wildcards.
    """
    if not allows(statement) or (statement.keys() & _WHOM and not kind.startswith("aws:iam/")):
        return
    for named in ("NotAction", "NotResource"):
        if named in statement:
            yield f"{named} allows all but what it names"
    actions = listed(statement.get("Action"))
    for action in actions:
        if "*" in action or "?" in action:
            yield f"{action} allows more than one action"
        elif re.match(_RAISES, action, re.IGNORECASE):
            yield f"{action} lets its role give itself any right"
    for arn in listed(statement.get("Resource")):
        for action in actions if _unnamed(arn) else ():
            if arn != "*":
                yield f"{action} is allowed on every resource like {arn}"
            elif action.lower() not in _WITHOUT:
                yield f"{action} is allowed on every resource"


def _unnamed(arn: str) -> bool:
    """Whether a wildcard or a request variable replaces the service, account, type or name."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return is_open(arn)
    _, _, service, _, account, resource = parts
    kind, name = resource, ""
    if service in _UNTYPED:
        kind, name = "", re.split("[:/]", resource)[0]
    elif separator := re.search("[:/]", resource):
        kind, name = resource[: separator.start()], _OF_SERVICE.sub("", resource[separator.end() :], count=1)
    if (service, kind) in _NAMED_BY_AWS:
        name = ""
    letters = re.split(r"[*?$]", name)[0]
    return any(mark in f"{service}{account}{kind}" for mark in WILD) or (letters != name and len(letters) < _LEAST)


RULES = (
    ResourceRule(
        name="no-wildcard",
        requires="Roles name each action and resource; `*` stands only where AWS has no narrower resource. No policy "
        "that AWS keeps is attached, and no role may change roles or policies.",
        control="Security Hub IAM.1, IAM.21, CIS AWS 3.0 1.16",
        fix="Name the actions and the ARNs.",
        check=_no_wildcard,
    ),
)
