"""The rule on public access; it checks policy documents in resources of any type."""

from __future__ import annotations

from collections.abc import Iterator

from policy import documents, tokens
from policy.documents import listed
from policy.principals import is_narrow, is_open, names_owner, openings
from policy.rule import UNKNOWN, Declared, ResourceRule, items_at, value_at

_SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_BLOCK_OF = {tokens.ACCESS_POINT: ("publicAccessBlockConfiguration",), tokens.REGIONS: ("details", "publicAccessBlock")}
"""The path of an access point's public access block; everything is blocked by default."""
_PUBLIC_GROUPS = ("/global/AllUsers", "/global/AuthenticatedUsers")
_NO_GRANTS = frozenset({tokens.ORGANIZATION_POLICY, tokens.VPC_ENDPOINT, tokens.VPC_ENDPOINT_POLICY})
"""Types whose documents only limit what other policies allow."""


def _not_public(resource: Declared) -> Iterator[str]:
    kind = resource.type
    if kind not in _NO_GRANTS:
        yield from _open_statements(resource)
    if resource.values.get("publiclyAccessible") is True:
        yield "it is publiclyAccessible"
    if kind in {tokens.BUCKET_CLOSED, tokens.ACCOUNT_CLOSED}:
        yield from (f"{switch} is not true" for switch in _SWITCHES if resource.get(switch) is not True)
    elif kind in _BLOCK_OF:
        block = resource.get(*_BLOCK_OF[kind])
        yield from (f"{switch} is false" for switch in _SWITCHES if value_at(block, switch) is False)
    elif kind in {tokens.BUCKET, tokens.BUCKET_ACL}:
        yield from _open_acl(resource)
    elif kind in {tokens.SECURITY_GROUP, tokens.DEFAULT_SECURITY_GROUP, tokens.SECURITY_RULE, tokens.INGRESS_RULE}:
        yield from _open_ingress(resource)
    elif kind == tokens.FUNCTION_URL and resource.get("authorizationType") != "AWS_IAM":
        yield "its URL asks nobody who they are"
    elif kind == tokens.FUNCTION_PERMISSION:
        yield from _open_permission(resource)
    elif kind in {tokens.EVENT_PERMISSION, tokens.LAYER_PERMISSION}:
        named = resource.get("organizationId") or resource.get("condition", "value")
        if is_open(resource.get("principal")) and is_open(named):
            yield "it is for everybody"
    elif kind == tokens.PUBLIC_REPOSITORY:
        yield "everybody may pull from it"


def _open_statements(resource: Declared) -> Iterator[str]:
    for document in documents.of(resource):
        if document.problem:
            yield f"{document.where} cannot be read: {document.problem}"
        for statement in document.statements:
            yield from openings(statement, trust=resource.type == tokens.ROLE)


def _open_acl(resource: Declared) -> Iterator[str]:
    acl = str(resource.get("acl") or "")
    if acl.startswith("public-") or acl == "authenticated-read":
        yield f"its ACL is {acl}"
    grants = items_at(resource.values, "grants") + items_at(resource.values, "accessControlPolicy", "grants")
    for grant in grants:
        for group in (value_at(grant, "uri"), value_at(grant, "grantee", "uri")):
            if str(group).endswith(_PUBLIC_GROUPS):
                yield f"its ACL grants something to {group}"


def _open_ingress(resource: Declared) -> Iterator[str]:
    if resource.type in {tokens.SECURITY_RULE, tokens.INGRESS_RULE}:
        rules = [resource.values] if resource.get("type") != "egress" else []
    else:
        rules = [rule for rule in resource.get("ingress") or [] if rule is not UNKNOWN]
    for rule in rules:
        for name in ("cidrIpv4", "cidrIpv6", "cidrBlocks", "ipv6CidrBlocks"):
            for addresses in listed(rule.get(name)):
                if addresses is not UNKNOWN and not is_narrow(addresses):
                    yield f"requests may come from {addresses}"


def _open_permission(permission: Declared) -> Iterator[str]:
    """A service that everybody can use needs a source, or everybody can call through it."""
    who = str(permission.get("principal"))
    source, account = permission.get("sourceArn"), permission.get("sourceAccount")
    named = names_owner(source) if source else not is_open(account)
    if is_open(who):
        if not named and is_open(permission.get("principalOrgId")):
            yield "everybody may call the function"
    elif "." in who and not named and not permission.get("eventSourceToken"):
        yield f"{who} may call the function for everybody: sourceArn or sourceAccount names no source"


RULE = ResourceRule(
    name="not-public",
    asks="Nothing is open to everybody: by a policy, an ACL, a permission, an address, an identity provider, or a "
    "service that acts for others.",
    control="Security Hub S3.1, S3.8, S3.19, S3.24, SNS.4, SQS.3, KMS.5, Lambda.1, EC2.18, EC2.19, "
    "AWS Well-Architected SEC03-BP07",
    mend="Name who may, by principals, or by a condition on account, organization, source or network, or on aud and "
    "sub of an identity provider.",
    check=_not_public,
)
