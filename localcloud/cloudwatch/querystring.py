"""The AWS query protocol: form parameters in (`Dimensions.member.1.Name=...`), XML out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from localcloud.cloudwatch.errors import CloudWatchError

_NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"
_PROTOCOL_PARAMETERS = {"Action", "Version"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parameters(body: bytes, query: Mapping[str, list[str]]) -> dict[str, str]:
    """All parameters of a request, those of the URL and those of the form body."""
    found = {name: values[-1] for name, values in query.items() if values and not name.startswith("X-Amz-")}
    found.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return found


def structure(shape: Shape, found: Mapping[str, str]) -> dict[str, Any]:
    """Build a request out of flat parameters; all scalars stay text.

    Raises:
        CloudWatchError: A parameter's name fits nothing in the model.
    """
    tree: dict[str, Any] = {}
    for name, text in found.items():
        if name in _PROTOCOL_PARAMETERS:
            continue
        node = tree
        *path, last = name.split(".")
        for part in path:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                raise _malformed(name)
            node = child
        node[last] = text
    return _built(shape, tree, "")


def _built(shape: Shape, node: Any, name: str) -> Any:
    if isinstance(shape, StructureShape) and isinstance(node, dict):
        return {
            key: _built(shape.members[key], child, f"{name}.{key}") if key in shape.members else child
            for key, child in node.items()
        }
    if isinstance(shape, ListShape):
        return [_built(shape.member, item, name) for item in _items(node, name)]
    if isinstance(shape, MapShape):
        raise _malformed(name)
    if isinstance(node, dict):
        raise _malformed(name)
    return node


def _items(node: Any, name: str) -> list[Any]:
    if node == "":  # an empty list is sent as `Dimensions=`
        return []
    members = node.get("member") if isinstance(node, dict) else None
    if not isinstance(members, dict) or len(node) != 1 or not all(key.isascii() and key.isdigit() for key in members):
        raise _malformed(name)
    return [members[key] for key in sorted(members, key=int)]


def _malformed(name: str) -> CloudWatchError:
    return CloudWatchError(
        "MalformedInput", "SerializationException", f"parameter {name.lstrip('.')!r} has no place in the request"
    )


def scalar(shape: Shape, value: Any) -> Any:
    """Read a scalar of the model from text; text that does not have the form stays text."""
    if not isinstance(value, str):
        return value
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(value)
        if kind in ("double", "float"):
            return float(value)
        if kind == "timestamp":
            return _seconds(value)
    except ValueError:
        return value
    if kind == "boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def response(operation: OperationModel, output: Mapping[str, Any], request_id: str) -> bytes:
    """The XML of an output that fits the model."""
    shape = operation.output_shape
    result = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        result = f"<{wrapper}>{_members(shape, output)}</{wrapper}>"
    return (
        f'<{operation.name}Response xmlns="{_NAMESPACE}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    ).encode()


def error(code: str, fault: str, message: str, members: Mapping[str, Any], request_id: str) -> bytes:
    """The XML of an error; `members` are those of its shape beside the message, text or lists of flat structures."""
    inner = f"<Type>{fault}</Type>{_element('Code', code)}{_element('Message', message)}"
    for name, value in members.items():
        if isinstance(value, str):
            inner += _element(name, value)
            continue
        items = "".join(
            f"<member>{''.join(_element(key, text) for key, text in item.items())}</member>" for item in value
        )
        inner += f"<{name}>{items}</{name}>"
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error>{inner}</Error><RequestId>{request_id}</RequestId></ErrorResponse>'
    ).encode()


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(_NOT_XML.sub('?', text))}</{name}>"


def _members(shape: Shape, value: Mapping[str, Any]) -> str:
    assert isinstance(shape, StructureShape)  # noqa: S101 - narrows the type; every caller has checked it
    return "".join(
        f"<{name}>{_xml(member, value[name])}</{name}>"
        for name, member in shape.members.items()
        if value.get(name) is not None
    )


def _xml(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return _members(shape, value)
    if isinstance(shape, ListShape):
        return "".join(f"<member>{_xml(shape.member, item)}</member>" for item in value)
    if isinstance(shape, MapShape):
        return "".join(
            f"<entry><key>{_xml(shape.key, key)}</key><value>{_xml(shape.value, item)}</value></entry>"
            for key, item in value.items()
        )
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(_NOT_XML.sub("?", str(value)))
