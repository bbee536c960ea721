"""The package versions in SageMaker's registry, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.errors import explained
from cli.platform.facts import Package, PackageView
from cli.target import Target
from rollout.core.release import release_id

_METRIC = "metric."  # how platforms.aws.registry names a metric among a package's properties


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


def package(item: Mapping[str, Any]) -> Package:
    """What DescribeModelPackage says."""
    container = _container(item)
    return Package(
        view=view(item),
        name=item.get("ModelPackageArn", ""),
        made=item["CreationTime"],
        why=item.get("ApprovalDescription", ""),
        image=container.get("Image", ""),
        archive=container.get("ModelDataUrl") or "",
        lineage=lineage(item),
    )


def view(item: Mapping[str, Any]) -> PackageView:
    """What people look at first; a package that names no recipe has no release."""
    known = item.get("CustomerMetadataProperties", {})
    recipe = known.get("recipe", "")
    return PackageView(
        version=item["ModelPackageVersion"],
        release=release_id(recipe, _container(item).get("Image", "")) if recipe else "",
        digest=known.get("package_digest", ""),
        approval=item["ModelApprovalStatus"],
        created=item["CreationTime"].isoformat(timespec="seconds"),
        metrics={name.removeprefix(_METRIC): value for name, value in known.items() if name.startswith(_METRIC)},
    )


def _container(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return (item.get("InferenceSpecification", {}).get("Containers") or [{}])[0]


def lineage(item: Mapping[str, Any]) -> dict[str, str]:
    """What a package was made of: recipe, digests, and whatever else its making wrote down."""
    known = item.get("CustomerMetadataProperties", {})
    return {name: value for name, value in sorted(known.items()) if not name.startswith(_METRIC)}
