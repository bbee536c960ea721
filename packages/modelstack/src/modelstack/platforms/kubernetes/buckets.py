"""Client of a stack's S3 bucket, with errors that say what to change.

The credentials are those that AWS's clients find: environment variables, a profile, or a role.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import exceptions
from botocore.config import Config

from modelstack.platforms.s3.errors import AWS_DOWN, THROTTLED, code_of, status_of
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.rollout.core.errors import Unreachable
from modelstack.services.sealed_packages import RegistryError

Settings = Mapping[str, Any]  # `name`, `endpoint` and `region` of `modelstack:kubernetes.bucket`
_FIELD = "modelstack:kubernetes.bucket"
_NOWHERE: Settings = {"name": "", "endpoint": None, "region": None}
_NO_KEYS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_SILENT = (exceptions.ConnectionError, exceptions.HTTPClientError)
_REFUSALS: Mapping[tuple[str, ...], str] = {
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"): (
        "does not take the AWS credentials of this shell ({}). Set those of this bucket"
    ),
    ("AccessDenied", "AllAccessDisabled", "403", "401"): (
        "denies access to the AWS credentials of this shell ({}). They need s3:GetObject and s3:ListBucket, and "
        "s3:PutObject for `pulumi up`; what is gone looks so, too, without s3:ListBucket"
    ),
    ("NoSuchBucket",): f"is not there ({{}}). See {_FIELD} of the stack: its name, and its endpoint",
    ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"): (
        f"is in another region than {_FIELD}.region says ({{}})"
    ),
}
"""Messages by AWS's error codes."""


class BucketError(RegistryError, Unreachable):
    """A bucket does not answer or cannot be read, so its content is unknown; the message says why."""


def connected(bucket: Settings | None) -> BucketPackageStore:
    """The store in a bucket; without a bucket, one that only reads URIs, by AWS's own environment variables."""
    known = bucket or _NOWHERE
    # What speaks like S3 seldom has a name for each bucket, and pods ask in the same way.
    by_path = known["endpoint"] or bucket is None
    config = Config(
        s3={"addressing_style": "path"} if by_path else {},
        connect_timeout=5,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    s3 = boto3.Session().client("s3", region_name=known["region"], endpoint_url=known["endpoint"], config=config)
    return BucketPackageStore(known["name"], s3)


def check(bucket: Settings) -> None:
    """Check that a bucket exists and can be listed; raises BucketError."""
    with explained(bucket, f"s3://{bucket['name']}/"):
        connected(bucket).s3.list_objects_v2(Bucket=bucket["name"], MaxKeys=1)


@contextmanager
def explained(bucket: Settings | None, archive_uri: str) -> Generator[None]:
    """Raise `BucketError`, which says what to do, for any error of AWS's client about an archive."""
    try:
        yield
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        raise BucketError(_told(bucket, archive_uri, error)) from None
    except RegistryError as error:
        cause = error.__cause__
        if not isinstance(cause, exceptions.ClientError) or code_of(cause) == "NoSuchKey":
            raise
        raise BucketError(_told(bucket, archive_uri, cause)) from None


def _told(bucket: Settings | None, archive_uri: str, error: Exception) -> str:
    where = _named(bucket, archive_uri)
    if isinstance(error, _NO_KEYS):
        return (
            f"{where}: there are no AWS credentials to ask with ({error}). Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to those of who may read the bucket"
        )
    if isinstance(error, _SILENT):
        return (
            f"{where} does not answer: {error}. See whether {_FIELD}.endpoint is its address, and is reached from here"
        )
    for codes, said in _REFUSALS.items():
        if code_of(error) in codes:
            return f"{where} {said.format(_words(error))}"
    if code_of(error) in THROTTLED or status_of(error) >= AWS_DOWN:
        return f"{where} does not answer now ({_words(error)}). Try again a little later"
    return f"{where} answers otherwise than S3 does ({_words(error)}). See whether {_FIELD}.endpoint is its address"


def _words(error: Exception) -> str:
    if not isinstance(error, exceptions.ClientError):
        return str(error)
    message = str(error.response.get("Error", {}).get("Message", ""))
    return ": ".join(filter(None, (code_of(error), message))) or f"HTTP {status_of(error)}"


def _named(bucket: Settings | None, archive_uri: str) -> str:
    name = archive_uri.removeprefix("s3://").partition("/")[0]
    led = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    at = (bucket or _NOWHERE)["endpoint"] or led or "AWS"
    return f"bucket {name} at {at}" if bucket else f"bucket {name} at {at}, as the stack names no bucket now,"
