"""Storage of a stack's packages on Kubernetes: an image registry or a bucket."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from modelstack.pipeline.pack import SealedPackage
from modelstack.platforms.kubernetes import access_token
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.names import PACKAGES, labels_of
from modelstack.platforms.kubernetes.oci import OciError, OciRepository
from modelstack.platforms.kubernetes.registry_store import store_of
from modelstack.platforms.kubernetes.signing import key_pair, secret_name
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.provenance.evidence import Attestation
from modelstack.services.package_registry import Origin, PackageRegistry, PackageStore, StackPackageStore
from modelstack.services.sealed_packages import Gone
from modelstack.serving.registry_protocol import SCHEME


def registry_of(given: Mapping[str, Any]) -> PackageRegistry:
    """A registry or bucket, and a ModelPackage; the stack's key and token are created on first use.

    `given` has `context`, `namespace`, `prefix`, `registry`, `bucket`, `image_uri`, and `name` of the ModelPackage.
    """
    api, prefix, bucket = Api.of(given.get("context") or None, given["namespace"]), given["prefix"], given.get("bucket")
    access_token.make(api, prefix, labels_of(prefix))
    signer = key_pair(api, secret_name(prefix), labels_of(prefix))
    store = ClusterPackageStore(given["registry"], {"endpoint": None, **bucket} if bucket else None)
    return PackageRegistry(store, ModelPackages(api, prefix, given["name"]), given["image_uri"], signer)


def origin_of(source: Mapping[str, Any]) -> Origin:
    """The store of another stack's champion. `source`: its release, with `context` and `bucket`."""
    api = Api.of(source["context"] or None, source["model_package_arn"].partition("/")[0])
    return Origin(ClusterPackageStore("", source.get("bucket")), ModelPackages(api))


@dataclass(frozen=True)
class ClusterPackageStore(StackPackageStore):
    """`StackPackageStore` in a registry (`HOST[:PORT]/REPOSITORY`, empty for reading alone), or in a bucket.

    It writes to the configured place and reads by the URI, so a stack that moved between registry and bucket keeps its
    old packages. Every method raises `OciError` or `BucketError` if the store does not answer or denies access.
    """

    registry: str
    bucket: Mapping[str, Any] | None = None

    def uri(self, package_digest: str) -> str:
        if self.bucket is None:
            if not self.registry:
                raise OciError("the registry of this endpoint is not known: give --stack, not --endpoint")
            return f"{SCHEME}{self.registry}/{PACKAGES}@{package_digest}"
        from modelstack.platforms.s3.package_store import BucketPackageStore  # noqa: PLC0415 - of a stack with a bucket alone

        return BucketPackageStore(self.bucket["name"], None).uri(package_digest)

    def has(self, archive_uri: str) -> bool:
        with self._at(archive_uri) as store:
            return store.has(archive_uri)

    def signers(self, archive_uri: str) -> list[str]:
        with self._at(archive_uri) as store:
            return store.signers(archive_uri)

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        with self._at(archive_uri) as store:
            return store.evidence(archive_uri, public_key)

    def put_evidence(self, evidence: Attestation, sealed: SealedPackage, public_key: bytes) -> None:
        with self._at(self.uri(sealed.digest)) as store:
            store.put_evidence(evidence, sealed, public_key)

    def put(self, sealed: SealedPackage) -> str:
        with self._at(self.uri(sealed.digest)) as store:
            return store.put(sealed)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        with self._at(archive_uri) as store:
            store.fetch(archive_uri, package_digest, to)

    def restoring(self, archive_uri: str) -> str:
        if archive_uri.startswith(SCHEME):
            return (
                f"A registry keeps bytes under their digests. Bring back what lay at {archive_uri} from the registry's "
                "own backup."
            )
        name, _, key = archive_uri.removeprefix("s3://").partition("/")
        endpoint = (self.bucket or {}).get("endpoint")
        where = f"--bucket {name} --prefix {key.rpartition('/')[0]}/" + (
            f" --endpoint-url {endpoint}" if endpoint else ""
        )
        return (
            "If the bucket keeps no versions, bring back what lay there from its own backup. If it does, take away the "
            "newest version of an object, or the mark that it was deleted: then the one before is there again. This "
            f"lists them: aws s3api list-object-versions {where}"
        )

    def check_image(self, image: str) -> None:
        repository, _, digest = image.partition("@")
        if digest:
            with suppress(OciError):
                if OciRepository.of(repository).manifest(digest) is None:
                    raise Gone(f"the serving image {image} is gone: no rule of modelstack deletes images")

    @contextmanager
    def _at(self, archive_uri: str) -> Generator[PackageStore]:
        if archive_uri.startswith(SCHEME):
            yield store_of(archive_uri)
            return
        from modelstack.platforms.kubernetes.buckets import explained  # noqa: PLC0415 - see uri

        with explained(self.bucket, archive_uri):
            yield self._bucket

    @cached_property
    def _bucket(self) -> PackageStore:
        from modelstack.platforms.kubernetes.buckets import connected  # noqa: PLC0415 - see uri

        return connected(self.bucket)
