"""Stacks that register packages: of the toy, on AWS, and on Kubernetes with a registry of images or a bucket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

import pytest

from modelstack.pipeline.pack import Registered
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.oci import OciRepository
from modelstack.platforms.kubernetes.package_store import ClusterPackageStore
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.platforms.s3 import package_store
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.package_registry import Origin, PackageRegistry, ReleaseRecord
from modelstack.services.package_store import BlobPackageStore
from tests.cli.registered import ClusterApi
from tests.platforms.aws.either import EITHER, IMAGE, new_registry

KINDS = ["toy", *EITHER, "bucket", pytest.param("registry", marks=pytest.mark.needs("registry"))]
OTHER_IMAGE = IMAGE.replace("process", "other")
ENDPOINT = "flight-delay-prod"


@dataclass(frozen=True)
class Stack:
    """A stack's registry, a function that decides about a version, and the functions that write bytes."""

    here: PackageRegistry
    decide: Callable[[str, str], None]
    writes: tuple[tuple[object, str], ...]

    @property
    def origin(self) -> Origin:
        return Origin(self.here.store, self.here.versions)

    def with_image(self, image: str) -> PackageRegistry:
        """The registry, for packages in another image."""
        versions = self.here.versions
        if isinstance(versions, ModelPackages):
            versions = replace(versions, name=f"{ENDPOINT}-{image[-8:]}")
        return replace(self.here, image=image, versions=versions)

    def record(self, package: Registered) -> ReleaseRecord:
        """What the stack says of a package."""
        key = self.here.signer.public_key
        return ReleaseRecord(package.archive_uri, package.package_digest, package.model_package_arn, key)

    def names(self) -> list[str]:
        """The names of all versions."""
        return [one.name for one in self.here.versions.list()]


def stack_of(kind: str, clients: Callable[[], Clients], host: Callable[[], str], toy: Callable[[], Any]) -> Stack:
    """A new stack of one of `KINDS`; the functions give an AWS, the HOST:PORT of an image registry, and the toy."""
    if kind == "toy":
        made, file = toy()
        store = BlobPackageStore(made.ToyBlobs(file), f"toy://{file.path.stem}")
        held = made.ToyVersions(made.ToyDocuments(file))
        return Stack(
            PackageRegistry(store, held, IMAGE, KeyPair.new()),
            lambda version, verdict: held.set_approval(version, cast(Any, verdict), "why"),
            ((type(store), "put"), (type(store), "put_evidence")),
        )
    if kind in {"moto", "local cloud"}:
        made = new_registry(clients())
        return Stack(made, in_sagemaker(clients()), ((package_store, "upload"),))
    api, name = ClusterApi(), uuid4().hex[:12]
    bucket, registry = None, "registry.example/models"
    if kind == "bucket":
        s3 = clients()("s3")
        s3.create_bucket(Bucket=name)
        bucket = {"name": name, "endpoint": s3.meta.endpoint_url, "region": "us-east-1"}
    else:
        registry = f"{host()}/{name}"
    versions = ModelPackages(cast(Api, api), ENDPOINT, f"{ENDPOINT}-{IMAGE[-8:]}")
    here = PackageRegistry(ClusterPackageStore(registry, bucket), versions, IMAGE, KeyPair.new())
    writes = ((package_store, "upload"),) if bucket else ((OciRepository, "put"), (OciRepository, "put_manifest"))
    return Stack(here, lambda version, verdict: versions.set_approval(version, cast(Any, verdict), "why"), writes)


def in_sagemaker(clients: Clients) -> Callable[[str, str], None]:
    """A decision in SageMaker. AWS merges metadata on an update; moto takes what is not given as none."""

    def decide(version: str, verdict: str) -> None:
        sagemaker = clients("sagemaker")
        known = sagemaker.describe_model_package(ModelPackageName=version)["CustomerMetadataProperties"]
        sagemaker.update_model_package(
            ModelPackageArn=version, ModelApprovalStatus=verdict, CustomerMetadataProperties=known
        )

    return decide
