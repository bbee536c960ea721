"""Rules on access from and to outside the account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy import public, tokens
from policy.rule import UNKNOWN, Declared, Finding, ResourceRule, StackRule, of_type

_PARTS = {
    tokens.BUCKET_CLOSED: "public access block",
    tokens.BUCKET_ENCRYPTION: "encryption",
    tokens.BUCKET_LIFECYCLE: "lifecycle",
    tokens.BUCKET_VERSIONING: "versioning",
}


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
    public.RULE,
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
