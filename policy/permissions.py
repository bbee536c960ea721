"""May a role do more than it has to?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policy import tokens
from policy.documents import allows, listed, statements
from policy.rule import Declared, ResourceRule, Values

WITHOUT_RESOURCE = frozenset(
    {
        "cloudwatch:GetMetricData",
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
        "logs:DescribeLogGroups",
        "sagemaker:ListEndpoints",
        "sagemaker:ListModelPackages",
        "sts:GetCallerIdentity",
        "xray:PutTraceSegments",
    }
)
"""Actions that AWS grants on no narrower resource than `*`.

Source: Service Authorization Reference, the actions without resource types. It names a `dataset` for the two of
CloudWatch, which the metrics of a stack are not in, and a version for a listing of packages, which has none yet.
"""
_WIDE = ("AdministratorAccess", "PowerUserAccess", "FullAccess")


def _no_wildcard(resource: Declared) -> Iterator[str]:
    attached = [resource.get("policyArn"), *(resource.get("managedPolicyArns") or [])]
    for arn in filter(None, attached):
        if str(arn).endswith(_WIDE):
            yield f"{arn} allows all of a service, or more"
    for statement in statements(resource):
        if allows(statement):
            yield from _wide(statement)


def _wide(statement: Values) -> Iterator[str]:
    for named in ("NotAction", "NotResource"):
        if named in statement:
            yield f"{named} allows all but what it names"
    actions = [str(action) for action in listed(statement.get("Action"))]
    for action in actions:
        if "*" in action or "?" in action:
            yield f"{action} allows more than one action"
    if any(map(_every, listed(statement.get("Resource")))):
        for action in actions:
            if action not in WITHOUT_RESOURCE:
                yield f"{action} is allowed on every resource"


def _every(arn: Any) -> bool:
    """Whether an ARN names nothing: only wildcards stand where the resource does, or for all that is before it."""
    parts = str(arn).split(":", 5)
    return not parts[-1].strip("*?/:") if len(parts) in {1, 6} else "*" in parts[-1]


RULES = (
    ResourceRule(
        name="no-wildcard",
        asks="Roles name each action and resource; `*` stands only where AWS has no narrower resource.",
        control="Security Hub IAM.1, IAM.21, CIS AWS 3.0 1.16",
        mend="Name the actions and the ARNs.",
        types=frozenset(
            {
                *(tokens.GROUP_POLICY, tokens.GROUP_POLICY_ATTACHMENT, tokens.POLICY, tokens.POLICY_ATTACHMENT),
                *(tokens.POLICY_ATTACHMENT_OF_ALL, tokens.ROLE, tokens.ROLE_POLICY),
                *(tokens.USER_POLICY, tokens.USER_POLICY_ATTACHMENT),
            }
        ),
        check=_no_wildcard,
    ),
)
