"""The provider behind `infra.aws.package`: trains, gates, seals and registers, or takes what is sealed already."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult
from pulumi.runtime import rpc

from infra.config.whole_numbers import whole
from infra.providers.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
PLACE = ("bucket", "group", "region")
FACTS = ("package_digest", "archive_uri", "manifest_sha256", "model_package_arn", "metrics")
SIGNED_BY = "signed_by"
Values = Mapping[str, Any]


class PackageProvider(ResourceProvider):
    """Makes the package of a recipe when there is none, and never deletes one while the stack stands."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another recipe or image is another package; other gates judge it anew; a refusal is never the last word.

        With another signing key it is signed again, and so is a package from before packages were signed. A candidate
        is where the package of its recipe may be had, and changes nothing about it.
        """
        elsewhere = [name for name in PLACE if _known(news.get(name)) and olds.get(name) != news.get(name)]
        asked = ("recipe", "image_uri", "gates", "source", "signing_key")
        wanted = [name for name in asked if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(elsewhere or wanted or olds.get("refused")), replaces=elsewhere)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make and register the package."""
        return CreateResult(props["group"], {**props, **outcome(props)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Make and register the package of another recipe; what was registered before stays."""
        return UpdateResult({**news, **outcome(news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look whether the registered package is still there.

        Raises:
            RuntimeError: The registry does not answer; the message is one line.
        """
        arn = props.get("model_package_arn")
        with _in_one_line():
            if arn and not _exists(_clients(props["region"])("sagemaker"), arn):
                return ReadResult(None, {})
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """When the stack goes: empty the group, which AWS does not delete otherwise, unless packages are retained."""
        if props["retain"]:
            return
        from platforms.aws import entities  # noqa: PLC0415  see outcome

        sagemaker = _clients(props["region"])("sagemaker")
        with _in_one_line():
            for arn in _packages(sagemaker, props["group"]):
                with _without_lineage(props["urn"]):
                    entities.forget(sagemaker, arn)
                sagemaker.delete_model_package(ModelPackageName=arn)


def outcome(props: Values) -> dict[str, Any]:
    """Make and register a package, or say why not.

    A refusal is an outcome and not an exception, so that Pulumi shows its reason without a traceback, and so that
    nothing that exists is forgotten. The program stops at it before it declares anything else.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  slow to load, and diff needs none

    from pipeline.archive import ArchiveError  # noqa: PLC0415
    from pipeline.build import BuildError, GateRefused, StepFailed  # noqa: PLC0415
    from pipeline.contract import ContractBroken, RecipeError  # noqa: PLC0415
    from pipeline.gate import GateError  # noqa: PLC0415
    from pipeline.origin import OriginError  # noqa: PLC0415
    from platforms.aws.objects import RegistryError  # noqa: PLC0415
    from provenance.envelope import SignatureError  # noqa: PLC0415
    from rollout.core.errors import RolloutError  # noqa: PLC0415

    candidate = props.get("candidate") or {}
    make = _copied if props.get("source") else _taken if candidate.get("recipe") == props["recipe"] else _built
    signed_by = None
    try:
        place = _place(props)
        signed_by = place["signer"].public_key.decode()  # told of a refused package too: what serves was signed with it
        facts = make(props, place)
    except (
        *(ArchiveError, BuildError, ContractBroken, GateError, GateRefused, OriginError, RecipeError, RegistryError),
        *(RolloutError, SignatureError, StepFailed),
        *(BotoCoreError, ClientError, OSError),
    ) as error:
        return {**dict.fromkeys(FACTS), SIGNED_BY: signed_by, "refused": _said(error)}
    with _without_lineage(props["urn"]):
        _write_lineage(props, place, facts)
    return {**facts, SIGNED_BY: signed_by, "refused": ""}


def _write_lineage(props: Values, place: Values, facts: Values) -> None:
    """What led to the version, in SageMaker's lineage: of whatever way it came to be registered."""
    from platforms.aws import package_entities, signatures  # noqa: PLC0415  see outcome

    archive, key = facts["archive_uri"], place["signer"].public_key
    proven = signatures.read(archive, key, place["clients"]("s3")).verify(facts["package_digest"], key)
    source = (props.get("source") or {}).get("model_package_arn", "")
    version = package_entities.Version(facts["model_package_arn"], archive, place["image"], source)
    package_entities.write(version, proven, place["clients"], place["group"])


@contextmanager
def _without_lineage(urn: str) -> Generator[None]:
    """Go on whatever is wrong with a lineage, and say so: nothing waits for it."""
    try:
        yield
    except Exception as error:
        Progress(urn)(f"SageMaker's lineage is not complete: {_said(error)}")


def _built(props: Values, place: Values) -> dict[str, Any]:
    from pipeline.build import build  # noqa: PLC0415  see outcome
    from pipeline.contract import RecipeError  # noqa: PLC0415
    from pipeline.recipe import recipe  # noqa: PLC0415
    from platforms.aws.registry import publish  # noqa: PLC0415

    progress = Progress(props["urn"])
    parameters = whole(props["parameters"])
    wanted = recipe(ROOT, parameters)
    if wanted.digest != props["recipe"]:
        raise RecipeError(f"the checkout in {ROOT} changed since this update began: run it again")
    sealed = build(ROOT, wanted, parameters, props["gates"], progress=progress)
    progress(f"registering {sealed.digest}")
    return _facts(publish(sealed, **place))


def _copied(props: Values, place: Values) -> dict[str, Any]:
    from platforms.aws.registry import copy  # noqa: PLC0415  see outcome

    source = props["source"]
    Progress(props["urn"])(f"taking {source['package_digest']}")
    theirs, taken = _clients(source["region"], source.get("role")), _record(source, source[SIGNED_BY].encode())
    return _facts(copy(taken, **place, source_clients=theirs, gates=props["gates"]))


def _taken(props: Values, place: Values) -> dict[str, Any]:
    """Take the candidate; one from before packages were signed is built again, to the same bytes, and signed.

    Of a restored one the checkout need not have the recipe: unsigned, it is refused.
    """
    from platforms.aws.objects import RegistryError  # noqa: PLC0415  see outcome
    from platforms.aws.registry import take  # noqa: PLC0415
    from platforms.aws.signatures import Unsigned  # noqa: PLC0415

    candidate, progress = props["candidate"], Progress(props["urn"])
    whose = "which served before" if candidate.get("restored") else "which a training job has registered"
    progress(f"taking {candidate['package_digest']}, {whose}")
    ours = _record(candidate, place["signer"].public_key)
    try:
        return _facts(take(ours, props["recipe"], **place, gates=props["gates"]))
    except RegistryError as error:
        if candidate.get("restored"):  # the checkout has another recipe
            asked = f"`modelstack restore --at {candidate['package_digest']}` tells what became of it"
            raise RegistryError(f"{error}. {asked}, and `restore --clear` lets checkout and config count") from None
        if not isinstance(error, Unsigned):
            raise
        progress(f"building it again: {error}")
        return _built(props, place)


def _place(props: Values) -> dict[str, Any]:
    """Where the package is registered, with which image, and who signs it."""
    from platforms.aws.kms_signer import KmsSigner  # noqa: PLC0415  see outcome

    clients = _clients(props["region"])
    signer = KmsSigner(clients, props["signing_key"])
    place = {"bucket": props["bucket"], "group": props["group"], "image": props["image_uri"]}
    return {**place, "clients": clients, "signer": signer}


def _record(package: Values, signed_by: bytes) -> Any:
    from platforms.aws.registry import ReleaseRecord  # noqa: PLC0415  see outcome

    return ReleaseRecord(
        package["archive_uri"], package["package_digest"], package.get("model_package_arn", ""), signed_by
    )


def _facts(registered: Any) -> dict[str, Any]:
    facts = {name: getattr(registered, name) for name in FACTS}
    return {**facts, "metrics": dict(registered.metrics)}


@contextmanager
def _in_one_line() -> Generator[None]:
    """Leave out what AWS's client went through before it failed: Pulumi prints an exception with all its causes."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see outcome

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise RuntimeError(_said(error)) from None


def _said(error: Exception) -> str:
    """What went wrong, and of a local cloud that is gone what to type: AWS's client names an address and no more."""
    from botocore.exceptions import ConnectionError as NoConnection  # noqa: PLC0415  see outcome
    from botocore.exceptions import HTTPClientError  # noqa: PLC0415

    cloud = os.environ.get("AWS_ENDPOINT_URL")
    if cloud and isinstance(error, (NoConnection, HTTPClientError)):
        return f"the local cloud at {cloud} does not answer. Start it, and go on from here, with: make up ({error})"
    return str(error)


def _clients(region: str, role: str | None = None) -> Any:
    import boto3  # noqa: PLC0415  see outcome

    from platforms.aws.clients import acting_as  # noqa: PLC0415

    return cache((acting_as(role, region) if role else boto3.Session(region_name=region)).client)


def _exists(sagemaker: Any, arn: str) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415  see outcome

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


def _known(value: Any) -> bool:
    return value != rpc.UNKNOWN
