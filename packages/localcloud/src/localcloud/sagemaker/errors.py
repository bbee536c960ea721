"""How does SageMaker say no?"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error that goes to the client as an AWS error.

    Attributes:
        code: The error's type, e.g. `ValidationException`.
        message: The text for the person who meets it.
        status: HTTP status.
        members: Further members of the error's shape, e.g. `OriginalStatusCode` of a `ModelError`.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def invalid(message: str) -> ApiError:
    """A request that the control plane refuses."""
    return ApiError("ValidationException", message)


def not_found(kind: str, arn: str) -> ApiError:
    """A model, endpoint or endpoint configuration that is not there, in AWS's words."""
    return invalid(f'Could not find {kind} "{arn}".')


def already_exists(kind: str, arn: str) -> ApiError:
    """A name that is taken, in AWS's words."""
    return invalid(f'Cannot create already existing {kind} "{arn}".')


def conflict(message: str) -> ApiError:
    """A request that the state of a resource forbids."""
    return ApiError("ConflictException", message)


_LONGEST_REASON = 1024


def shortened(reason: str) -> str:
    """A FailureReason within AWS's limit: its beginning, which says what failed, and its end, the last output."""
    if len(reason) <= _LONGEST_REASON:
        return reason
    half = _LONGEST_REASON // 2 - 3
    return f"{reason[:half]} ... {reason[-half:]}"


class StateUnwritable(Exception):
    """The state file did not take a change (disk full, read-only, ...); nothing of the change was kept."""
