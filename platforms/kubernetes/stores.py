"""Where the packages of a stack on Kubernetes lie: in its registry of images, or in a bucket.

store = StackStore(outputs["registry"], outputs["bucket"])
store.uri(digest)                              # where a new package goes, by what the stack names now
store.fetch(archive_uri, digest, path)         # by the URI alone: what was put elsewhere before is there still
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.pack import SealedPackage
from platforms.kubernetes.names import PACKAGES
from platforms.kubernetes.publish import RegistryStore, store_of
from platforms.sealed_packages import Gone
from provenance.evidence import Evidence
from serving.registry_protocol import SCHEME

if TYPE_CHECKING:  # a stack without a bucket needs no SDK of AWS
    from platforms.aws.registry import BucketStore


@dataclass(frozen=True)
class StackStore:
    """`Store` of a stack, of either kind.

    What is put goes where the stack says. What is read is read where its URI says, so that a stack that was moved from
    a registry to a bucket, or back, has its packages of before.

    Everything raises `OciError` or `BucketError` where a registry or a bucket does not answer, or lets nobody read.

    Attributes:
        registry: `HOST[:PORT]/REPOSITORY` of the stack, below which its packages are; empty where nothing is put.
        bucket: The stack's bucket, with `name`, `endpoint` and `region`; None where packages go to the registry.
    """

    registry: str
    bucket: Mapping[str, Any] | None = None

    def uri(self, package_digest: str) -> str:
        """Where the archive of a digest goes, or went if it was put since the stack is as it is."""
        if self.bucket is None:
            return f"{SCHEME}{self.registry}/{PACKAGES}@{package_digest}"
        from platforms.aws.registry import BucketStore  # noqa: PLC0415 - of a stack with a bucket alone

        return BucketStore(self.bucket["name"], None).uri(package_digest)

    def has(self, archive_uri: str) -> bool:
        """Whether an archive is there; nothing of it is believed."""
        with self._at(archive_uri) as store:
            return store.has(archive_uri)

    def found(self, archive_uris: Iterable[str]) -> str:
        """The first of the places of an archive where it is.

        Raises:
            Gone: It is in none of them.
        """
        looked: list[str] = []
        for uri in archive_uris:
            if self.has(uri):
                return uri
            looked.append(uri)
        where = "the bucket" if looked[0].startswith("s3://") else "the registry"
        raise Gone(
            f"{' and '.join(looked)} {'is' if len(looked) == 1 else 'are'} gone. No rule of modelstack deletes a "
            f"package, so {where} or somebody did. {self.mending(looked[0])}"
        )

    def signers(self, archive_uri: str) -> list[str]:
        """The first 12 digits of the id of each key that has signed an archive; nothing is verified."""
        with self._at(archive_uri) as store:
            return store.signers(archive_uri)

    def said(self, archive_uri: str, public_key: bytes) -> Evidence:
        """See `Store`."""
        with self._at(archive_uri) as store:
            return store.said(archive_uri, public_key)

    def keep(self, evidence: Evidence, sealed: SealedPackage, public_key: bytes) -> None:
        """See `Store`."""
        with self._at(self.uri(sealed.digest)) as store:
            store.keep(evidence, sealed, public_key)

    def put(self, sealed: SealedPackage) -> str:
        """See `Store`."""
        with self._at(self.uri(sealed.digest)) as store:
            return store.put(sealed)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        """See `Store`."""
        with self._at(archive_uri) as store:
            store.fetch(archive_uri, package_digest, to)

    def mending(self, archive_uri: str) -> str:
        """How an archive that was changed or deleted is brought back, in a sentence or two."""
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

    @contextmanager
    def _at(self, archive_uri: str) -> Generator[RegistryStore | BucketStore]:
        if archive_uri.startswith(SCHEME):
            yield store_of(archive_uri)
            return
        from platforms.kubernetes.buckets import asked  # noqa: PLC0415 - see uri

        with asked(self.bucket, archive_uri):
            yield self._bucket

    @cached_property
    def _bucket(self) -> BucketStore:
        from platforms.kubernetes.buckets import connected  # noqa: PLC0415 - see uri

        return connected(self.bucket)
