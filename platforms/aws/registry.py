"""Put a sealed package where a stack finds it, and get it back, believing nothing but digests.

    clients = cache(boto3.Session().client)
    registered = publish(sealed, bucket="...", group="...", image="<uri>", clients=clients)
    same = copy(champion, bucket="other", group="other", image="<uri>", clients=clients)   # promotion: same bytes

A package lies at `s3://<bucket>/packages/<digest>/model.tar.gz`, with its manifest and the other JSON files of its top
beside it, so that `platforms.aws.packages` reads one without the archive. It is registered as a version of the group,
waiting for approval. Every call may be repeated, and goes on where an
interrupted one ended: an object that is there is read back and compared, a version with the digest is used as it is.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline import archive
from pipeline.gate import Gates, gate
from pipeline.pack import Registered, SealedPackage, describe
from platforms.aws.identity import REGISTERED_BY, TRAINED_BY, as_metadata, caller
from platforms.aws.packages import METRICS, PACKAGES, REFERENCE, beside

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients

CONTENT_TYPE = "application/json"
MANIFEST_VARIABLE = "MODELSTACK_MANIFEST_SHA256"


class RegistryError(Exception):
    """Bytes in the registry are not what their name says, or a package cannot be found; nothing was registered."""


@dataclass(frozen=True)
class ReleaseRecord:
    """What another stack says of its champion, or a training job of its candidate: enough to take the same bytes.

    Attributes:
        archive_uri: Where its archive lies.
        package_digest: `sha256:<hex>` the archive must have.
        model_package_arn: The version it is registered as there; of a champion, kept as where this package came from.
    """

    archive_uri: str
    package_digest: str
    model_package_arn: str


def publish(
    sealed: SealedPackage,
    *,
    bucket: str,
    group: str,
    image: str,
    clients: Clients,
    lineage: Mapping[str, str] | None = None,
) -> Registered:
    """Upload and register a sealed package, waiting for approval.

    Args:
        sealed: The package; its archive is checked again before it is sent.
        bucket: Artifact bucket.
        group: Model package group.
        image: URI of the serving image.
        clients: Where to.
        lineage: Where it comes from besides its recipe, kept with the version.

    Raises:
        RegistryError: An object is there under the package's name with other bytes.
        ArchiveError: The archive was changed after it was sealed.
    """
    return _register(describe(sealed.path, sealed.digest), _Place(bucket, group, image, clients), lineage)


def copy(
    source: ReleaseRecord,
    *,
    bucket: str,
    group: str,
    image: str,
    clients: Clients,
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
        source_clients: The source's, if it is another.
        gates: What the package must show in this stack.

    Raises:
        RegistryError: The source's bytes are missing or have another digest. Nothing was registered.
        GateError: A gate is not understood. Nothing was registered.
        GateRefused: At least one bound is not kept. Nothing was registered.
    """
    theirs = source_clients or clients
    with _fetched(source, theirs("s3")) as sealed:
        gate(sealed.metrics, gates or {})
        place = _Place(bucket, group, image, clients)
        made = theirs("sagemaker").describe_model_package(ModelPackageName=source.model_package_arn)
        known = made.get("CustomerMetadataProperties", {})
        by = known.get(TRAINED_BY) or known.get(REGISTERED_BY)
        return _register(sealed, place, {"promoted_from": source.model_package_arn, **({TRAINED_BY: by} if by else {})})


