"""Which operation is called, with what, and how does the answer look: the three protocols of CloudWatch.

    call = read(headers, path, body, query)      # WireError when it cannot be read
    return answer(call, {"MetricAlarms": []})

The service model says which protocols there are: Smithy RPC v2 CBOR (botocore and the AWS CLI of today), JSON 1.0, and
AWS query (older clients, Terraform). Whatever the protocol, a request is a dict by the model's member names with
timestamps as float seconds since the epoch, and so is an output.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel

from localcloud.cloudwatch import querystring
from localcloud.cloudwatch.errors import CloudWatchError, internal, validation_error
from localcloud.server import cbor
from localcloud.server.platform import Answer
from localcloud.server.shapes import summary, validate

CBOR = "cbor"
JSON = "json"
QUERY = "query"
_ERROR_NAMESPACE = "com.amazonaws.cloudwatch.v2010_08_01"


@dataclass(frozen=True)
class Call:
    """One request, read.

    Attributes:
        operation: Name of the operation, or of what the client took for one.
        protocol: `cbor`, `json` or `query`; the answer must be in the same.
        request: Member name to value.
        request_id: A new id, in the answer's headers and body.
    """

    operation: str
    protocol: str
    request: dict[str, Any]
    request_id: str

    @property
    def model(self) -> OperationModel:
        """The operation in the service model."""
        return service_model().operation_model(self.operation)

    @property
    def input_shape(self) -> Any:
        """The shape of its request, or None. (botocore's shapes have their parts by a property without types.)"""
        return self.model.input_shape

    @property
    def output_shape(self) -> Any:
        """The shape of its output, or None."""
        return self.model.output_shape


class WireError(Exception):
    """A request that cannot be carried out; `answer` is what the client gets."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


@functools.cache
def service_model() -> ServiceModel:
    """CloudWatch as botocore knows it; read once (40 ms)."""
    return botocore.session.Session().get_service_model("cloudwatch")


def operation_names() -> list[str]:
    """Names of all operations of CloudWatch."""
    names: Any = service_model().operation_names
    return list(names)


def read(headers: Mapping[str, str], path: str, body: bytes, query: Mapping[str, list[str]]) -> Call:
    """Find the operation and its parameters, and check them against the service model.

    Raises:
        WireError: The request names no operation of CloudWatch, cannot be decoded, or breaks the service model.
    """
    call = _named(headers, path, body, query)
    try:
        if call.operation not in operation_names():
            raise CloudWatchError(
                "InvalidAction" if call.protocol == QUERY else "UnknownOperationException",
                "UnknownOperationException",
                f"CloudWatch (2010-08-01) has no operation {call.operation!r}",
                400 if call.protocol == QUERY else 404,
            )
        shape = call.input_shape
        request = _typed(shape, _decoded(call, body, query), call.protocol) if shape else {}
        messages = validate(shape, request)
        if messages:
            raise validation_error(summary(messages))
        return replace(call, request=request)
    except CloudWatchError as error:
        raise WireError(refuse(call, error)) from None


def answer(call: Call, output: Mapping[str, Any]) -> Answer:
    """Put an output into the call's protocol; a 500 when it breaks the service model, which is a fault of ours."""
    shape = call.output_shape
    messages = validate(shape, output)
    if messages:
        return refuse(call, internal(f"the output of {call.operation} breaks the service model: {summary(messages)}"))
    if call.protocol == QUERY:
        return 200, _headers(call), querystring.response(call.model, output, call.request_id)
    value = _plain(shape, output, call.protocol) if shape else {}
    if call.protocol == CBOR:
        return 200, _headers(call), cbor.dumps(value)
    return 200, _headers(call), json.dumps(value).encode()


def refuse(call: Call, error: CloudWatchError) -> Answer:
    """Put an error into the call's protocol."""
    headers = _headers(call)
    if call.protocol == QUERY:
        xml = querystring.error(error.code, error.fault, error.message, error.members, call.request_id)
        return error.status, headers, xml
    headers["x-amzn-query-error"] = f"{error.code};{error.fault}"
    value = {"__type": f"{_ERROR_NAMESPACE}#{error.shape}", "message": error.message, **error.members}
    return error.status, headers, cbor.dumps(value) if call.protocol == CBOR else json.dumps(value).encode()


def _named(headers: Mapping[str, str], path: str, body: bytes, query: Mapping[str, list[str]]) -> Call:
    request_id = str(uuid.uuid4())
    parts = path.strip("/").split("/")
    if len(parts) == 4 and parts[0] == "service" and parts[2] == "operation":
        return Call(parts[3], CBOR, {}, request_id)
    target = headers.get("x-amz-target", "")
    if target:
        return Call(target.rpartition(".")[2], JSON, {}, request_id)
    return Call(querystring.parameters(body, query).get("Action", ""), QUERY, {}, request_id)


def _decoded(call: Call, body: bytes, query: Mapping[str, list[str]]) -> Any:
    if call.protocol == QUERY:
        shape = call.input_shape
        return querystring.structure(shape, querystring.parameters(body, query)) if shape else {}
    try:
        value = (cbor.loads(body) if call.protocol == CBOR else json.loads(body)) if body else {}
    except (cbor.CborError, ValueError) as error:
        raise CloudWatchError(
            "SerializationException",
            "SerializationException",
            f"the request body is no {call.protocol.upper()}: {error}",
        ) from None
    if not isinstance(value, dict):
        raise CloudWatchError(
            "SerializationException", "SerializationException", f"the request body is {type(value).__name__}, not a map"
        )
    return value


def _headers(call: Call) -> dict[str, str]:
    content = {CBOR: "application/cbor", JSON: "application/x-amz-json-1.0", QUERY: "text/xml"}[call.protocol]
    headers = {"Content-Type": content, "x-amzn-RequestId": call.request_id}
    if call.protocol == CBOR:
        headers["smithy-protocol"] = "rpc-v2-cbor"
    return headers


def _typed(shape: Any, value: Any, protocol: str) -> Any:
    """Bring decoded values to the types of the model as far as they have the form for it; `validate` finds the rest."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = shape.members
        return {
            name: _typed(members[name], member, protocol) if name in members else member
            for name, member in value.items()
            if member is not None
        }
    if kind == "list" and isinstance(value, list):
        plain = shape.member.type_name == "string"
        return value if plain else [_typed(shape.member, item, protocol) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _typed(shape.value, item, protocol) for key, item in value.items()}
    if protocol == QUERY or (kind == "timestamp" and isinstance(value, str)):
        return querystring.scalar(kind, value)
    if kind in ("timestamp", "double", "float") and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _plain(shape: Any, value: Any, protocol: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return {
            name: _plain(shape.members[name], member, protocol) for name, member in value.items() if member is not None
        }
    if kind == "list":
        return [_plain(shape.member, item, protocol) for item in value]
    if kind == "map":
        return {key: _plain(shape.value, item, protocol) for key, item in value.items()}
    return cbor.Timestamp(value) if kind == "timestamp" and protocol == CBOR else value
