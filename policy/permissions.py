"""May a role do more than it has to?"""

from __future__ import annotations

from collections.abc import Iterator

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
        if "*" in action:
            yield f"{action} allows more than one action"
    if "*" in listed(statement.get("Resource")):
        for action in actions:
            if action not in WITHOUT_RESOURCE:
                yield f"{action} is allowed on every resource"


RULES = (
    ResourceRule(
        name="no-wildcard",
        asks="Roles name each action and resource; `*` stands only where AWS has no narrower resource.",
        control="Security Hub IAM.1, IAM.21, CIS AWS 3.0 1.16",
        mend="Name the actions and the ARNs.",
        types=frozenset({tokens.POLICY, tokens.POLICY_ATTACHMENT, tokens.ROLE, tokens.ROLE_POLICY}),
        check=_no_wildcard,
    ),
)
