"""Does a value satisfy a botocore shape, by everything the service model says about it?

    messages = validate(service_model.operation_model("CreateModel").input_shape, request)
    if messages:
        raise ValidationException(summary(messages))

botocore's own `ParamValidator` checks required members, types and minimum lengths; AWS also checks enums, patterns and
maxima, and so does this module. Values are as a JSON client sends them: a timestamp is a number of epoch seconds, an
ISO 8601 string or a `datetime`; a blob is `bytes` or a base64 string. `None` counts as absent, as null does in JSON.

Two differences from AWS, both on the strict side: a member that the shape does not have is an error (AWS ignores it),
and a wrong type is reported with the other members' constraints (AWS answers a SerializationException at the first).
"""

from __future__ import annotations

import base64
import binascii
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from localcloud.server.patterns import compile_pattern

Shape = Any
"""A `botocore.model.Shape`; its cached properties carry no types, so a type checker learns nothing from the class."""

_SHOWN = 1024
_NESTED = {"structure", "list", "map"}
_INT_BITS = {"integer": 31, "long": 63}


def validate(shape: Shape, value: Any) -> list[str]:
    """Check a value against a shape.

    Args:
        shape: The shape, usually an operation's input or output; None (an operation without one) allows only `{}`.
        value: The value, as decoded from JSON or as botocore takes it.

    Returns:
        One message for each violated constraint, in the words of AWS's ValidationException; empty when all hold.
    """
    if shape is None:
        return [f"Member '{name}' is not known; there are no members here" for name in value or ()]
    return list(_check(shape, value, ""))


def fits(shape: Shape) -> Callable[[str], bool]:
    """A quick test of texts against a string's shape, for what is checked with each request.

    It says of a text what `validate` says, without words: True when no constraint is violated.
    """
    limits, enum = shape.metadata, getattr(shape, "enum", None)
    shortest, longest = limits.get("min", 0), limits.get("max", sys.maxsize)
    pattern = compile_pattern(limits["pattern"]).fullmatch if limits.get("pattern") else None

    def found(text: str) -> bool:
        return (
            shortest <= len(text) <= longest
            and (not enum or text in enum)
            and (pattern is None or pattern(text) is not None)
        )

    return found


def summary(messages: Sequence[str]) -> str:
    """Join messages of `validate` as AWS does: `2 validation errors detected: ...; ...`."""
    plural = "error" if len(messages) == 1 else "errors"
    return f"{len(messages)} validation {plural} detected: {'; '.join(messages)}"


