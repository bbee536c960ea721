"""Transient failures of the cloud, which wait for the next call; all others are errors."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
)

from platforms.s3.errors import AWS_DOWN, THROTTLED, code_of, status_of
from rollout.core.errors import Busy, Conflict, Unreachable

PASSING = (ClientError, ConnectionError, HTTPClientError, IncompleteReadError, Busy, Conflict, Unreachable)
"""What may be transient; `passes` decides."""


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: no connection, a time-out, throttling, a failed service."""
    if isinstance(error, ClientError):
        return status_of(error) >= AWS_DOWN or code_of(error) in THROTTLED
    return isinstance(error, PASSING)