def take(
    candidate: ReleaseRecord,
    recipe: str,
    *,
    bucket: str,
    group: str,
    image: str,
    clients: Clients,
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
        gates: What it must show; judged anew, since gates may have changed.

    Raises:
        RegistryError: Its bytes are missing, have another digest or are of another recipe.
        GateError: A gate is not understood.
        GateRefused: At least one bound is not kept.
    """
    with _fetched(candidate, clients("s3")) as sealed:
        if sealed.recipe != recipe:
            raise RegistryError(f"{candidate.archive_uri} is of recipe {sealed.recipe}, expected {recipe}")
        gate(sealed.metrics, gates or {})
        return _register(sealed, _Place(bucket, group, image, clients))


@contextmanager
def _fetched(source: ReleaseRecord, s3: Any) -> Generator[SealedPackage]:
    """The package of a record, downloaded and checked, while it is looked at."""
    with TemporaryDirectory(prefix="modelstack-") as folder:
        path = Path(folder) / "model.tar.gz"
        fetch(source.archive_uri, source.package_digest, path, s3)
        yield describe(path, source.package_digest)


def fetch(archive_uri: str, package_digest: str, to: Path, s3: Any) -> None:
    """Download an archive; the file appears only if its bytes have the digest.

    Args:
        archive_uri: `s3://bucket/key`.
        package_digest: `sha256:<hex>`.
        to: File to write.
        s3: boto3 S3 client.

    Raises:
        RegistryError: There is no such object, or it has another digest.
    """
    bucket, _, key = archive_uri.removeprefix("s3://").partition("/")
    unproven = to.with_name(to.name + ".partial")
    sha256 = hashlib.sha256()
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.ClientError as error:
        raise RegistryError(f"cannot read {archive_uri}: {error}") from error
    with unproven.open("wb") as file:
        for block in body.iter_chunks(1 << 20):
            sha256.update(block)
            file.write(block)
    found = f"sha256:{sha256.hexdigest()}"
    if found != package_digest:
        unproven.unlink()
        raise RegistryError(
            f"{archive_uri} has digest {found}, expected {package_digest}: it was changed after it was registered"
        )
    unproven.replace(to)


@dataclass(frozen=True)
class _Place:
    """Where a package is registered, and with which image."""

    bucket: str
    group: str
    image: str
    clients: Clients


def _register(sealed: SealedPackage, place: _Place, extra: Mapping[str, str] | None = None) -> Registered:
    registered = Registered(
        model_package_arn="",
        archive_uri=store(sealed.path, sealed.digest, place.bucket, place.clients("s3")),
        package_digest=sealed.digest,
        manifest_sha256=sealed.manifest_sha256,
        recipe=sealed.recipe,
        image_uri=place.image,
        metrics=sealed.metrics,
    )
    arn = find(place.group, sealed.digest, place.image, place.clients)
    return replace(registered, model_package_arn=arn or _create(registered, place, extra or {}))


def store(path: Path, digest: str, bucket: str, s3: Any) -> str:
    """Upload an archive under its digest, and the JSON files of its top beside it; returns the archive's URI.

    Raises:
        RegistryError: An object is there under one of these names with other bytes.
    """
    folder = f"{PACKAGES}/{digest.removeprefix('sha256:')}"
    for name, content in archive.documents(path).items():
        _upload(s3, bucket, f"{folder}/{name}", content, CONTENT_TYPE)
    # The archive is sent last: where it is, everything beside it is too.
    return _upload(s3, bucket, f"{folder}/model.tar.gz", path, "application/gzip")


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


def _create(package: Registered, place: _Place, extra: Mapping[str, str]) -> str:
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


def _upload(s3: Any, bucket: str, key: str, content: bytes | Path, content_type: str) -> str:
    """Put an object with its sha256, or compare the one that is there; returns its URI."""
    uri = f"s3://{bucket}/{key}"
    wanted = _sha256(content)
    there = _stored_sha256(s3, bucket, key)
    if there == wanted:
        return uri
    if there is not None:
        raise RegistryError(
            f"{uri} is there with digest sha256:{there.hex()}, expected sha256:{wanted.hex()}: it was changed after it "
            "was uploaded. Find out by whom; then delete this object and run again"
        )
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as body:
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(wanted).decode(),
        )
    if (stored := _stored_sha256(s3, bucket, key)) != wanted:
        found = f"sha256:{stored.hex()}" if stored else "nothing"
        raise RegistryError(f"{uri} was uploaded as sha256:{wanted.hex()}, but holds {found}")
    return uri


def _stored_sha256(s3: Any, bucket: str, key: str) -> bytes | None:
    """Return the digest of an object's bytes, read back (a checksum on record says what was sent), or None."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    sha256 = hashlib.sha256()
    for block in body.iter_chunks(1 << 20):
        sha256.update(block)
    return sha256.digest()


def _sha256(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
