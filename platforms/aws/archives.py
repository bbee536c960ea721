"""Is the package of a past release still here, is it what was signed, and if it is gone, by which rule?

    uri = kept(clients, "sha256:...", image, bucket=bucket, signed_by=pem)       # its archive's; raises Gone

Archives never expire while they are there: only what was deleted or overwritten goes, after a time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from platforms.aws.clients import Clients, code_of
from platforms.aws.names import VERSIONS
from platforms.aws.packages import folder_of
from platforms.aws.registry import ReleaseRecord, check
from platforms.sealed_packages import Gone
from rollout.core.release import PROCESS

_FIELD = "modelstack:retention.versions_days"
_NOT_THERE = {"404", "NoSuchKey", "NotFound"}
_NO_IMAGE = {"ImageNotFoundException", "RepositoryNotFoundException"}
_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[^.]+)\.[^/]+/(?P<name>[^@:]+)(?:@(?P<digest>sha256:\w+)|:(?P<tag>\S+))"
)


def kept(clients: Clients, package_digest: str, image: str, *, bucket: str, signed_by: bytes) -> str:
    """Return where the archive of a past release lies, once it was verified.

    Args:
        clients: The stack's account and region.
        package_digest: `sha256:<hex>`.
        image: What served it.
        bucket: The stack's artifact bucket.
        signed_by: The public key of the stack, PEM.

    Raises:
        Gone: The archive or the image is not there.
        SignatureError: The archive is not what was signed.
        RegistryError: It has another digest, or is not signed.
    """
    s3, key = clients("s3"), f"{folder_of(package_digest)}/model.tar.gz"
    uri = f"s3://{bucket}/{key}"
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if code_of(error) not in _NOT_THERE:
            raise
        raise Gone(_why_gone(s3, bucket, key, uri)) from None
    _check_image(clients, image)
    check(ReleaseRecord(uri, package_digest, "", signed_by), clients)
    return uri


def _why_gone(s3: Any, bucket: str, key: str, uri: str) -> str:
    """Why an archive is not there, and until when it can be had back."""
    days = _days_of_versions(s3, bucket)
    rule = f"rule `{VERSIONS}` of the bucket ({_FIELD}: {days})"
    marks = s3.list_object_versions(Bucket=bucket, Prefix=key).get("DeleteMarkers", [])
    mark = next((one for one in marks if one["Key"] == key and one.get("IsLatest")), None)
    if mark is None:
        return (
            f"{uri} is gone. No rule lets a package expire while it is there, so somebody deleted it; {rule} keeps "
            f"what was deleted for {days} days"
        )
    deleted: datetime = mark["LastModified"].astimezone(UTC)
    until = deleted + timedelta(days=days)
    return (
        f"{uri} was deleted on {_day(deleted)}; {rule} keeps it until {_day(until)}. Until then this brings it back: "
        f"aws s3api delete-object --bucket {bucket} --key {key} --version-id {mark['VersionId']}"
    )


def _days_of_versions(s3: Any, bucket: str) -> int:
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    rule = next((one for one in rules if one.get("ID") == VERSIONS), {})
    return int(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", 0))


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _check_image(clients: Clients, image: str) -> None:
    """See that a serving image is still in its repository; of one elsewhere, or that is hidden, the trial tells."""
    parts, ecr = _IMAGE.fullmatch(image), clients("ecr")
    if parts is None or parts["tag"] == PROCESS or parts["region"] != ecr.meta.region_name:
        return
    wanted = {"imageDigest": parts["digest"]} if parts["digest"] else {"imageTag": parts["tag"]}
    try:
        ecr.describe_images(registryId=parts["account"], repositoryName=parts["name"], imageIds=[wanted])
    except ecr.exceptions.ClientError as error:
        if code_of(error) in _NO_IMAGE:
            why = "no rule lets images expire, so somebody deleted it"
            raise Gone(f"the serving image {image} is gone: {why}") from None
