"""Errors for the person at the keyboard."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelstack.pipeline.project import cloud_commands
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unavailable, Unreachable
from modelstack.rollout.core.state import StateError

if TYPE_CHECKING:  # it is loaded by who calls AWS
    import botocore.exceptions

REFUSED, WRONG_USE, UNKNOWN = 1, 2, 3
"""Exit codes: the answer is no; the command line or a file is wrong; it could not be found out."""

_NOT_KNOWN = (Busy, Conflict, Unavailable, Unreachable, StateError)
"""A platform's errors; what it refuses with an error of its own has that as its cause."""

_UNKNOWN_KEYS = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
"""AWS error codes for unknown keys or a wrong secret."""

_DOWN = 500
"""The least HTTP status of a service that fails."""

_NOBODY_THERE = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
"""Errors without a connection; botocore's other transport errors come after one."""

AGAIN = "Try again in a minute. If it stays: docs/how-to/runbook.md#a-store-or-an-api-does-not-answer"


class OperatorError(Exception):
    """A failure that the person at the keyboard can act on; `exit_code` is one of those above, or a command's own."""

    def __init__(self, message: str, hint: str | None = None, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


class NotAnswered(Exception):
    """A request to a model had no good answer; `kind` is its status, or one word for the cause."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn a platform's or rollout's error while `doing` something into an OperatorError; other errors pass."""
    try:
        yield
    except Exception as error:
        told = _told(doing, error)
        if told is None:
            raise
        raise told from error


def _told(doing: str, error: BaseException) -> OperatorError | None:
    if isinstance(error, NotAnswered):
        return (error.__cause__ and _told(doing, error.__cause__)) or OperatorError(f"{doing}: {error}")
    if isinstance(error, (RolloutError, StateError)):
        below = error.__cause__ and _unreachable(doing, error.__cause__)
        code = UNKNOWN if isinstance(error, _NOT_KNOWN) or error.__cause__ else REFUSED
        later = AGAIN if isinstance(error, (Busy, Unreachable)) else None
        return below or OperatorError(f"{doing}: {error}", _other_keys(error.__cause__) or later, code)
    if (aws := _aws()) and isinstance(error, aws.ClientError):
        later = AGAIN if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _DOWN else None
        return OperatorError(f"{doing}: {refusal(error)}", _other_keys(error) or later, UNKNOWN)
    return _unreachable(doing, error)


def _aws() -> Any:
    """The module botocore.exceptions; None where nothing has imported it, so that no error can be one of them."""
    return sys.modules.get("botocore.exceptions")


def _other_keys(error: BaseException | None) -> str | None:
    """A hint when the local cloud does not know the shell's keys; each cloud has its own."""
    aws = _aws()
    code = error.response["Error"]["Code"] if aws and isinstance(error, aws.ClientError) else ""
    if code not in _UNKNOWN_KEYS or not _is_local():
        return None
    return f"The keys of this shell are not those of the local cloud. Type: {cloud_commands()[1]}"


def _unreachable(doing: str, error: BaseException) -> OperatorError | None:
    """An error for no answer, with a hint for its kind of cloud; None for other errors."""
    aws, url = _aws(), os.environ.get("AWS_ENDPOINT_URL", "")
    start, point = cloud_commands()
    if aws and type(error).__name__ == "ResponseParserError":  # no BotoCoreError
        return OperatorError(
            f"{doing}: what answers is not AWS: {error}", "Look at the network and its proxy.", UNKNOWN
        )
    if aws is None or not isinstance(error, aws.BotoCoreError):
        return None
    if isinstance(error, aws.NoCredentialsError):
        return OperatorError(
            f"{doing}: no AWS credentials", f"For the local stack, type: {point} For AWS: log in first.", UNKNOWN
        )
    if isinstance(error, tuple(getattr(aws, name) for name in _NOBODY_THERE)) and _is_local():
        return OperatorError(
            f"{doing}: the local cloud does not answer at {url}",
            f"Type `{start}`, which starts it and goes on from its data. If it runs on another port: {point}",
            UNKNOWN,
        )
    if isinstance(error, aws.HTTPClientError) and _is_local():
        return OperatorError(
            f"{doing}: the local cloud at {url} took the request and gave no whole answer: {error}",
            "It is busy, or was stopped. Look into .modelstack/cloud/server.log, and try again.",
            UNKNOWN,
        )
    return OperatorError(
        f"{doing}: {error}", "AWS_ENDPOINT_URL, AWS_REGION and the network are where to look.", UNKNOWN
    )


def _is_local() -> bool:
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in ("127.0.0.1", "localhost", "::1")


def not_answered(error: BaseException) -> NotAnswered:
    """The NotAnswered for an error that a platform raised on a request to a model."""
    cause = error.__cause__ or error
    if (aws := _aws()) and isinstance(cause, aws.ClientError):
        return NotAnswered(str(cause.response.get("Error", {}).get("Code", "error")), refusal(cause))
    return NotAnswered(type(cause).__name__, str(error))


def refusal(error: botocore.exceptions.ClientError) -> str:
    """Code and message of an AWS error."""
    detail: Mapping[str, Any] = error.response.get("Error", {})
    return f"{detail.get('Code', 'Error')}: {detail.get('Message', error)}"


def reasons(answer: str) -> list[str]:
    """The distinct reasons in a model's error answer: `problems` or `error` of a JSON object, or else all of it."""
    try:
        document = json.loads(answer)
    except ValueError:
        return [answer.strip() or "no reason given"]
    if not isinstance(document, dict):
        return [answer]
    said = document.get("problems") or document.get("error")
    lines = [str(item) for item in (said if isinstance(said, list) else [said] if said else [answer])]
    return list(dict.fromkeys(lines))
