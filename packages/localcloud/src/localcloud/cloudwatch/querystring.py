"""The AWS query protocol: form parameters in (`Dimensions.member.1.Name=...`), XML out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import OperationModel

from localcloud.cloudwatch.errors import CloudWatchError

_NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"
_PROTOCOL_PARAMETERS = {"Action", "Version"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parameters(body: bytes, query: Mapping[str, list[str]]) -> dict[str, str]:
    """All parameters of a request, those of the URL and those of the form body."""
    found = {name: values[-1] for name, values in query.items() if values and not name.startswith("X-Amz-")}
    found.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return found


def structure(shape: Any, found: Mapping[str, str]) -> dict[str, Any]:
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
        if isinstance(node.get(last), dict):
            raise _malformed(name)
        node[last] = text
    return _built(shape, tree, "")


def _built(shape: Any, node: Any, name: str) -> Any:
    if shape.type_name == "structure" and isinstance(node, dict):
        return {
            key: _built(shape.members[key], child, f"{name}.{key}") if key in shape.members else child
            for key, child in node.items()
        }
    if shape.type_name == "list":
        return [_built(shape.member, item, name) for item in _items(node, name)]
    if shape.type_name == "map":
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


def scalar(kind: str, value: Any) -> Any:
    """Read a scalar of a type of the model from text; text that does not have the form stays text."""
    read = _SCALARS.get(kind)
    if read is None or not isinstance(value, str):
        return value
    try:
        return read(value)
    except ValueError:
        return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_SCALARS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "double": float,
    "float": float,
    "timestamp": _seconds,
    "boolean": _boolean,
}


def response(operation: OperationModel, output: Mapping[str, Any], request_id: str) -> bytes:
    """The XML of an output that fits the model."""
    shape: Any = operation.output_shape
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


def _members(shape: Any, value: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(member, value[name])}</{name}>"
        for name, member in shape.members.items()
        if value.get(name) is not None
    )


def _xml(shape: Any, value: Any) -> str:
    if shape.type_name == "structure":
        return _members(shape, value)
    if shape.type_name == "list":
        return "".join(f"<member>{_xml(shape.member, item)}</member>" for item in value)
    if shape.type_name == "map":
        return "".join(
            f"<entry><key>{_xml(shape.key, key)}</key><value>{_xml(shape.value, item)}</value></entry>"
            for key, item in value.items()
        )
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(_NOT_XML.sub("?", str(value)))
