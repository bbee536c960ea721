"""A request, parsed once and strictly: the same form of it is authorised and performed.

ministack reads a request again in each place that needs a part of it, by rules that differ: the action of the query
string is authorised and that of the body performed, or a body is JSON to the handler and none to IAM. So a request
that has two readings is refused here before anything else reads it. What is left has its parameters in one place only.

Source: Smithy specification, "AWS JSON 1.0 and 1.1 protocols" and "AWS query protocol"; AWS Security Token Service API
reference, "Common Errors".
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from localcloud.server import cbor

Query = dict[str, list[str]]

_NAMES = {"monitoring": "cloudwatch", "states": "stepfunctions", "tagging": "resourcegroupstaggingapi"}
"""What botocore calls a service, where the router calls it otherwise."""
_OWN = {"monitoring", "sagemaker"}
"""Services of ours, which check each request against the whole of their model."""
_SIGNING = {
    f"X-Amz-{name}"
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
}
_JSON_TYPES = {"application/x-amz-json-1.0", "application/x-amz-json-1.1"}
_FORM_TYPE = "application/x-www-form-urlencoded"
_CBOR_PATH = re.compile(r"/service/GraniteServiceVersion20100801/operation/(\w+)")
# Compiled, and made once: each invocation needs it.
_RUNTIME = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_UNHEEDED = {("dynamodb", "PutResourcePolicy"), ("events", "PutPermission")}
"""What makes a policy of a resource that nothing here would ask."""
_PARTIQL = {"BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction"}


class BadRequest(Exception):
    """A request that is not to be understood, or in more than one way.

    Attributes:
        code: Of the error.
        status: Of the answer.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Request:
    """What a request asks for.

    Attributes:
        action: IAM action without its service prefix, e.g. `InvokeEndpoint`.
        members: The operation's input.
        service: The router's name of the service.
        body: What is left of the body for the service; empty where all is in the query.
        query: What is left of the query string.
    """

    action: str
    members: Mapping[str, Any] = field(default_factory=dict)
    service: str = ""
    body: bytes = b""
    query: Query = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """A request of HTTP, as ministack hands it on.

    Attributes:
        method: Of HTTP.
        path: Percent-decoded.
        headers: By lower-case name; those that were sent twice are joined.
        body: Uncompressed.
        query: Parameters of the query string.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Query


current: ContextVar[Request | None] = ContextVar("request", default=None)
"""The request that is served now; None where it is one of S3 or of an image registry."""


@dataclass(frozen=True)
class _Operation:
    members: frozenset[str]
    method: str
    path: re.Pattern[str]
    fixed: Mapping[str, str]
    places: Mapping[str, tuple[str, str]]
    has_payload: bool


@dataclass(frozen=True)
class _Model:
    protocol: str
    target: str
    operations: Mapping[str, _Operation]


def read(service: str, sent: Sent) -> Request:
    """Read a request to any service but S3.

    Args:
        service: The router's name.
        sent: The request.

    Raises:
        BadRequest: It has no reading, or two.
    """
    headers, path = sent.headers, sent.path
    for name in ("content-encoding", "transfer-encoding", "x-amz-decoded-content-length", "x-http-method-override"):
        if name in headers and headers[name] not in {"identity", "chunked"}:
            raise BadRequest("SerializationException", f"{name} {headers[name]!r} is not supported by {service}")
    if service == "sagemaker" and (runtime := _RUNTIME.fullmatch(path)):
        _no_query(sent.query)
        if sent.method != "POST" or "x-amz-target" in headers:
            raise BadRequest("UnknownOperationException", "an invocation is a POST without an X-Amz-Target")
        action = "InvokeEndpointAsync" if runtime[2] == "async-invocations" else "InvokeEndpoint"
        return Request(action, {"EndpointName": runtime[1]}, service, sent.body, sent.query)
    model = _model(service)
    if service == "monitoring" and path != "/":
        return _cbor(sent)
    if "x-amz-target" in headers and (model.protocol == "json" or service in _OWN):
        return _json(service, model, sent)
    if "x-amz-target" in headers:
        raise BadRequest("UnknownOperationException", f"{service} does not take an X-Amz-Target")
    if model.protocol == "query" or service == "monitoring":
        return _form(service, model, sent)
    if model.protocol == "rest-json":
        return _rest(service, model, sent)
    raise BadRequest("UnknownOperationException", f"{service} is asked in JSON with an X-Amz-Target")


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object that every parser reads alike.

    Raises:
        BadRequest: It is no object, is not UTF-8, has a name twice, or a number that JSON does not have.
    """
    value = _parsed(lambda: json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant))
    if not isinstance(value, dict):
        raise BadRequest("SerializationException", "the request body must be a JSON object")
    return value


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except (cbor.CborError, ValueError) as error:
        deep = " (it is nested too deeply)" if "depth" in str(error) else ""
        raise BadRequest("SerializationException", f"the request body cannot be read: {error}{deep}") from None
    except RecursionError:
        raise BadRequest("SerializationException", "the request is nested too deeply to be read") from None


