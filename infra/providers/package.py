"""The provider behind `infra.package` on AWS. Stacks have its name in their state, so it keeps it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pulumi.dynamic import ReadResult

from infra.providers.packaging import ROOT, PackagingProvider, Values, clients, record
from infra.providers.progress import Progress


class PackageProvider(PackagingProvider):
    """Packages in a bucket, registered as versions of a model package group."""

    PLACE: ClassVar[tuple[str, ...]] = ("bucket", "group", "region")
    ASKED: ClassVar[tuple[str, ...]] = (*PackagingProvider.ASKED, "signing_key")
    VERSION: ClassVar[str] = "model_package_arn"

    def id_of(self, props: Values) -> str:
        """The group."""
        return props["group"]

    def place(self, props: Values) -> Any:
        """Bucket and group, with the stack's key in KMS."""
        from platforms.places import on_aws  # noqa: PLC0415  slow to load, and diff needs none

        return on_aws(props, clients(props["region"]))

    def _built(self, props: Values, place: Any) -> Any:
        """Build here or, on a stack with a pipeline of SageMaker, have an execution do it and take what it registered.

        What an earlier execution has registered is taken too, and nothing is begun.
        """
        if not props.get("pipeline"):
            return super()._built(props, place)
        from infra.providers import execution  # noqa: PLC0415  see place
        from platforms.registering import take  # noqa: PLC0415
        from platforms.sealed_packages import Unsigned  # noqa: PLC0415

        wanted, progress, made = self.wanted(props), Progress(props["urn"]), clients(props["region"])
        there = place.catalogue.of_recipe(wanted.digest)
        if there is not None:
            progress(f"taking {there['package_digest']}, which is registered already")
            try:
                return take(record(there, place.signer.public_key), wanted.digest, place, props["gates"])
            except Unsigned as error:
                progress(f"building it again: {error}")
        found = execution.made(
            lambda instead: execution.asked(props, ROOT, wanted, made, instead=instead), made, progress
        )
        return take(record(found, place.signer.public_key), wanted.digest, place, props["gates"])

    def refusals(self) -> tuple[type[Exception], ...]:
        """What AWS's client raises."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see place

        return BotoCoreError, ClientError

    def said(self, error: Exception) -> str:
        """What went wrong; of a local cloud that is gone what to type, since AWS's client names but an address."""
        return _said(error)

    def registered(self, props: Values, place: Any, facts: Values) -> None:
        """Write what led to the version into SageMaker's lineage, of whatever way it came to be registered."""
        from platforms.aws import package_entities  # noqa: PLC0415  see place

        with _without_lineage(props["urn"]):
            uri, key = facts["archive_uri"], place.signer.public_key
            proven = place.store.said(uri, key).verify(facts["package_digest"], key)
            source = (props.get("source") or {}).get("model_package_arn", "")
            version = package_entities.Version(facts[self.VERSION], uri, place.image, source)
            package_entities.write(version, proven, place.catalogue.clients, place.catalogue.group)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look whether the registered package is still there.

        Raises:
            RuntimeError: The registry does not answer; the message is one line.
        """
        arn = props.get("model_package_arn")
        with _in_one_line():
            if arn and not _exists(clients(props["region"])("sagemaker"), arn):
                return ReadResult(None, {})
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """When the stack goes: empty the group, which AWS does not delete otherwise, unless packages are retained."""
        if props["retain"]:
            return
        from platforms.aws import entities  # noqa: PLC0415  see place

        sagemaker = clients(props["region"])("sagemaker")
        with _in_one_line():
            for arn in _packages(sagemaker, props["group"]):
                with _without_lineage(props["urn"]):
                    entities.forget(sagemaker, arn)
                sagemaker.delete_model_package(ModelPackageName=arn)


@contextmanager
def _without_lineage(urn: str) -> Generator[None]:
    """Go on whatever is wrong with a lineage, and say so: nothing waits for it."""
    try:
        yield
    except Exception as error:
        Progress(urn)(f"SageMaker's lineage is not complete: {_said(error)}")


@contextmanager
def _in_one_line() -> Generator[None]:
    """Leave out what AWS's client went through before it failed: Pulumi prints an exception with all its causes."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see place

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise RuntimeError(_said(error)) from None


def _said(error: Exception) -> str:
    from botocore.exceptions import ConnectionError as NoConnection  # noqa: PLC0415  see place
    from botocore.exceptions import HTTPClientError  # noqa: PLC0415

    cloud = os.environ.get("AWS_ENDPOINT_URL")
    if cloud and isinstance(error, (NoConnection, HTTPClientError)):
        return f"the local cloud at {cloud} does not answer. Start it, and go on from here, with: make up ({error})"
    return str(error)


def _exists(sagemaker: Any, arn: str) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415  see place

    try:
        sagemaker.describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"ValidationException", "ResourceNotFound"}:
            return False
        raise
    return True


def _packages(sagemaker: Any, group: str) -> Iterator[str]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    yield from [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]
