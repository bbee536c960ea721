"""Which failures are left to the next call."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from modelstack.platforms.aws.handlers.drift import passes
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable


def answer(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetObject",
    )


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ReadTimeoutError(endpoint_url="x"),
        ResponseStreamingError(error="cut off"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        answer("InternalError", 500),
        answer("SlowDown", 503),
        answer("ThrottlingException"),
        Busy("throttled"),
        Unreachable("no answer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_service_may_do_better_in_a_moment_passes(error: Exception) -> None:
    assert passes(error)


@pytest.mark.parametrize(
    "error",
    [
        answer("AccessDenied", 403),
        answer("NoSuchBucket", 404),
        answer("NoSuchKey", 404),
        NoCredentialsError(),
        RolloutError("no"),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_needs_a_person_does_not_pass(error: Exception) -> None:
    assert not passes(error)
