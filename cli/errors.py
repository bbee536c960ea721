"""What a person is told when a command cannot do what was asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions

from rollout.core.errors import RolloutError
from rollout.core.state import StateError

POINT_AGAIN = 'eval "$(make -s env)"'
"""What points a shell at the local stack."""

_UNKNOWN_KEYS = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
"""How AWS's services call keys that they do not know, and a secret that is not theirs."""

_NOBODY_THERE = (
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.ProxyConnectionError,
)
"""No connection came to be; any other error of the transport comes after one did."""

POINT_HERE = f"For the local stack, type: {POINT_AGAIN}"


class OperatorError(Exception):
    """A mistake or a failure that the person at the keyboard can act on.

    Args:
        message: What was wrong, where, and what was expected.
        hint: What to do next, if anything is known to help.
        exit_code: 1 when the thing failed, 2 when the command was wrong.
    """

    def __init__(self, message: str, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what AWS or a rollout answers while `doing` something into an OperatorError; all else passes through."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise OperatorError(f"{doing}: {refusal(error)}", _other_keys(error)) from error
    except botocore.exceptions.BotoCoreError as error:
        raise _unreachable(doing, error) from error
    except (RolloutError, StateError) as error:
        if isinstance(error.__cause__, botocore.exceptions.BotoCoreError):
            raise _unreachable(doing, error.__cause__) from error
        raise OperatorError(f"{doing}: {error}", _other_keys(error.__cause__)) from error


def _other_keys(error: BaseException | None) -> str | None:
    """What helps when the local cloud does not know the keys of this shell: those of each cloud are its own."""
    code = error.response["Error"]["Code"] if isinstance(error, botocore.exceptions.ClientError) else ""
    if code not in _UNKNOWN_KEYS or not _is_local():
        return None
    return f"The keys of this shell are not those of the local cloud. Type: {POINT_AGAIN}"


def _unreachable(doing: str, error: botocore.exceptions.BotoCoreError) -> OperatorError:
    """No answer at all: what to type depends on whose cloud it is."""
    url = os.environ.get("AWS_ENDPOINT_URL", "")
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        return OperatorError(f"{doing}: no AWS credentials", f"{POINT_HERE} For AWS: log in first.")
    if isinstance(error, _NOBODY_THERE) and _is_local():
        return OperatorError(
            f"{doing}: the local cloud does not answer at {url}",
            f"Type `make up`, which starts it and goes on from its data. If it runs on another port: {POINT_AGAIN}",
        )
    if isinstance(error, botocore.exceptions.HTTPClientError) and _is_local():
        return OperatorError(
            f"{doing}: the local cloud at {url} took the request and gave no whole answer: {error}",
            "It is busy, or was stopped. Look into .modelstack/cloud/server.log, and try again.",
        )
    return OperatorError(f"{doing}: {error}", "AWS_ENDPOINT_URL, AWS_REGION and the network are where to look.")


def _is_local() -> bool:
    """Whether commands are pointed at a local cloud."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in ("127.0.0.1", "localhost", "::1")


def refusal(error: botocore.exceptions.ClientError) -> str:
    """What the service says; what a model says of a request that it refuses, a line for each reason."""
    detail: Mapping[str, Any] = error.response.get("Error", {})
    words = error.response.get("OriginalMessage")
    if not words:
        return f"{detail.get('Code', 'Error')}: {detail.get('Message', error)}"
    status = error.response.get("OriginalStatusCode")
    problems = reasons(str(words))
    if len(problems) == 1:
        return f"the model answered {status}: {problems[0]}"
    return f"the model answered {status}: {len(problems)} problems" + "".join(f"\n  {line}" for line in problems)


def reasons(answer: str) -> list[str]:
    """The reasons in a model's error answer, each once: `problems` or `error` of a JSON object, or else all of it."""
    try:
        document = json.loads(answer)
    except ValueError:
        return [answer.strip() or "no reason given"]
    if not isinstance(document, dict):
        return [answer]
    said = document.get("problems") or document.get("error")
    lines = [str(item) for item in (said if isinstance(said, list) else [said] if said else [answer])]
    return list(dict.fromkeys(lines))
