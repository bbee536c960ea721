"""The provider of `modelstack.program.package` on AWS. Stacks have its name in their state, so it must not change."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

from modelstack.pipeline.project import cloud_commands, project_root
from modelstack.program.providers.packaging import PackagingProvider, Values, record
from modelstack.program.providers.progress import Progress


class PackageProvider(PackagingProvider):
    """Packages in a bucket, registered as versions of a model package group."""

    PLACE: ClassVar[tuple[str, ...]] = ("bucket", "group", "region")
    ASKED: ClassVar[tuple[str, ...]] = (*PackagingProvider.ASKED, "signing_key")
    VERSION: ClassVar[str] = "model_package_arn"

    def id_of(self, props: Values) -> str:
        """The group."""
        return props["group"]

    def registry(self, props: Values) -> Any:
        """Bucket and group, with the stack's key in KMS."""
        from modelstack.platforms.aws.package_registry import registry_of  # noqa: PLC0415  slow to load, and diff needs none

        return registry_of(props)

    def versions(self, props: Values) -> Any:
        """The versions of the group."""
        from modelstack.platforms.aws.package_registry import clients_of  # noqa: PLC0415  see registry
        from modelstack.platforms.aws.versions import GroupVersions  # noqa: PLC0415

        return GroupVersions(props["group"], clients_of(props["region"]))

    def _built(self, props: Values, registry: Any) -> Any:
        if not props.get("pipeline"):
            return super()._built(props, registry)
        from modelstack.program.providers import execution  # noqa: PLC0415  see registry
        from modelstack.services.package_registry import ReleaseRecord, take  # noqa: PLC0415
        from modelstack.services.sealed_packages import Unsigned  # noqa: PLC0415
        from modelstack.services.versions import of_recipe  # noqa: PLC0415

        wanted, progress, made = self.wanted(props), Progress(props["urn"]), registry.versions.clients
        there = of_recipe(registry.versions, wanted.digest)
        if there is not None:
            progress(f"taking {there.package_digest}, which is registered already")
            ours = ReleaseRecord(there.archive_uri, there.package_digest, there.name, registry.signer.public_key)
            try:
                return take(ours, wanted.digest, registry, props["gates"])
            except Unsigned as error:
                progress(f"building it again: {error}")
        found = execution.made(
            lambda instead: execution.asked(props, project_root(), wanted, made, instead=instead), made, progress
        )
        return take(record(found, registry.signer.public_key), wanted.digest, registry, props["gates"])

    def said(self, error: Exception) -> str:
        """The error for a person; for an unreachable local cloud with the command to start it."""
        return _said(error)

    def registered(self, props: Values, registry: Any, facts: Values) -> None:
        """Write the version's origin into SageMaker's lineage."""
        from modelstack.platforms.aws.lineage import write  # noqa: PLC0415  see registry
        from modelstack.records.lineage.facts import LineageVersion, Stack  # noqa: PLC0415
        from modelstack.records.lineage.package import lineage  # noqa: PLC0415
        from modelstack.rollout.core.release import release_id  # noqa: PLC0415

        with _without_lineage(props["urn"]):
            uri, digest, key = facts["archive_uri"], facts["package_digest"], registry.signer.public_key
            proven = registry.store.evidence(uri, key).verify(digest, key)
            recipe, image = proven.recipe.digest, registry.image
            source = {"promoted_from": (props.get("source") or {}).get("model_package_arn", "")}
            version = LineageVersion(
                facts[self.VERSION], "", release_id(recipe, image), digest, recipe, image, uri, more=source
            )
            prefix = registry.versions.group
            graph = lineage(digest, proven, [Stack(prefix, prefix, (version,))])
            write(graph, registry.versions.clients, prefix)

    def delete_all(self, props: Values) -> None:
        """Empty the group: AWS deletes no group that has versions."""
        from modelstack.platforms.aws import entities  # noqa: PLC0415  see registry
        from modelstack.platforms.aws.package_registry import clients_of  # noqa: PLC0415

        sagemaker = clients_of(props["region"])("sagemaker")
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=props["group"])
        for arn in [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]:
            with _without_lineage(props["urn"]):
                entities.forget(sagemaker, arn)
            sagemaker.delete_model_package(ModelPackageName=arn)


@contextmanager
def _without_lineage(urn: str) -> Generator[None]:
    try:
        yield
    except Exception as error:
        Progress(urn)(f"SageMaker's lineage is not complete: {_said(error)}")


def _said(error: Exception) -> str:
    from botocore.exceptions import ConnectionError as NoConnection  # noqa: PLC0415  see registry
    from botocore.exceptions import HTTPClientError  # noqa: PLC0415

    cloud = os.environ.get("AWS_ENDPOINT_URL")
    if cloud and isinstance(error, (NoConnection, HTTPClientError)):
        start = cloud_commands()[0]
        return f"the local cloud at {cloud} does not answer. Start it, and go on from here, with: {start} ({error})"
    return str(error)
