"""How does a request of SageMaker's JSON 1.1 protocol come in, and how does its answer go out?

Both are held against botocore's own service model: a request that AWS would refuse is refused in AWS's words, and an
answer that botocore could not read is a bug here, reported as such instead of being sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from localcloud.sagemaker.errors import ApiError, StateUnwritable, invalid
from localcloud.sagemaker.service_models import service_model
from localcloud.sagemaker.supported import refuse_unsupported
from localcloud.sagemaker.tag_keys import refuse_bad_keys
from localcloud.server import shapes
from localcloud.server.platform import Answer

Request = dict[str, Any]
Operation = Callable[[Request], Awaitable[dict[str, Any]]]

# The service model calls these required; AWS leaves them out (of packages in a group), and its own SDK needs them out.
_OMITTED_BY_AWS = {
    (
        "DescribeModelPackage",
        "Value null at 'modelPackageName' failed to satisfy constraint: Member must not be null",
    )
}
_JSON = "application/x-amz-json-1.1"
_log = logging.getLogger(__name__)


class ControlPlane:
    """Answers `X-Amz-Target: SageMaker.*`.

    Args:
        operations: What is implemented, by the operation's name.

    Attributes:
        model: botocore's model of these operations.
    """

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        self.model = service_model("sagemaker", tuple(sorted(operations)))

    async def handle(self, target: str, body: bytes) -> Answer:
        """Answer one request.

        Args:
            target: The `X-Amz-Target` header.
            body: The JSON document.

        Returns:
            Status, headers, body; errors as AWS sends them.
        """
        try:
            answer = await self._answer(target.removeprefix("SageMaker."), body)
        except ApiError as error:
            return self._error(error.code, error.message, error.status)
        except StateUnwritable as error:
            # 507, because SDKs retry a plain 500 or 503 for a while before they show it.
            return self._error("InternalFailure", str(error), 507)
        except Exception as error:
            _log.exception("%s failed", target)
            return self._error("InternalFailure", f"{target}: {type(error).__name__}: {error}", 500)
        return 200, {"Content-Type": _JSON}, json.dumps(answer).encode() if answer else b""

    async def _answer(self, operation: str, body: bytes) -> dict[str, Any]:
        if operation not in self.model.metadata["operations"]:
            raise ApiError("UnknownOperationException", f"SageMaker has no operation {operation!r}.")
        handler = self._operations.get(operation)
        if handler is None:
            raise ApiError(
                "UnknownOperationException",
                f"The local SageMaker does not implement {operation}. "
                f"It implements {', '.join(sorted(self._operations))}.",
            )
        model = self.model.operation_model(operation)
        request = _decode(body)
        broken = shapes.validate(model.input_shape, request)
        if broken:
            raise invalid(shapes.summary(broken))
        refuse_unsupported(operation, request)
        plain = _plain(model.input_shape, request)
        refuse_bad_keys(plain)
        answer = await handler(plain)
        broken = [
            message
            for message in shapes.validate(model.output_shape, answer)
            if (operation, message) not in _OMITTED_BY_AWS
        ]
        if broken:
            raise AssertionError(f"the answer of {operation} is not what AWS would send: {shapes.summary(broken)}")
        return answer

    def _error(self, code: str, message: str, status: int) -> Answer:
        body = json.dumps({"__type": code, "message": message}).encode()
        return status, {"Content-Type": _JSON, "x-amzn-ErrorType": code}, body


def _decode(body: bytes) -> Request:
    try:
        request = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", f"The request body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise ApiError("SerializationException", "The request body must be a JSON object.")
    return request


def _plain(shape: Any, value: Any) -> Any:
    """Drop nulls, which JSON clients send for what is absent, and turn timestamps into epoch seconds."""
    if shape.type_name == "structure":
        return {name: _plain(shape.members[name], member) for name, member in value.items() if member is not None}
    if shape.type_name == "list":
        return [_plain(shape.member, item) for item in value]
    return epoch_seconds(value) if shape.type_name == "timestamp" else value


def epoch_seconds(value: float | str) -> float:
    """A timestamp of the JSON protocol as epoch seconds; text without a zone is UTC."""
    if not isinstance(value, str):
        return float(value)
    parsed = datetime.fromisoformat(value)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