def _check(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    wrong = _wrong_type(shape, value)
    if wrong:
        yield _failed(shape, value, path, f"Member must be {wrong}")
        return
    for constraint in _constraints(shape, value):
        yield _failed(shape, value, path, constraint)
    if shape.type_name == "structure":
        yield from _check_members(shape, value, path)
    elif shape.type_name == "list":
        yield from _check_items(shape, value, path)
    elif shape.type_name == "map":
        yield from _check_entries(shape, value, path)


def _check_members(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    present = {name: member for name, member in value.items() if member is not None}
    for name in shape.required_members:
        if name not in present:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in present.items():
        if name in shape.members:
            yield from _check(shape.members[name], member, _join(path, name))
        else:
            yield (
                f"Member '{_join(path, name)}' is not known; {shape.name} has "
                f"{', '.join(sorted(shape.members)) or 'no members'}"
            )
    if getattr(shape, "is_tagged_union", False) and len(present) != 1:
        names = ", ".join(shape.members)
        yield _failed(shape, value, path, f"Member must have exactly one of [{names}] set")


def _check_items(shape: Shape, value: Sequence[Any], path: str) -> Iterator[str]:
    member = shape.member
    if member.type_name in _NESTED:
        for position, item in enumerate(value, start=1):
            yield from _check(member, item, f"{path}.{position}.member" if path else f"{position}.member")
        return
    broken = _first_broken(member, value)
    if broken:
        yield _failed(shape, value, path, f"Member must satisfy constraint: [{', '.join(broken)}]")


def _check_entries(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    broken = _first_broken(shape.key, value)
    if broken:
        yield _failed(shape, value, path, f"Map keys must satisfy constraint: [{', '.join(broken)}]")
    if shape.value.type_name in _NESTED:
        for key, item in value.items():
            yield from _check(shape.value, item, f"{path}.{key}.member")
        return
    broken = _first_broken(shape.value, value.values())
    if broken:
        yield _failed(shape, value, path, f"Map value must satisfy constraint: [{', '.join(broken)}]")


def _first_broken(shape: Shape, items: Any) -> list[str]:
    for item in items:
        wrong = _wrong_type(shape, item)
        broken = [f"Member must be {wrong}"] if wrong else list(_constraints(shape, item))
        if broken:
            return broken
    return []


def _wrong_type(shape: Shape, value: Any) -> str | None:
    check = _TYPES.get(shape.type_name)
    if check is None:
        raise TypeError(f"shape {shape.name} has type {shape.type_name}, which no check is written for")
    return check(shape, value)


def _is_integer(shape: Shape, value: Any) -> str | None:
    bits = _INT_BITS[shape.type_name]
    if isinstance(value, bool) or not isinstance(value, int):
        return "an integer"
    return None if -(2**bits) <= value < 2**bits else f"an integer of {bits + 1} bits"


def _is_number(shape: Shape, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    return None if math.isfinite(value) else "a finite number"


def _is_timestamp(shape: Shape, value: Any) -> str | None:
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return "a timestamp (epoch seconds or ISO 8601)"
        return None
    if isinstance(value, datetime):
        return None
    return "a timestamp (epoch seconds or ISO 8601)" if _is_number(shape, value) else None


def _is_blob(shape: Shape, value: Any) -> str | None:
    if isinstance(value, str):
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return "a base64 string"
        return None
    return None if isinstance(value, bytes | bytearray | memoryview) else "bytes or a base64 string"


def _instance(kind: Any, name: str) -> Callable[[Shape, Any], str | None]:
    return lambda _shape, value: None if isinstance(value, kind) else name


_TYPES: dict[str, Callable[[Shape, Any], str | None]] = {
    "structure": _instance(Mapping, "a structure"),
    "list": _instance(list | tuple, "a list"),
    "map": _instance(Mapping, "a map"),
    "string": _instance(str, "a string"),
    "character": _instance(str, "a string"),
    "boolean": _instance(bool, "a boolean"),
    "integer": _is_integer,
    "long": _is_integer,
    "float": _is_number,
    "double": _is_number,
    "timestamp": _is_timestamp,
    "blob": _is_blob,
}


def _constraints(shape: Shape, value: Any) -> Iterator[str]:
    """Name the constraints of the shape itself (not of its members) that the value breaks, in AWS's words."""
    limits = shape.metadata
    size, noun = _size(shape, value)
    if size is not None:
        if "max" in limits and size > limits["max"]:
            yield f"Member must have {noun} less than or equal to {limits['max']}"
        if "min" in limits and size < limits["min"]:
            yield f"Member must have {noun} greater than or equal to {limits['min']}"
    enum = getattr(shape, "enum", None)
    if enum and value not in enum:
        yield f"Member must satisfy enum value set: [{', '.join(enum)}]"
    pattern = limits.get("pattern")
    if pattern and isinstance(value, str) and not compile_pattern(pattern).fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"


def _size(shape: Shape, value: Any) -> tuple[float | None, str]:
    if shape.type_name in {"integer", "long", "float", "double"}:
        return value, "value"
    if shape.type_name == "blob" and isinstance(value, str):
        return len(base64.b64decode(value)), "length"
    if shape.type_name in {"string", "list", "map", "blob"}:
        return len(value), "length"
    return None, ""


def _failed(shape: Shape, value: Any, path: str, constraint: str) -> str:
    at = f" at '{path}'" if path else ""
    # AWS leaves the value of a sensitive member out of its messages.
    shown = "Value" if shape.metadata.get("sensitive") else f"Value '{_show(value)}'"
    return f"{shown}{at} failed to satisfy constraint: {constraint}"


def _show(value: Any) -> str:
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, bytes | bytearray | memoryview):
        text = f"{len(value)} bytes"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}={_show(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(_show(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _join(path: str, name: str) -> str:
    lowered = name[:1].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered
