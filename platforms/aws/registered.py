"""Which package is a variant's, when the journal has forgotten its release? The registry keeps it, rejected or not.

package = registered(clients, "flight-delay-prod", "v-77c1aa20b3f1")      # None when no version is of that variant
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from platforms.aws.clients import Clients
from platforms.aws.identity import REGISTERED_BY, TRAINED_BY
from platforms.aws.names import variant as variant_of
from rollout.core.release import release_id

_NEWEST = 100
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Package:
    """Where a sealed package lies, and what proves it; see `Release`.

    Attributes:
        archive_uri: Where its archive lies.
        manifest_sha256: sha256 of its manifest, hex.
        package_digest: `sha256:<hex>` of the archive.
        made_by: Who registered it, here and on the stacks that it comes from; as the registry's metadata has it.
    """

    archive_uri: str
    manifest_sha256: str
    package_digest: str
    made_by: frozenset[str]


def registered(clients: Clients, group: str, variant: str) -> Package | None:
    """The package of a variant among the newest hundred versions of a model package group.

    Raises:
        ClientError, BotoCoreError: The registry does not answer.
    """
    sagemaker = clients("sagemaker")
    listed = sagemaker.list_model_packages(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=_NEWEST
    )
    for item in listed["ModelPackageSummaryList"]:
        package = sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])
        known = package.get("CustomerMetadataProperties", {})
        container = (package.get("InferenceSpecification", {}).get("Containers") or [{}])[0]
        if known.get("recipe") and variant == variant_of(release_id(known["recipe"], container.get("Image", ""))):
            made_by = frozenset(known[name] for name in (REGISTERED_BY, TRAINED_BY) if name in known)
            return Package(container["ModelDataUrl"], known["manifest_sha256"], known["package_digest"], made_by)
    return None


def digests(clients: Clients, group: str) -> dict[str, str]:
    """ARN -> package digest of every version of a model package group, the newest first.

    A version's description has the digest, and the list tells descriptions: few are asked for one by one.

    Raises:
        ClientError, BotoCoreError: The registry does not answer.
    """
    sagemaker, found = clients("sagemaker"), dict[str, str]()
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    for item in (item for page in pages for item in page["ModelPackageSummaryList"]):
        arn, told = item["ModelPackageArn"], _DIGEST.search(item.get("ModelPackageDescription", ""))
        known = {} if told else sagemaker.describe_model_package(ModelPackageName=arn)
        digest = told[0] if told else known.get("CustomerMetadataProperties", {}).get("package_digest")
        if digest:
            found[arn] = digest
    return found
