"""What is in the model registry: package groups with their policies, and versioned packages."""

from __future__ import annotations

import json
from typing import Any, Protocol

from localcloud.sagemaker import cards
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import conflict, invalid
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.store import Document, Store, Transaction
from localcloud.sagemaker.wire import Operation, Request

GROUP = "model-package-group"
PACKAGE = "model-package"

# Kept in the document for our own use; never shown.
_INTERNAL = {"Tags", "LastVersion", "ClientToken", "Policy"}


class Lineage(Protocol):
    """Who is told of packages, in the transaction that writes them."""

    def package(self, change: Transaction, package: Document, group: Document) -> None:
        """A package is registered in a group."""
        ...

    def approval(self, change: Transaction, package: Document) -> None:
        """A package has another approval status."""
        ...


class Registry:
    """Model package groups and model packages.

    Differs from AWS: packages outside a group (for the Marketplace) and validation by transform jobs are refused, a
    package is `Completed` at once, and `CreatedBy` is empty because callers are not told apart here.
    """

    def __init__(self, store: Store, account: Account, lineage: Lineage) -> None:
        self._store = store
        self._account = account
        self._lineage = lineage

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": self.describe_group,
            "ListModelPackageGroups": self.list_groups,
            "DeleteModelPackageGroup": self.delete_group,
            "PutModelPackageGroupPolicy": self.put_policy,
            "GetModelPackageGroupPolicy": self.get_policy,
            "DeleteModelPackageGroupPolicy": self.delete_policy,
            "CreateModelPackage": self.create_package,
            "DescribeModelPackage": self.describe_package,
            "ListModelPackages": self.list_packages,
            "UpdateModelPackage": self.update_package,
            "DeleteModelPackage": self.delete_package,
        }

    async def create_group(self, request: Request) -> Document:
        """Make an empty group."""
        name = request["ModelPackageGroupName"]
        arn = self._account.arn(GROUP, name)
        async with self._store.change() as change:
            if self._store.get(GROUP, name):
                raise invalid(f"Model Package Group already exists: {arn}")
            change.put(
                GROUP,
                name,
                {
                    **request,
                    "ModelPackageGroupArn": arn,
                    "CreationTime": self._account.now(),
                    "ModelPackageGroupStatus": "Completed",
                    "LastVersion": 0,
                },
            )
        return {"ModelPackageGroupArn": arn}

    async def describe_group(self, request: Request) -> Document:
        """Everything about a group."""
        return {**_shown(self._group(request["ModelPackageGroupName"])), "CreatedBy": {}}

    async def list_groups(self, request: Request) -> Document:
        """Groups, by creation time ascending unless asked otherwise."""
        listing = Listing("ModelPackageGroupSummaryList", "ModelPackageGroupName", _shown, ascending=True)
        return listing.page(self._store.all(GROUP), request)

    async def delete_group(self, request: Request) -> Document:
        """Forget an empty group; one with packages is a conflict."""
        async with self._store.change() as change:
            group = self._group(request["ModelPackageGroupName"])
            if self._packages(group["ModelPackageGroupName"]):
                raise conflict(
                    f"Model Package Group {group['ModelPackageGroupArn']} cannot be deleted "
                    "because it still contains Model Packages."
                )
            change.delete(GROUP, group["ModelPackageGroupName"])
        return {}

    async def put_policy(self, request: Request) -> Document:
        """Say what other accounts may do with a group and its packages."""
        policy = request["ResourcePolicy"]
        _require_policy(policy)
        async with self._store.change() as change:
            group = self._group(request["ModelPackageGroupName"])
            change.put(GROUP, group["ModelPackageGroupName"], {**group, "Policy": policy})
        return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}

    async def get_policy(self, request: Request) -> Document:
        """The policy of a group."""
        return {"ResourcePolicy": self._with_policy(request["ModelPackageGroupName"])["Policy"]}

    async def delete_policy(self, request: Request) -> Document:
        """Close a group to other accounts."""
        async with self._store.change() as change:
            group = self._with_policy(request["ModelPackageGroupName"])
            name = group["ModelPackageGroupName"]
            change.put(GROUP, name, {member: value for member, value in group.items() if member != "Policy"})
        return {}

    def policy_of(self, resource_arn: str) -> str:
        """The policy of a group or of a package's group, by ARN; empty if there is none."""
        kind, _, name = resource_arn.rpartition(":")[2].partition("/")
        group = self._store.get(GROUP, name.partition("/")[0]) if kind in {GROUP, PACKAGE} else None
        return group.get("Policy", "") if group else ""

    async def create_package(self, request: Request) -> Document:
        """Add the next version to a group. The same ClientToken again answers the same package."""
        if "ModelPackageGroupName" not in request:
            raise invalid("ModelPackageGroupName is missing: the local SageMaker has only versioned model packages.")
        cards.check(request.get("ModelCard", {}))
        async with self._store.change() as change:
            group = self._group(request["ModelPackageGroupName"])
            token = request.get("ClientToken")
            for package in self._packages(group["ModelPackageGroupName"]):
                if token and package.get("ClientToken") == token:
                    return {"ModelPackageArn": package["ModelPackageArn"]}
            return {"ModelPackageArn": self._add_version(change, group, request)}

    def _add_version(self, change: Transaction, group: Document, request: Request) -> str:
        # The counter never goes back: a deleted version's number is not given out again.
        version = group["LastVersion"] = group["LastVersion"] + 1
        name = f"{group['ModelPackageGroupName']}/{version}"
        arn = self._account.arn(PACKAGE, name)
        change.put(GROUP, group["ModelPackageGroupName"], group)
        package = {
            "ModelApprovalStatus": "PendingManualApproval",
            **request,
            "ModelPackageGroupName": group["ModelPackageGroupName"],
            "ModelPackageVersion": version,
            "ModelPackageArn": arn,
            "CreationTime": self._account.now(),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": False,
        }
        change.put(PACKAGE, name, package)
        self._lineage.package(change, package, group)
        return arn

    async def describe_package(self, request: Request) -> Document:
        """Everything about a package, by ARN or as `group/version`."""
        return {**_shown(self.package(request["ModelPackageName"])), "CreatedBy": {}}

    async def list_packages(self, request: Request) -> Document:
        """Packages of a group (or of all), by creation time ascending unless asked otherwise."""
        if request.get("ModelPackageType", "Versioned") == "Unversioned":
            return {"ModelPackageSummaryList": []}
        packages = self._store.all(PACKAGE)
        if "ModelPackageGroupName" in request:
            group = self._group(request["ModelPackageGroupName"])
            packages = self._packages(group["ModelPackageGroupName"])
        listing = Listing(
            "ModelPackageSummaryList",
            "ModelPackageArn",
            _summary,
            ascending=True,
            sort_members={"CreationTime": "CreationTime", "Name": "ModelPackageGroupName"},
            equals={"ModelApprovalStatus": "ModelApprovalStatus"},
        )
        return listing.page(packages, request)

    async def update_package(self, request: Request) -> Document:
        """Change a package's approval, description of it, metadata, model card or specification."""
        async with self._store.change() as change:
            package = self.package(request["ModelPackageArn"])
            status = package["ModelApprovalStatus"]
            for member in ("ModelApprovalStatus", "ApprovalDescription", "SourceUri", "InferenceSpecification"):
                if member in request:
                    package[member] = request[member]
            if "ModelCard" in request:
                package["ModelCard"] = cards.changed(package.get("ModelCard", {}), request["ModelCard"])
            metadata: dict[str, Any] = package.get("CustomerMetadataProperties", {})
            metadata.update(request.get("CustomerMetadataProperties", {}))
            for key in request.get("CustomerMetadataPropertiesToRemove", ()):
                metadata.pop(key, None)
            package.pop("CustomerMetadataProperties", None)
            if metadata:
                package["CustomerMetadataProperties"] = metadata
            package["LastModifiedTime"] = self._account.now()
            package["LastModifiedBy"] = {}
            change.put(PACKAGE, self._account.name(PACKAGE, package["ModelPackageArn"]), package)
            if package["ModelApprovalStatus"] != status:
                self._lineage.approval(change, package)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    async def delete_package(self, request: Request) -> Document:
        """Forget a package."""
        async with self._store.change() as change:
            package = self.package(request["ModelPackageName"])
            change.delete(PACKAGE, self._account.name(PACKAGE, package["ModelPackageArn"]))
        return {}

    def package(self, name_or_arn: str) -> Document:
        """A package by ARN or `group/version`.

        Raises:
            ApiError: There is none.
        """
        name = self._account.name(PACKAGE, name_or_arn)
        package = self._store.get(PACKAGE, name)
        if package is None:
            raise invalid(f"ModelPackage {self._account.arn(PACKAGE, name)} does not exist.")
        return package

    def _group(self, name_or_arn: str) -> Document:
        name = self._account.name(GROUP, name_or_arn)
        group = self._store.get(GROUP, name)
        if group is None:
            raise invalid(f"ModelPackageGroup {self._account.arn(GROUP, name)} does not exist.")
        return group

    def _with_policy(self, name_or_arn: str) -> Document:
        group = self._group(name_or_arn)
        if "Policy" not in group:
            raise invalid(f"Cannot find resource policy for: {group['ModelPackageGroupArn']}")
        return group

    def _packages(self, group: str) -> list[Document]:
        return [package for package in self._store.all(PACKAGE) if package["ModelPackageGroupName"] == group]


def _require_policy(text: str) -> None:
    try:
        document = json.loads(text)
        statements = document["Statement"]
        found = [statements] if isinstance(statements, dict) else list(statements)
        bad = not found or any({"Effect", "Principal", "Action", "Resource"} - statement.keys() for statement in found)
    except (ValueError, KeyError, TypeError, AttributeError):
        bad = True
    if bad:
        raise invalid(
            "ResourcePolicy is no policy: expected a JSON object with a Statement, and in each statement Effect, "
            "Principal, Action and Resource."
        )


def _shown(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in _INTERNAL}


def _summary(package: Document) -> Document:
    members = (
        "ModelPackageGroupName",
        "ModelPackageVersion",
        "ModelPackageArn",
        "ModelPackageDescription",
        "CreationTime",
        "ModelPackageStatus",
        "ModelApprovalStatus",
    )
    return {member: package[member] for member in members if member in package}
