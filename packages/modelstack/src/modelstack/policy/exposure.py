"""Rules on access from and to outside the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelstack.policy import documents, tokens
from modelstack.policy.documents import listed
from modelstack.policy.exemptions import TYPES
from modelstack.policy.principals import addresses, are_narrow, is_open, names_owner, openings
from modelstack.policy.rule import UNKNOWN, Declared, Finding, ResourceRule, StackRule, of_type

_SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_OPENS = {
    "acl": ("authenticated-read", "public-read", "public-read-write"),
    "associatePublicIpAddress": (True,),
    "authorization": ("NONE",),
    "authorizationType": ("NONE",),
    "endpointPublicAccess": (True,),
    "from": ("All",),  # of the namespaces whose routes a Gateway takes
    "mapPublicIpOnLaunch": (True,),
    "publiclyAccessible": (True,),
}
"""Values of properties that open a resource of any type, at any depth: an exemption of a type allows none of them."""
_RANGES = ("cidrBlocks", "cidrIpv4", "cidrIpv6", "ipv6CidrBlocks", "loadBalancerSourceRanges", "publicAccessCidrs")
_CLOSED = {
    "aws:eks/cluster:Cluster": (("vpcConfig", "endpointPublicAccess"), False),
    "aws:lb/loadBalancer:LoadBalancer": (("internal",), True),
    "aws:sagemaker/domain:Domain": (("appNetworkAccessType",), "VpcOnly"),
    "aws:sagemaker/notebookInstance:NotebookInstance": (("directInternetAccess",), "Disabled"),
}
"""Types that are open unless a property has this value."""
_PARTS = {
    tokens.BUCKET_CLOSED: "public access block",
    tokens.BUCKET_ENCRYPTION: "encryption",
    tokens.BUCKET_LIFECYCLE: "lifecycle",
    tokens.BUCKET_VERSIONING: "versioning",
}


def _known(resource: Declared) -> Iterator[str]:
    kind = resource.type
    if not tokens.known(kind):
        yield f"no check knows what its type {kind} may open or share; an exemption names it {kind}::{resource.name}"
    elif kind.startswith("kubernetes:"):
        group = str(resource.get("apiVersion") or "")
        said = f"kubernetes:{group if '/' in group else f'core/{group}'}:{resource.get('kind')}"
        if said != kind:
            yield f"its manifest is of {said}"
        if str(namespace := resource.get("metadata", "namespace")).startswith("kube-"):
            yield f"it is in namespace {namespace}, which is the cluster's own: use that of the stack"


def _not_public(resource: Declared) -> Iterator[str]:
    yield from _open_statements(resource)
    yield from _opened(resource.values, outwards="Egress" in resource.type or resource.values.get("type") == "egress")
    path, closed = _CLOSED.get(resource.type, ((), None))
    if path and resource.get(*path) != closed:
        yield f"its {'.'.join(path)} is not {closed}"
    if resource.type == tokens.BUCKET_CLOSED:
        yield from (f"{switch} is not true" for switch in _SWITCHES if resource.get(switch) is not True)
    elif resource.type == tokens.BUCKET:
        acl = resource.get("acl") or "private"
        if acl not in ("private", *_OPENS["acl"]):
            yield f"its acl is {acl}"
        if resource.get("grants"):
            yield "its ACL has grants"
    elif resource.type == tokens.FUNCTION_PERMISSION:
        yield from _open_permission(resource)


def _opened(values: Any, where: str = "", *, outwards: bool) -> Iterator[str]:
    """The properties at any depth that open a resource; `outwards` marks rules about what it may call."""
    for name, value in values.items() if isinstance(values, Mapping) else [("", one) for one in values]:
        path = f"{where}.{name}".strip(".")
        if any(value == one for one in _OPENS.get(name, ())):
            yield f"its {path} is {value}"
        ranges = [str(one) for one in listed(value) if one is not UNKNOWN] if name in _RANGES and not outwards else []
        if not are_narrow(ranges):
            yield f"its {path} allows {', '.join(ranges)}"
        if isinstance(value, (Mapping, list)):
            yield from _opened(value, path, outwards=outwards or name == "egress")


def _open_statements(resource: Declared) -> Iterator[str]:
    ranges: list[str] = []
    for document in documents.of(resource):
        if document.problem:
            yield f"{document.where} cannot be read: {document.problem}"
        for statement in document.statements:
            yield from openings(statement, trust=resource.type == tokens.ROLE)
            ranges += addresses(statement)
    if ranges and not are_narrow(ranges):
        yield f"its statements together allow requests from {', '.join(ranges)}"


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
        name=TYPES,
        requires="A stack has only resources of types that the pack has checks for.",
        control="AWS Well-Architected SEC01-BP03",
        fix="Use a type of KNOWN in modelstack/policy/tokens.py, add its type there with its checks, or exempt it in "
        "policy/exemptions.yaml.",
        check=_known,
    ),
    ResourceRule(
        name="not-public",
        requires="Nothing is open to everybody: by a policy, an ACL, a permission, an address, an identity "
        "provider, or a service that acts for others.",
        control="Security Hub S3.1, S3.8, S3.19, S3.24, SNS.4, SQS.3, KMS.5, Lambda.1, EC2.18, EC2.19, "
        "AWS Well-Architected SEC03-BP07",
        fix="Name who may, by principals, or by a condition on account, organization, source or network, or on aud "
        "and sub of an identity provider.",
        check=_not_public,
    ),
    StackRule(
        name="buckets-whole",
        requires="Each bucket has a public access block, encryption, versioning and a lifecycle.",
        control="Security Hub S3.8, S3.13, S3.14, S3.17, CIS AWS 3.0 2.1.4",
        fix="Declare the resource beside the bucket.",
        check=_buckets_whole,
    ),
    ResourceRule(
        name="network-isolation",
        requires="The container of a model cannot reach the network.",
        control="Security Hub SageMaker.5",
        fix="Set enableNetworkIsolation. A model that is there cannot be changed: exempt it until it is replaced.",
        types=frozenset({tokens.MODEL}),
        check=_isolated,
    ),
    ResourceRule(
        name="images-fixed",
        requires="Repositories scan what is pushed, and a tag never moves.",
        control="Security Hub ECR.1, ECR.2",
        fix="Set scanOnPush, and imageTagMutability to IMMUTABLE.",
        types=frozenset({tokens.REPOSITORY}),
        check=_images_fixed,
    ),
)
