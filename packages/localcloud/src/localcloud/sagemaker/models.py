"""What could be served: SageMaker models, each an image, an archive and an environment."""

from __future__ import annotations

import asyncio
from typing import Any

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.archive import Archives
from localcloud.sagemaker.errors import already_exists, invalid, not_found
from localcloud.sagemaker.images import Images, of_ecr, region_of
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request
from localcloud.server.platform import RoleRefused, Roles

MODEL = "model"
PRINCIPAL = "sagemaker.amazonaws.com"
"""Whom a role must trust."""


class Models:
    """SageMaker models.

    Differs from AWS: one container a model (no inference pipelines, no multi-model endpoints), archives only as one
    gzipped tar object; the role must let itself be assumed, but is not, since a variant is a process of this machine.

    Args:
        store: Keeps them.
        account: Whose they are.
        registry: Has the packages that they may name.
        archives: Finds their archives.
        images: Finds their images.
        roles: Knows their roles.
    """

    def __init__(
        self,
        store: Store,
        account: Account,
        registry: Registry,
        archives: Archives,
        *,
        images: Images,
        roles: Roles,
    ) -> None:
        self._store = store
        self._account = account
        self._registry = registry
        self._archives = archives
        self._images = images
        self._roles = roles

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateModel": self.create,
            "DescribeModel": self.describe,
            "ListModels": self.list,
            "DeleteModel": self.delete,
        }

    async def create(self, request: Request) -> Document:
        """Keep a model after checking that its role, its image and its archive are there and fit, as AWS does."""
        name = request["ModelName"]
        arn = self._account.arn(MODEL, name)
        if "PrimaryContainer" in request and "Containers" in request:
            raise invalid("Both PrimaryContainer and Containers are set; set one of them.")
        containers = request.get("Containers") or [request.get("PrimaryContainer")]
        if len(containers) > 1:
            raise invalid("The local SageMaker does not support Containers with more than one member.")
        resolved = self._resolve(containers[0] or {})
        self._require_role(request, arn)
        await self._require_image(resolved["Image"])
        if kind := await asyncio.to_thread(self._images.refused, resolved["Image"]):
            raise invalid(
                f"Unsupported manifest media type {kind} for image {resolved['Image']}. Ensure that valid manifest "
                "media type is used for specified image."
            )
        url = model_data_url(resolved)
        if url and not await asyncio.to_thread(self._archives.exists, url, self._account.region):
            raise invalid(
                f"Could not access model data at {url}. Please ensure that the role "
                f'"{request.get("ExecutionRoleArn")}" exists and that its trust relationship policy allows the action '
                f'"sts:AssumeRole" for the service principal "{PRINCIPAL}". Also ensure that the role has '
                f'"s3:GetObject" permissions and that the object is located in {self._account.region}.'
            )
        async with self._store.change() as change:
            if self._store.get(MODEL, name):
                raise already_exists("model", arn)
            change.put(
                MODEL,
                name,
                {**request, "ModelArn": arn, "CreationTime": self._account.now(), "Resolved": resolved},
            )
        return {"ModelArn": arn}

    async def describe(self, request: Request) -> Document:
        """A model as it was created."""
        model = self.get(request["ModelName"])
        shown = {name: value for name, value in model.items() if name not in {"Tags", "Resolved"}}
        if "PrimaryContainer" in shown:
            shown["PrimaryContainer"] = {"Mode": "SingleModel", **shown["PrimaryContainer"]}
        return {"EnableNetworkIsolation": False, **shown}

    async def list(self, request: Request) -> Document:
        """Models, the newest first unless asked otherwise."""
        return Listing("Models", "ModelName", _summary).page(self._store.all(MODEL), request)

    async def delete(self, request: Request) -> Document:
        """Forget a model; endpoints that serve it go on."""
        async with self._store.change() as change:
            change.delete(MODEL, self.get(request["ModelName"])["ModelName"])
        return {}

    def get(self, name: str) -> Document:
        """A model by name; its `Resolved` member is the container to run.

        Raises:
            ApiError: There is none.
        """
        model = self._store.get(MODEL, name)
        if model is None:
            raise not_found("model", self._account.arn(MODEL, name))
        return model

    def _require_role(self, request: Request, arn: str) -> None:
        role = request.get("ExecutionRoleArn")
        if role is None:
            return
        try:
            self._roles.require(role, principal=PRINCIPAL, source_arn=arn)
        except RoleRefused as error:
            raise invalid(
                f'The execution role ARN "{role}" is invalid. Please ensure that the role exists and that its trust '
                'relationship policy allows the action "sts:AssumeRole" for the service principal '
                f'"{PRINCIPAL}". ({error})'
            ) from error

    async def _require_image(self, uri: str) -> None:
        if not of_ecr(uri):
            raise invalid(f'Using non-ECR image "{uri}" without Vpc repository access mode is not supported.')
        if region_of(uri) != self._account.region:
            raise invalid(
                f'Region of "{uri}" does not match expected region of {self._account.region}. Cross region ECR image '
                "pulls are not allowed."
            )
        if not await self._images.knows(uri):
            raise invalid(
                f"Requested image {uri} not found. (The local ECR of {self._account.account} in "
                f"{self._account.region} does not have it, and localcloud.toml names no process that stands for it.)"
            )

    def _resolve(self, container: Document) -> Document:
        """The container to run: the one given, or the one of the package that it names."""
        package_name = container.get("ModelPackageName")
        if package_name is None:
            if "Image" not in container:
                raise invalid("Container must have either an Image or a ModelPackageName.")
            return container
        for member in ("Image", "ModelDataUrl", "ModelDataSource"):
            if member in container:
                raise invalid(f"Container has both a ModelPackageName and {member}; set one of them.")
        package = self._registry.package(package_name)
        if package["ModelApprovalStatus"] != "Approved":
            raise invalid(
                f"ModelPackage {package['ModelPackageArn']} cannot be deployed: its ModelApprovalStatus is "
                f"{package['ModelApprovalStatus']}, and Approved is needed."
            )
        inside: list[Any] = package.get("InferenceSpecification", {}).get("Containers", [])
        if len(inside) != 1 or "Image" not in inside[0]:
            raise invalid(
                f"ModelPackage {package['ModelPackageArn']} has {len(inside)} containers in its "
                "InferenceSpecification; the local SageMaker serves a package with one, which has an Image."
            )
        return {**inside[0], "Environment": {**inside[0].get("Environment", {}), **container.get("Environment", {})}}


def model_data_url(container: Document) -> str | None:
    """The archive's `s3://` address in a container definition, or None for an image that brings its own model."""
    source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
    return container.get("ModelDataUrl") or source


def _summary(model: Document) -> Document:
    return {member: model[member] for member in ("ModelName", "ModelArn", "CreationTime")}
