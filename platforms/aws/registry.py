"""Put a sealed package where a stack finds it, and get it back, believing nothing but digests and signatures.

    clients = cache(boto3.Session().client)
    here = {"bucket": "...", "group": "...", "image": "<uri>", "clients": clients, "signer": KmsSigner(clients, arn)}
    registered = publish(sealed, **here)
    same = copy(champion, **here)                       # promotion: same bytes

A package lies at `s3://<bucket>/packages/<digest>/model.tar.gz`, with its manifest and the other JSON files of its top
beside it, so that `platforms.aws.packages` reads one without the archive, and with what is said of it and signed, see
`platforms.aws.signatures`. It is registered as a version of the group, with its model card, waiting for approval. Every
call may be repeated, and goes on where an interrupted one ended: an object that is there is read back and compared, a
version with the digest is used as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline import archive
from pipeline.gate import Gates, gate
from pipeline.origin import facts_of
from pipeline.pack import Registered, SealedPackage, describe
from platforms.aws import signatures
from platforms.aws.identity import REGISTERED_BY, TRAINED_BY, as_metadata, caller
from platforms.aws.objects import RegistryError, fetch, upload
from platforms.aws.packages import METRICS, REFERENCE, beside, folder_of
from provenance.envelope import Signer
from provenance.evidence import SAGEMAKER_CARD, Evidence, sign

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients

CONTENT_TYPE = "application/json"
MANIFEST_VARIABLE = "MODELSTACK_MANIFEST_SHA256"


@dataclass(frozen=True)
class ReleaseRecord:
    """What another stack says of its champion, or a training job of its candidate: enough to take the same bytes.

    Attributes:
        archive_uri: Where its archive lies.
        package_digest: `sha256:<hex>` the archive must have.
        model_package_arn: The version it is registered as there; of a champion, kept as where this package came from;
            empty of one of this stack, where only the bytes count.
        signed_by: The public key that is trusted to have signed it, PEM.
    """

    archive_uri: str
    package_digest: str
    model_package_arn: str
    signed_by: bytes


def publish(
    sealed: SealedPackage,
    *,
    bucket: str,
    group: str,
    image: str,
    clients: Clients,
    signer: Signer,
    lineage: Mapping[str, str] | None = None,
) -> Registered:
    """Upload, sign and register a sealed package, waiting for approval.

    Args:
        sealed: The package; its archive is checked again before it is sent.
        bucket: Artifact bucket.
        group: Model package group.
        image: URI of the serving image.
        clients: Where to.
        signer: The stack's. A package that it has signed before is not signed again: what was said then is kept.
        lineage: Where it comes from besides its recipe, kept with the version.

    Raises:
        RegistryError: An object is there under the package's name with other bytes.
        ArchiveError: The archive was changed after it was sealed.
        OriginError: Where the package came from is not known.
        SignatureError: What lies there as signed is not what the stack has signed.
    """
    checked, place = describe(sealed.path, sealed.digest), _Place(bucket, group, image, clients, signer)
    return _register(checked, place, lambda: sign(facts_of(checked), signer), lineage)


def copy(
    source: ReleaseRecord,
    *,
    bucket: str,
    group: str,
    image: str,
    clients: Clients,
    signer: Signer,
    source_clients: Clients | None = None,
    gates: Gates | None = None,
) -> Registered:
    """Promote: register the same bytes, by digest, in another stack.

    Args:
        source: The champion of the stack to take from.
        bucket: Artifact bucket of this stack.
        group: Model package group of this stack.
        image: URI of the serving image.
        clients: This stack's account and region.
        signer: This stack's. It signs what the source has signed, and the source's signatures stay beside its own.
        source_clients: The source's, if it is another.
        gates: What the package must show in this stack.

    Raises:
        Unsigned: The source has not signed it. Nothing was registered.
        SignatureError: It is not what the source has signed. Nothing was registered.
        RegistryError: The source's bytes are missing or have another digest. Nothing was registered.
        GateError: A gate is not understood. Nothing was registered.
        GateRefused: At least one bound is not kept. Nothing was registered.
    """
    theirs = source_clients or clients
    with _fetched(source, theirs("s3")) as (sealed, said):
        gate(sealed.metrics, gates or {})
        place = _Place(bucket, group, image, clients, signer)
        made = theirs("sagemaker").describe_model_package(ModelPackageName=source.model_package_arn)
        known = made.get("CustomerMetadataProperties", {})
        by = known.get(TRAINED_BY) or known.get(REGISTERED_BY)
        signatures.keep(said, sealed.digest, source.signed_by, bucket, clients("s3"))
        lineage = {"promoted_from": source.model_package_arn, **({TRAINED_BY: by} if by else {})}
        return _register(sealed, place, lambda: said.signed_again(source.signed_by, signer), lineage)


def take(
    candidate: ReleaseRecord,
    recipe: str,
    *,
    bucket: str,
    group: str,
    image: str,
    clients: Clients,
    signer: Signer,
    gates: Gates | None = None,
) -> Registered:
    """Take a package that lies in this registry already, as a training job left it: nothing is trained or copied.

    Registered as it is, it keeps its version and its approval; only another image makes another version of it.

    Args:
        candidate: The package.
        recipe: The digest of the recipe that is wanted.
        bucket: Artifact bucket of this stack.
        group: Model package group of this stack.
        image: URI of the serving image.
        clients: This stack's account and region.
        signer: This stack's, who has signed it.
        gates: What it must show; judged anew, since gates may have changed.

    Raises:
        Unsigned: It is not signed.
        SignatureError: It is not what was signed.
        RegistryError: Its bytes are missing, have another digest or are of another recipe.
        GateError: A gate is not understood.
        GateRefused: At least one bound is not kept.
    """
    with _fetched(candidate, clients("s3")) as (sealed, ours):
        if sealed.recipe != recipe:
            raise RegistryError(f"{candidate.archive_uri} is of recipe {sealed.recipe}, expected {recipe}")
        gate(sealed.metrics, gates or {})
        return _register(sealed, _Place(bucket, group, image, clients, signer), lambda: ours)


def check(package: ReleaseRecord, clients: Clients) -> None:
    """See that a package which lies in a registry is what was signed there; nothing changes.

    Raises:
        Unsigned: It is not signed.
        SignatureError: It is not what was signed.
        RegistryError: Its bytes are missing or have another digest.
    """
    with _fetched(package, clients("s3")):
        pass


@contextmanager
def _fetched(source: ReleaseRecord, s3: Any) -> Generator[tuple[SealedPackage, Evidence]]:
    """The package of a record and what is said of it, while they are looked at.

    The archive is parsed last: after the signatures were verified, and after its bytes have the digest that was signed.
    """
    evidence = signatures.read(source.archive_uri, source.signed_by, s3)
    evidence.verify(source.package_digest, source.signed_by)
    with TemporaryDirectory(prefix="modelstack-") as folder:
        path = Path(folder) / "model.tar.gz"
        fetch(source.archive_uri, source.package_digest, path, s3)
        yield describe(path, source.package_digest), evidence


@dataclass(frozen=True)
class _Place:
    """Where a package is registered, with which image, and who signs it."""

    bucket: str
    group: str
    image: str
    clients: Clients
    signer: Signer


def _register(
    sealed: SealedPackage, place: _Place, make: Callable[[], Evidence], extra: Mapping[str, str] | None = None
) -> Registered:
    s3, key = place.clients("s3"), place.signer.public_key
    said = signatures.keep_once(make, sealed.digest, key, place.bucket, s3)
    registered = Registered(
        model_package_arn="",
        archive_uri=store(sealed.path, sealed.digest, place.bucket, s3),
        package_digest=sealed.digest,
        manifest_sha256=sealed.manifest_sha256,
        recipe=sealed.recipe,
        image_uri=place.image,
        metrics=sealed.metrics,
    )
    arn = find(place.group, sealed.digest, place.image, place.clients)
    return replace(registered, model_package_arn=arn or _create(registered, place, said, extra or {}))


def store(path: Path, digest: str, bucket: str, s3: Any) -> str:
    """Upload an archive under its digest, and the JSON files of its top beside it; returns the archive's URI.

    Raises:
        RegistryError: An object is there under one of these names with other bytes.
    """
    folder = folder_of(digest)
    for name, content in archive.documents(path).items():
        upload(s3, bucket, f"{folder}/{name}", content, CONTENT_TYPE)
    # The archive is sent last: where it is, everything beside it is too.
    return upload(s3, bucket, f"{folder}/model.tar.gz", path, "application/gzip")


def find(group: str, package_digest: str, image: str, clients: Clients) -> str | None:
    """Return the ARN of the newest version of a group with this digest and image, or None."""
    for summary in _versions(group, clients):
        if package_digest not in summary.get("ModelPackageDescription", package_digest):
            continue
        arn: str = summary["ModelPackageArn"]
        package = clients("sagemaker").describe_model_package(ModelPackageName=arn)
        containers = package.get("InferenceSpecification", {}).get("Containers", [{}])
        named = package.get("CustomerMetadataProperties", {}).get("package_digest")
        if named == package_digest and containers[0].get("Image") == image:
            return arn
    return None


def _versions(group: str, clients: Clients) -> Iterator[dict[str, Any]]:
    request = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
    while True:
        page = clients("sagemaker").list_model_packages(**request)
        yield from page["ModelPackageSummaryList"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def _card(said: Evidence) -> dict[str, Any]:
    """The model card of a version, as it was signed; none where another version of modelstack has made none."""
    content = said.documents.get(SAGEMAKER_CARD)
    return {"ModelCard": {"ModelCardContent": content.decode(), "ModelCardStatus": "Draft"}} if content else {}


def _create(package: Registered, place: _Place, said: Evidence, extra: Mapping[str, str]) -> str:
    # The token makes a call that is repeated after a lost answer the same call (at most 36 characters).
    token = hashlib.sha256(f"{place.group} {package.package_digest} {package.image_uri}".encode()).hexdigest()[:36]
    answer = place.clients("sagemaker").create_model_package(
        ModelPackageGroupName=place.group,
        ModelPackageDescription=f"recipe {package.recipe[:12]}, archive {package.package_digest}",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": package.image_uri,
                    "ModelDataUrl": package.archive_uri,
                    "Environment": {MANIFEST_VARIABLE: package.manifest_sha256},
                }
            ],
            "SupportedContentTypes": [CONTENT_TYPE],
            "SupportedResponseMIMETypes": [CONTENT_TYPE],
        },
        ModelMetrics={
            measure: {"Statistics": {"ContentType": CONTENT_TYPE, "S3Uri": beside(package.archive_uri, name)}}
            for measure, name in (("ModelQuality", METRICS), ("ModelDataQuality", REFERENCE))
        },
        **_card(said),
        CustomerMetadataProperties={
            "recipe": package.recipe,
            "package_digest": package.package_digest,
            "manifest_sha256": package.manifest_sha256,
            REGISTERED_BY: as_metadata(caller(place.clients)),
            **{f"metric.{name}": f"{value:.6g}" for name, value in sorted(package.metrics.items())},
            **extra,
        },
        ClientToken=token,
    )
    return answer["ModelPackageArn"]