def gather(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of a form by name, `AlarmNames.member.1` and so on gathered into a list in the order of numbers."""
    gathered: dict[str, Any] = {}
    lists: dict[str, dict[int, str]] = {}
    for key, value in parameters.items():
        item = re.fullmatch(r"(\w+)\.member\.(\d{1,9})", key, re.ASCII)
        if item:
            lists.setdefault(item[1], {})[int(item[2])] = value
        else:
            gathered[key] = value
    return gathered | {name: [items[number] for number in sorted(items)] for name, items in lists.items()}


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _json(service: str, model: _Model, sent: Sent) -> Request:
    _no_query(sent.query)
    kind = _content_type(sent)
    named = sent.headers["x-amz-target"]
    target, _, action = named.rpartition(".")
    if sent.method != "POST" or kind not in _JSON_TYPES or target != model.target:
        what = f"{sent.method} with X-Amz-Target {named!r} and content type {kind!r}"
        allowed = f"POST with {model.target}.(operation) and {' or '.join(sorted(_JSON_TYPES))}"
        raise BadRequest("UnknownOperationException", f"{service} does not take {what}; it takes {allowed}")
    if action in _PARTIQL and service == "dynamodb":
        raise BadRequest("UnknownOperationException", f"the local cloud does not serve PartiQL ({action})")
    body = sent.body.strip(b" \t\r\n")
    members = parse_json(body or b"{}")
    _known(service, model, action, members)
    if sent.path != "/" and (service != "sqs" or urlsplit(str(members.get("QueueUrl"))).path != sent.path):
        raise BadRequest("UnknownOperationException", f"{service} is asked at /, not at {sent.path!r}")
    return Request(action, members, service, body, sent.query)


def _form(service: str, model: _Model, sent: Sent) -> Request:
    kind, body, query = _content_type(sent), sent.body, sent.query
    is_read = sent.method == "GET" and not body
    if sent.path != "/" or not (is_read or (sent.method == "POST" and (kind == _FORM_TYPE or not body))):
        what = f"{sent.method} {sent.path} with content type {kind!r}"
        raise BadRequest("InvalidAction", f"{service} does not take {what}; it takes POST / with {_FORM_TYPE}")
    signing = {name: values for name, values in query.items() if name in _SIGNING}
    named = [(name, value) for name, values in query.items() if name not in _SIGNING for value in values]
    if named and body:
        raise BadRequest(
            "InvalidParameterCombination",
            f"parameters are in the query string or in the body, not in both: {', '.join(name for name, _ in named)}",
        )
    if body:
        try:
            named = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
        except ValueError as error:
            raise BadRequest("MalformedQueryString", f"the body is not a form in UTF-8: {error}") from None
    found = dict(named)
    if len(found) != len(named):
        raise BadRequest("InvalidQueryParameter", "a parameter is there twice")
    if not (action := found.get("Action")):
        raise BadRequest("MissingAction", "the request has no parameter Action")
    _known(service, model, action, {name.partition(".")[0]: "" for name in found if name not in {"Action", "Version"}})
    parameters = {name: [value] for name, value in named}
    return Request(action, gather(found), service, b"", {**signing, **parameters})


def _cbor(sent: Sent) -> Request:
    _no_query(sent.query)
    named = _CBOR_PATH.fullmatch(sent.path)
    if (
        not named
        or sent.method != "POST"
        or "x-amz-target" in sent.headers
        or _content_type(sent) != "application/cbor"
    ):
        what = f"{sent.method} {sent.path} with content type {_content_type(sent)!r}"
        raise BadRequest("UnknownOperationException", f"CloudWatch does not take {what}", 404)
    members = _parsed(lambda: cbor.loads(sent.body)) if sent.body else {}
    return Request(named[1], members if isinstance(members, dict) else {}, "monitoring", sent.body, sent.query)


def _rest(service: str, model: _Model, sent: Sent) -> Request:
    path, query = sent.path, sent.query
    parts = path.removesuffix("/").split("/")[1:]
    if "%" in path or not all(parts) or {".", ".."} & set(parts):
        raise BadRequest("UnknownOperationException", f"{service} does not take the path {path!r}", 404)
    action, operation, named = _routed(service, model, sent)
    body = sent.body or b"{}"
    members = {} if operation.has_payload else parse_json(body)
    if operation.has_payload:
        _parsed(lambda: json.loads(body))  # it may be any JSON
    _known(service, model, action, members)
    for member, (place, name) in operation.places.items():
        if member in members:
            raise BadRequest("SerializationException", f"{member} of {action} is not part of its body")
        if place == "uri":
            members[member] = named[_group(name)]
        elif len(query.get(name, ())) > 1 and not name.lower().endswith("keys"):
            raise BadRequest("SerializationException", f"the parameter {name} is there twice")
        elif place == "querystring" and name in query:
            members[member] = query[name][0]
    return Request(action, members, service, sent.body, query)


def _routed(service: str, model: _Model, sent: Sent) -> tuple[str, _Operation, Mapping[str, str]]:
    found = None
    for action, operation in model.operations.items():
        if operation.method == sent.method and all(
            sent.query.get(name) == [value] for name, value in operation.fixed.items()
        ):
            match = operation.path.fullmatch(sent.path.removesuffix("/"))
            if match and (found is None or len(operation.fixed) > len(found[1].fixed)):
                found = action, operation, match.groupdict()
    if found is None:
        raise BadRequest("UnknownOperationException", f"{service} has no operation {sent.method} {sent.path}", 404)
    return found


def _known(service: str, model: _Model, action: str, members: Mapping[str, Any]) -> None:
    """Refuse what the model does not have: one reader could heed a member that another leaves out."""
    if service in _OWN:
        return
    operation = model.operations.get(action)
    if operation is None:
        code = "InvalidAction" if model.protocol == "query" else "UnknownOperationException"
        raise BadRequest(code, f"{service} has no operation {action!r}")
    if (service, action) in _UNHEEDED or (service == "dynamodb" and "ResourcePolicy" in members):
        text = f"the local cloud has no policies of the resources of {service}, which {action} sets"
        raise BadRequest("UnsupportedOperation", f"{text}: allow the callers by their own policies")
    if unknown := members.keys() - operation.members:
        code = "InvalidQueryParameter" if model.protocol == "query" else "SerializationException"
        allowed = ", ".join(sorted(operation.members)) or "nothing"
        raise BadRequest(code, f"{action} does not take {', '.join(sorted(unknown))}; it takes {allowed}")


def _content_type(sent: Sent) -> str:
    return sent.headers.get("content-type", "").partition(";")[0].strip().lower()


def _no_query(query: Query) -> None:
    if more := query.keys() - _SIGNING:
        raise BadRequest("SerializationException", f"the query string has parameters: {', '.join(sorted(more))}")


def _group(name: str) -> str:
    return f"p_{name}"


@functools.cache
def _model(service: str) -> _Model:
    """What a service can be asked, of botocore's model, which itself is not kept: it takes 5 to 40 MB."""
    folder = resources.files("botocore") / "data" / _NAMES.get(service, service)
    newest = max((version for version in folder.iterdir()), key=lambda version: version.name)
    document = json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
    metadata, shapes = document["metadata"], document["shapes"]
    operations = (
        {}
        if service in _OWN
        else {
            name: _operation(given, shapes.get(given.get("input", {}).get("shape"), {}))
            for name, given in document["operations"].items()
        }
    )
    return _Model(metadata["protocol"], metadata.get("targetPrefix", ""), operations)


def _operation(given: Mapping[str, Any], shape: Mapping[str, Any]) -> _Operation:
    members = shape.get("members", {})
    path, _, fixed = given["http"]["requestUri"].partition("?")
    places = {
        name: (member["location"], member.get("locationName", name))
        for name, member in members.items()
        if member.get("location")
    }
    in_body = {member.get("locationName", name) for name, member in members.items() if name not in places}
    pattern = re.sub(r"\\{(\w+)(?:\\\+)?\\}", lambda name: f"(?P<{_group(name[1])}>{_value(name[1])})", re.escape(path))
    return _Operation(
        frozenset(in_body),
        given["http"]["method"],
        re.compile(pattern.removesuffix("/")),
        dict(parse_qsl(fixed, keep_blank_values=True)),
        places,
        "payload" in shape,
    )


def _value(name: str) -> str:
    return r"[^?]+" if name.endswith(("Arn", "Resource")) else r"[^/?]+"


def of(service: str, sent: Sent) -> Request:
    """The request that is served now, or another one that a service makes.

    Raises:
        BadRequest: A service makes one that has no reading.
    """
    request = current.get()
    return request if request is not None and request.query is sent.query else read(service, sent)


def name_of(path: str, headers: Mapping[str, str], parameters: Mapping[str, Sequence[str]]) -> str | None:
    """The operation that the head of a request names, as far as one can tell without its body; None of REST."""
    if runtime := _RUNTIME.fullmatch(path):
        return "InvokeEndpointAsync" if runtime[2] == "async-invocations" else "InvokeEndpoint"
    if named := _CBOR_PATH.fullmatch(path):
        return named[1]
    target = headers.get("x-amz-target", "")
    return target.rpartition(".")[2] or next(iter(parameters.get("Action", ())), None)
