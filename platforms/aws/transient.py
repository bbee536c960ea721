"""Which failures of the cloud pass by themselves? Those wait for the next call; all others are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs] - AWS ships none
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
)

from platforms.aws.clients import THROTTLED
from rollout.core.errors import Busy, Conflict, Unreachable

_SERVER = 500  # from this HTTP status on, the service failed and not the request
_GONE = frozenset({"NoSuchKey", "404"})
PASSING = (ClientError, ConnectionError, HTTPClientError, IncompleteReadError, Busy, Conflict, Unreachable)
"""What may pass; `passes` tells."""


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: no connection, no answer in time, throttled, a service's own
    failure.
    """
    if isinstance(error, ClientError):
        code, status = _answer(error)
        return status >= _SERVER or code in THROTTLED
    return isinstance(error, PASSING)


def gone(error: BaseException) -> bool:
    """Whether an object is not in its bucket."""
    return isinstance(error, ClientError) and _answer(error)[0] in _GONE


def _answer(error: ClientError) -> tuple[str, int]:
    answer: Mapping[str, Any] = cast(Any, error).response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", "")), int(status)
