"""Rules on access from and to outside the account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy import documents, tokens
from policy.documents import listed
from policy.principals import is_narrow, is_open, names_owner, openings
from policy.rule import UNKNOWN, Declared, Finding, ResourceRule, StackRule, items_at, of_type, value_at

_SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_BLOCK_OF = {tokens.ACCESS_POINT: ("publicAccessBlockConfiguration",), tokens.REGIONS: ("details", "publicAccessBlock")}
"""The path of an access point's public access block; everything is blocked by default."""
_PUBLIC_GROUPS = ("/global/AllUsers", "/global/AuthenticatedUsers")
_NO_GRANTS = frozenset({tokens.ORGANIZATION_POLICY, tokens.VPC_ENDPOINT, tokens.VPC_ENDPOINT_POLICY})
"""Types whose documents only limit what other policies allow."""
_PARTS = {
    tokens.BUCKET_CLOSED: "public access block",
    tokens.BUCKET_ENCRYPTION: "encryption",
    tokens.BUCKET_LIFECYCLE: "lifecycle",
    tokens.BUCKET_VERSIONING: "versioning",
}


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


def _buckets_whole(resources: Sequence[Declared]) -> Iterator[Finding]:
    for bucket in of_type(resources, tokens.BUCKET):
        name = bucket.get("bucket")
        for kind, part in _PARTS.items():
            named = [each.values.get("bucket") for each in of_type(resources, kind)]
            if name not in named and UNKNOWN not in named:
                yield bucket, f"no resource declares its {part}"


def _isolated(resource: Declared) -> Iterator[str]:
    if resource.get("enableNetworkIsolation") is not True:
        yield "its container may call any address"


def _images_fixed(resource: Declared) -> Iterator[str]:
    if resource.get("imageScanningConfiguration", "scanOnPush") is not True:
        yield "images are not scanned when they are pushed"
    if not str(resource.get("imageTagMutability") or "").startswith("IMMUTABLE"):
        yield "a tag may be moved to another image"


RULES = (
    ResourceRule(
        name="not-public",
        asks="Nothing is open to everybody: by a policy, an ACL, a permission, an address, an identity provider, or a "
        "service that acts for others.",
        control="Security Hub S3.1, S3.8, S3.19, S3.24, SNS.4, SQS.3, KMS.5, Lambda.1, EC2.18, EC2.19, "
        "AWS Well-Architected SEC03-BP07",
        mend="Name who may, by principals, or by a condition on account, organization, source or network, or on aud "
        "and sub of an identity provider.",
        check=_not_public,
    ),
    StackRule(
        name="buckets-whole",
        asks="Each bucket has a public access block, encryption, versioning and a lifecycle.",
        control="Security Hub S3.8, S3.13, S3.14, S3.17, CIS AWS 3.0 2.1.4",
        mend="Declare the resource beside the bucket.",
        check=_buckets_whole,
    ),
    ResourceRule(
        name="network-isolation",
        asks="The container of a model cannot reach the network.",
        control="Security Hub SageMaker.5",
        mend="Set enableNetworkIsolation. A model that is there cannot be changed: exempt it until it is replaced.",
        types=frozenset({tokens.MODEL}),
        check=_isolated,
    ),
    ResourceRule(
        name="images-fixed",
        asks="Repositories scan what is pushed, and a tag never moves.",
        control="Security Hub ECR.1, ECR.2",
        mend="Set scanOnPush, and imageTagMutability to IMMUTABLE.",
        types=frozenset({tokens.REPOSITORY}),
        check=_images_fixed,
    ),
)
