"""What a service of AWS, or one that speaks like it, means by an error."""

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
"""Codes of what a service does not take now, and may take a little later."""
AWS_DOWN = 500
"""From this HTTP status on the service failed, and not the request."""


def code_of(error: BaseException | None) -> str:
    """AWS's code of an error; empty when it is none of AWS's."""
    return str(cast(Any, error).response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: BaseException) -> int:
    """The HTTP status of AWS's answer; 0 when there was none."""
    answer: Mapping[str, Any] = cast(Any, error).response if isinstance(error, ClientError) else {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
