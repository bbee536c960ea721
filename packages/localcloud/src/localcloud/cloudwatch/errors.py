"""Errors of CloudWatch, by the codes that its clients know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CloudWatchError(Exception):
    """An answer that is an error.

    Attributes:
        code: The code of the query protocol, e.g. `InvalidParameterValue`; clients match on it in every protocol.
        shape: The name of the error's shape in the service model, which the JSON and CBOR protocols carry.
        message: For the person who meets it.
        status: HTTP status.
        members: Further members of the error's shape, e.g. `dashboardValidationMessages`.
    """

    def __init__(
        self, code: str, shape: str, message: str, status: int = 400, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.shape = shape
        self.message = message
        self.status = status
        self.members = dict(members or {})

    @property
    def fault(self) -> str:
        """`Sender` when the request is at fault, else `Receiver`."""
        return "Sender" if self.status < 500 else "Receiver"


def validation_error(message: str) -> CloudWatchError:
    """A request whose values do not fit each other or the service."""
    return CloudWatchError("ValidationError", "ValidationException", message)


def invalid_value(message: str) -> CloudWatchError:
    """A parameter whose value is not allowed."""
    return CloudWatchError("InvalidParameterValue", "InvalidParameterValueException", message)


def invalid_combination(message: str) -> CloudWatchError:
    """Parameters that must not, or must, come together."""
    return CloudWatchError("InvalidParameterCombination", "InvalidParameterCombinationException", message)


def missing_parameter(message: str) -> CloudWatchError:
    """A parameter that must be there."""
    return CloudWatchError("MissingParameter", "MissingRequiredParameterException", message)


def not_found(message: str) -> CloudWatchError:
    """An alarm that does not exist."""
    return CloudWatchError("ResourceNotFound", "ResourceNotFound", message, 404)


def tagged_resource_not_found(arn: str) -> CloudWatchError:
    """A resource to tag that does not exist."""
    return CloudWatchError(
        "ResourceNotFoundException", "ResourceNotFoundException", f"{arn} does not exist", 404, {"ResourceId": arn}
    )


def invalid_token(token: str) -> CloudWatchError:
    """A `NextToken` that this service never gave for this request."""
    return CloudWatchError("InvalidNextToken", "InvalidNextToken", f"NextToken {token!r} is not valid for this request")


def not_implemented(operation: str, why: str) -> CloudWatchError:
    """An operation of CloudWatch that the local cloud does not have."""
    return CloudWatchError(
        "NotImplemented", "NotImplemented", f"The local CloudWatch does not implement {operation}: {why}", 501
    )


def internal(message: str) -> CloudWatchError:
    """The service could not do what it should."""
    return CloudWatchError("InternalServiceError", "InternalServiceFault", message, 500)
