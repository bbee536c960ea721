"""The registry of a stack on AWS: a bucket, a model package group, and the stack's KMS key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from modelstack.platforms.aws.kms_signer import KmsSigner
from modelstack.platforms.aws.versions import GroupVersions
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.records.provenance.envelope import Signer
from modelstack.services.package_registry import Origin, PackageRegistry

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from modelstack.platforms.aws.clients import Clients


def registry(bucket: str, group: str, image: str, clients: Clients, signer: Signer) -> PackageRegistry:
    """The registry of a bucket and a group, for packages in an image."""
    return PackageRegistry(BucketPackageStore(bucket, clients("s3")), GroupVersions(group, clients), image, signer)


def registry_of(given: Mapping[str, Any]) -> PackageRegistry:
    """The registry at `region`, `bucket`, `group`, with `image_uri` and the KMS key `signing_key`."""
    clients = clients_of(given["region"])
    signer = KmsSigner(clients, given["signing_key"])
    return registry(given["bucket"], given["group"], given["image_uri"], clients, signer)


def origin_of(source: Mapping[str, Any]) -> Origin:
    """The packages of another stack on AWS, by its release with `region` and, if needed, the `role` to assume."""
    return origin(clients_of(source["region"], source.get("role")))


def origin(clients: Clients) -> Origin:
    """The same, by its clients."""
    return Origin(BucketPackageStore("", clients("s3")), GroupVersions("", clients))


def clients_of(region: str, role: str | None = None) -> Clients:
    """Clients with the SDK's own retries, with an assumed role if one is named."""
    if role:
        from modelstack.platforms.aws.clients import acting_as  # noqa: PLC0415  a training job has no rollout, which that needs

        session: Any = acting_as(role, region)
    else:
        session = boto3.Session(region_name=region)
    return cache(session.client)
