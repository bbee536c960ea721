"""Error codes of AWS, and of S3-compatible services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from botocore.exceptions import ClientError

THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes of requests that may succeed a little later."""
AWS_DOWN = 500
"""From this HTTP status on the service failed, and not the request."""


def code_of(error: BaseException | None) -> str:
    """AWS's code of an error; empty for any other error."""
    return str(cast(Any, error).response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: BaseException) -> int:
    """The HTTP status of AWS's answer; 0 without one."""
    answer: Mapping[str, Any] = cast(Any, error).response if isinstance(error, ClientError) else {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
