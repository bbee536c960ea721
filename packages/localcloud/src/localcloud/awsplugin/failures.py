"""The errors that the plugin reports, and what an AWS error means."""

from __future__ import annotations

import re
from typing import Any

_MISSING = re.compile(r"NotFound|NoSuch|NonExistent|DoesNotExist|ResourceNotFoundException")
_CONFLICT = re.compile(r"AlreadyExist|AlreadyOwned|ResourceConflict|ResourceInUse")
_CONFLICT_TEXT = re.compile(r"already exist", re.IGNORECASE)
_MISSING_TEXT = re.compile(r"Could not find|does not exist|Cannot find", re.IGNORECASE)


class Failure(Exception):
    """A failure to tell the user, in a sentence. Nothing was left behind that the state does not know."""


class InvalidError(Failure):
    """The user asked for something that cannot be."""


class UnavailableError(Failure):
    """The cloud did not answer."""


class PartialError(Failure):
    """The resource exists but is not as asked for; the state must keep it as it is.

    Attributes:
        ident: The id of the resource.
        state: Its outputs as they are.
    """

    def __init__(self, reason: str, ident: str, state: dict[str, Any]) -> None:
        super().__init__(reason)
        self.ident = ident
        self.state = state


def code_of(error: BaseException) -> str:
    """The AWS error code of a botocore `ClientError`, else an empty text."""
    response: Any = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_missing(error: BaseException) -> bool:
    """Whether the error says that the thing asked for is not there."""
    code = code_of(error)
    if _MISSING.search(code) or code == "404":
        return True
    return code in {"ValidationException", "ValidationError"} and bool(_MISSING_TEXT.search(str(error)))


def is_conflict(error: BaseException) -> bool:
    """Whether the error says that the name is taken."""
    return bool(_CONFLICT.search(code_of(error)) or _CONFLICT_TEXT.search(str(error)))


def explain(error: BaseException, endpoint: str) -> Failure:
    """An error of botocore, or any other, as one that a user can act on."""
    if isinstance(error, Failure):
        return error
    name = type(error).__name__
    if code := code_of(error):
        operation = getattr(error, "operation_name", "the call")
        response: Any = getattr(error, "response", {})
        return Failure(f"{operation}: {code}: {response['Error'].get('Message', '')}".rstrip(": "))
    if name in {"EndpointConnectionError", "ConnectionClosedError", "ConnectTimeoutError", "ReadTimeoutError"}:
        return UnavailableError(f"the local cloud at {endpoint} does not answer ({error}); is it running?")
    if name in {"NoCredentialsError", "PartialCredentialsError"}:
        return InvalidError(
            "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to the local cloud's, which lie in "
            "`credentials` of its state folder"
        )
    return Failure(f"{name}: {error}")
