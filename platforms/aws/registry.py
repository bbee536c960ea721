"""The registry of a stack on AWS: a bucket and a model package group, as `platforms.registering` uses them.

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import archive
from pipeline.gate import Gates
from pipeline.pack import Registered, SealedPackage
from platforms import registering
from platforms.aws import signatures
from platforms.aws.identity import as_metadata, caller
from platforms.aws.objects import fetch, is_there, upload
from platforms.aws.packages import METRICS, REFERENCE, beside, folder_of
from platforms.registering import Origin, Place, ReleaseRecord
from platforms.sealed_packages import REGISTERED_BY, TRAINED_BY
from provenance.envelope import Signer
from provenance.evidence import SAGEMAKER_CARD, Evidence

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients

CONTENT_TYPE = "application/json"
MANIFEST_VARIABLE = "MODELSTACK_MANIFEST_SHA256"


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
    """Upload, sign and register a sealed package; see `platforms.registering.publish`.

    Args:
        sealed: The package.
        bucket: Artifact bucket.
        group: Model package group.
        image: URI of the serving image.
        clients: Where to.
        signer: The stack's.
        lineage: Where it comes from besides its recipe, kept with the version.
    """
    return registering.publish(sealed, place(bucket, group, image, clients, signer), lineage)


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
    """Promote from another stack on AWS; see `platforms.registering.copy`.

    Args:
        source: The champion of the stack to take from.
        bucket: Artifact bucket of this stack.
        group: Model package group of this stack.
        image: URI of the serving image.
        clients: This stack's account and region.
        signer: This stack's.
        source_clients: The source's, if it is another.
        gates: What the package must show in this stack.
    """
    here = place(bucket, group, image, clients, signer)
    return registering.copy(source, origin(source_clients or clients), here, gates)


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
    """Take a package that lies in this registry already; see `platforms.registering.take`.

    Args:
        candidate: The package.
        recipe: The digest of the recipe that is wanted.
        bucket: Artifact bucket of this stack.
        group: Model package group of this stack.
        image: URI of the serving image.
        clients: This stack's account and region.
        signer: This stack's, who has signed it.
        gates: What it must show; judged anew, since gates may have changed.
    """
    return registering.take(candidate, recipe, place(bucket, group, image, clients, signer), gates)


def check(package: ReleaseRecord, clients: Clients) -> None:
    """See that a package which lies in a bucket is what was signed there; see `platforms.registering.check`."""
    registering.check(package, BucketStore("", clients("s3")))


def place(bucket: str, group: str, image: str, clients: Clients, signer: Signer) -> Place:
    """Where a stack on AWS registers its packages."""
    return Place(BucketStore(bucket, clients("s3")), GroupCatalogue(group, clients), image, signer)


def origin(clients: Clients) -> Origin:
    """Where a stack on AWS has its packages, for another stack that takes them."""

    def made_by(arn: str) -> str:
        made = clients("sagemaker").describe_model_package(ModelPackageName=arn)
        known = made.get("CustomerMetadataProperties", {})
        return known.get(TRAINED_BY) or known.get(REGISTERED_BY) or ""

    return Origin(BucketStore("", clients("s3")), made_by)


@dataclass(frozen=True)
class BucketStore:
    """`Store` in a bucket.

    Attributes:
        bucket: What it is put into; what is read names its own.
        s3: boto3 S3 client.
    """

    bucket: str
    s3: Any

    def uri(self, package_digest: str) -> str:
        """Where the archive of a digest lies here, or would."""
        return f"s3://{self.bucket}/{folder_of(package_digest)}/model.tar.gz"

    def has(self, archive_uri: str) -> bool:
        """Whether an archive is there; nothing of it is read."""
        return is_there(archive_uri, self.s3)

    def signers(self, archive_uri: str) -> list[str]:
        """The first 12 digits of the id of each key that has signed an archive; nothing is verified."""
        return signatures.keys(archive_uri, self.s3)

    def said(self, archive_uri: str, public_key: bytes) -> Evidence:
        """What was signed with a key of an archive."""
        return signatures.read(archive_uri, public_key, self.s3)

    def keep(self, evidence: Evidence, sealed: SealedPackage, public_key: bytes) -> None:
        """Put documents and signatures beside where the archive is, or goes."""
        signatures.keep(evidence, sealed.digest, public_key, self.bucket, self.s3)

    def put(self, sealed: SealedPackage) -> str:
        """Put an archive, and the JSON files of its top beside it."""
        return store(sealed.path, sealed.digest, self.bucket, self.s3)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        """Write an archive into a file."""
        fetch(archive_uri, package_digest, to, self.s3)


@dataclass(frozen=True)
class GroupCatalogue:
    """`Catalogue` of the versions of a model package group.

    Attributes:
        group: The group.
        clients: The stack's account and region.
    """

    group: str
    clients: Clients

    def find(self, package: Registered) -> str | None:
        """The ARN of the newest version of a package in an image."""
        return find(self.group, package.package_digest, package.image_uri, self.clients)

    def of_recipe(self, recipe: str) -> dict[str, str] | None:
        """The newest version of a recipe: `archive_uri`, `package_digest` and `model_package_arn`; None without one.

        Nothing of it is verified.
        """
        for summary in _versions(self.group, self.clients):
            if recipe[:12] not in summary.get("ModelPackageDescription", recipe):
                continue
            arn: str = summary["ModelPackageArn"]
            package = self.clients("sagemaker").describe_model_package(ModelPackageName=arn)
            known = package.get("CustomerMetadataProperties", {})
            containers = package.get("InferenceSpecification", {}).get("Containers", [{}])
            uri = containers[0].get("ModelDataUrl")
            if known.get("recipe") == recipe and uri and "package_digest" in known:
                return {"archive_uri": uri, "package_digest": known["package_digest"], "model_package_arn": arn}
        return None

    def create(self, package: Registered, said: Evidence, lineage: Mapping[str, str]) -> str:
        """Add a version, with its model card; returns its ARN."""
        return _create(package, self.group, self.clients, said, lineage)


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


def _create(package: Registered, group: str, clients: Clients, said: Evidence, extra: Mapping[str, str]) -> str:
    # The token makes a call that is repeated after a lost answer the same call (at most 36 characters).
    token = hashlib.sha256(f"{group} {package.package_digest} {package.image_uri}".encode()).hexdigest()[:36]
    answer = clients("sagemaker").create_model_package(
        ModelPackageGroupName=group,
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
            **{name: as_metadata(value) for name, value in extra.items()},
            "recipe": package.recipe,
            "package_digest": package.package_digest,
            "manifest_sha256": package.manifest_sha256,
            REGISTERED_BY: as_metadata(caller(clients)),
            **{f"metric.{name}": f"{value:.6g}" for name, value in sorted(package.metrics.items())},
        },
        ClientToken=token,
    )
    return answer["ModelPackageArn"]
