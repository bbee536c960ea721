"""Can anybody outside the account reach it, or it anybody outside?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy import tokens
from policy.documents import TRUST, allows, everybody, says_who, statements
from policy.rule import UNKNOWN, Declared, Finding, ResourceRule, StackRule, items_at, of_type, value_at

_SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_PUBLIC_GROUPS = ("/global/AllUsers", "/global/AuthenticatedUsers")
_PARTS = {
    tokens.BUCKET_CLOSED: "public access block",
    tokens.BUCKET_ENCRYPTION: "encryption",
    tokens.BUCKET_LIFECYCLE: "lifecycle",
    tokens.BUCKET_VERSIONING: "versioning",
}
_WITH_POLICY = frozenset(
    {
        *(
            tokens.BUCKET,
            tokens.BUCKET_POLICY,
            tokens.KEY,
            tokens.KEY_POLICY,
            tokens.QUEUE,
            tokens.QUEUE_POLICY,
            tokens.REPOSITORY_POLICY,
        ),
        *(tokens.ROLE, tokens.TOPIC, tokens.TOPIC_POLICY),
    }
)


def _not_public(resource: Declared) -> Iterator[str]:
    if resource.type == tokens.BUCKET_CLOSED:
        for switch in _SWITCHES:
            if resource.get(switch) is not True:
                yield f"{switch} is not true"
    elif resource.type == tokens.BUCKET_ACL:
        yield from _open_acl(resource)
    elif resource.type == tokens.FUNCTION_URL:
        if resource.get("authorizationType") != "AWS_IAM":
            yield "its URL asks nobody who they are"
    elif resource.type == tokens.FUNCTION_PERMISSION:
        if resource.get("principal") == "*":
            yield "everybody may call the function"
    else:
        yield from _open_statements(resource)
        if resource.type == tokens.BUCKET:
            yield from _open_acl(resource)


def _open_acl(resource: Declared) -> Iterator[str]:
    acl = str(resource.get("acl") or "")
    if acl.startswith("public-") or acl == "authenticated-read":
        yield f"its ACL is {acl}"
    grants = items_at(resource.values, "grants") + items_at(resource.values, "accessControlPolicy", "grants")
    for grant in grants:
        for group in (value_at(grant, "uri"), value_at(grant, "grantee", "uri")):
            if str(group).endswith(_PUBLIC_GROUPS):
                yield f"its ACL grants something to {group}"


def _open_statements(resource: Declared) -> Iterator[str]:
    """The statements of a policy that allow something to everybody, unless a condition says to whom."""
    fields = (TRUST,) if resource.type == tokens.ROLE else ("policy",)
    for statement in statements(resource, *fields):
        if allows(statement) and everybody(statement) and not says_who(statement):
            yield f"a statement allows {statement.get('Action')} to everybody"


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
        asks="No bucket, queue, topic, key, repository, role or function is open to everybody.",
        control="Security Hub S3.8, SNS.4, SQS.3, KMS.5, Lambda.1",
        mend="Name who may.",
        types=_WITH_POLICY | {tokens.BUCKET_CLOSED, tokens.BUCKET_ACL, tokens.FUNCTION_URL, tokens.FUNCTION_PERMISSION},
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
