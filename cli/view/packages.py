"""The package versions in the registry, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.errors import explained
from cli.target import Target
from rollout.core.release import release_id

_METRIC = "metric."  # how platforms.aws.registry names a metric among a package's properties


@dataclass(frozen=True)
class PackageView:
    """One version in the registry; `release` is the id that its variant has too."""

    version: int
    release: str
    digest: str
    approval: str
    created: str
    metrics: dict[str, str]

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> PackageView:
        """Take it from what DescribeModelPackage says; a package that names no recipe has no release."""
        known = item.get("CustomerMetadataProperties", {})
        containers = item.get("InferenceSpecification", {}).get("Containers") or [{}]
        recipe = known.get("recipe", "")
        return cls(
            version=item["ModelPackageVersion"],
            release=release_id(recipe, containers[0].get("Image", "")) if recipe else "",
            digest=known.get("package_digest", ""),
            approval=item["ModelApprovalStatus"],
            created=item["CreationTime"].isoformat(timespec="seconds"),
            metrics={name.removeprefix(_METRIC): value for name, value in known.items() if name.startswith(_METRIC)},
        )


def read(target: Target, limit: int = 5) -> list[dict[str, Any]]:
    """The newest versions of the stack's group, as DescribeModelPackage tells them.

    Raises:
        OperatorError: The registry does not answer.
    """
    sagemaker, group = target.client("sagemaker"), target.output("package_group")
    with explained(f"reading the package group {group}"):
        listed = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=limit
        )["ModelPackageSummaryList"]
        return [sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"]) for item in listed]


def lineage(item: Mapping[str, Any]) -> dict[str, str]:
    """What a package was made of: recipe, digests, and whatever else its making wrote down."""
    known = item.get("CustomerMetadataProperties", {})
    return {name: value for name, value in sorted(known.items()) if not name.startswith(_METRIC)}
