"""The packages of a stack on AWS: in its bucket, and in SageMaker's registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.errors import explained
from cli.platform.aws import packages
from cli.platform.facts import Package
from cli.target import Target
from platforms.aws import signatures
from platforms.aws.objects import fetch
from platforms.aws.packages import folder_of
from platforms.aws.registered import digests
from provenance.evidence import Evidence


@dataclass(frozen=True)
class BucketShelf:
    """`Shelf` over S3 and SageMaker."""

    target: Target

    def digests(self) -> Mapping[str, str]:
        """By the ARNs of the versions."""
        group = self.target.output("package_group")
        with explained(f"reading the package group {group}"):
            return digests(self.target.client, group)

    def package(self, name: str) -> Package:
        """See `Shelf`."""
        with explained(f"reading {name}"):
            return packages.package(self.target.client("sagemaker").describe_model_package(ModelPackageName=name))

    def signers(self, digest: str) -> list[str]:
        """See `Shelf`."""
        with explained(f"looking for {digest}"):
            return signatures.keys(self._archive(digest), self.target.client("s3"))

    def evidence(self, digest: str, key: bytes) -> Evidence:
        """See `Shelf`."""
        archive = self._archive(digest)
        with explained(f"reading the signatures of {archive}"):
            return signatures.read(archive, key, self.target.client("s3"))

    def fetch(self, digest: str, to: Path) -> None:
        """See `Shelf`."""
        with explained(f"reading {digest}"):
            fetch(self._archive(digest), digest, to, self.target.client("s3"))

    def kept(self, digest: str, image: str, key: bytes) -> str:
        """See `Shelf`."""
        from platforms.aws.archives import kept  # noqa: PLC0415 - it loads numpy, and only this needs it

        bucket = self.target.output("artifact_bucket")
        with explained(f"looking at the package {digest}"):
            return kept(self.target.client, digest, image, bucket=bucket, signed_by=key)

    def mending(self, digest: str) -> str:
        """By the versions that the bucket keeps."""
        bucket = self.target.output("artifact_bucket")
        return (
            "What lay there before is kept for modelstack:retention.versions_days. Deleting a changed version brings "
            f"it back: aws s3api list-object-versions --bucket {bucket} --prefix {folder_of(digest)}/"
        )

    def _archive(self, digest: str) -> str:
        """Where the archive of a package lies, or would."""
        return f"s3://{self.target.output('artifact_bucket')}/{folder_of(digest)}/model.tar.gz"
