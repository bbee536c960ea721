"""The packages of a stack on AWS, in its bucket, and how a missing one is restored.

Existing archives never expire; only deleted or overwritten ones do, after a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.names import VERSIONS
from modelstack.platforms.s3.errors import code_of
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.rollout.core.release import PROCESS
from modelstack.services.sealed_packages import Gone

_FIELD = "modelstack:retention.versions_days"
_NO_IMAGE = {"ImageNotFoundException", "RepositoryNotFoundException"}
_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[^.]+)\.[^/]+/(?P<name>[^@:]+)(?:@(?P<digest>sha256:\w+)|:(?P<tag>\S+))"
)


@dataclass(frozen=True)
class AwsPackageStore(BucketPackageStore):
    """`StackPackageStore` in the stack's bucket."""

    clients: Clients

    @classmethod
    def of(cls, bucket: str, clients: Clients) -> AwsPackageStore:
        """The store of a stack."""
        return cls(bucket, clients("s3"), clients)

    def why_gone(self, archive_uris: Sequence[str]) -> str:
        """See `StackPackageStore`; says until when the archive can be restored."""
        uri = archive_uris[0]
        key = uri.removeprefix(f"s3://{self.bucket}/")
        days = _days_of_versions(self.s3, self.bucket)
        rule = f"rule `{VERSIONS}` of the bucket ({_FIELD}: {days})"
        marks = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key).get("DeleteMarkers", [])
        mark = next((one for one in marks if one["Key"] == key and one.get("IsLatest")), None)
        if mark is None:
            return (
                f"{uri} is gone. No rule lets a package expire while it is there, so somebody deleted it; {rule} keeps "
                f"what was deleted for {days} days"
            )
        deleted: datetime = mark["LastModified"].astimezone(UTC)
        until = deleted + timedelta(days=days)
        return (
            f"{uri} was deleted on {_day(deleted)}; {rule} keeps it until {_day(until)}. Until then this brings it "
            f"back: aws s3api delete-object --bucket {self.bucket} --key {key} --version-id {mark['VersionId']}"
        )

    def restoring(self, archive_uri: str) -> str:
        """See `StackPackageStore`; by the bucket's versions."""
        prefix = archive_uri.removeprefix(f"s3://{self.bucket}/").rpartition("/")[0]
        return (
            f"What lay there before is kept for {_FIELD}. Deleting a changed version brings it back: "
            f"aws s3api list-object-versions --bucket {self.bucket} --prefix {prefix}/"
        )

    def check_image(self, image: str) -> None:
        """See `StackPackageStore`; images of other registries and regions pass."""
        parts, ecr = _IMAGE.fullmatch(image), self.clients("ecr")
        if parts is None or parts["tag"] == PROCESS or parts["region"] != ecr.meta.region_name:
            return
        wanted = {"imageDigest": parts["digest"]} if parts["digest"] else {"imageTag": parts["tag"]}
        try:
            ecr.describe_images(registryId=parts["account"], repositoryName=parts["name"], imageIds=[wanted])
        except ecr.exceptions.ClientError as error:
            if code_of(error) in _NO_IMAGE:
                why = "no rule lets images expire, so somebody deleted it"
                raise Gone(f"the serving image {image} is gone: {why}") from None


def _days_of_versions(s3: Any, bucket: str) -> int:
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    rule = next((one for one in rules if one.get("ID") == VERSIONS), {})
    return int(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", 0))


def _day(at: datetime) -> str:
    return at.date().isoformat()
