"""Property values: between protobuf structs and plain Python.

Plain Python here is `str`, `int`, `float`, `bool`, `list`, `dict`, `Asset`, `Archive` and `UNKNOWN`. A null member of
an object is the same as an absent one. Secrets never arrive: the plugin tells the engine that it does not accept them,
and the engine marks an output secret again when the input of the same name was.

Source: sdk/proto/pulumi/provider.proto and sdk/go/common/resource/plugin/rpc.go of Pulumi.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2

Props = dict[str, Any]

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_ASSET = "c44067f5952c0a294b673a41bacd8c17"
_ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (a public type mark of the protocol)
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = {  # of a string, bool, number, list, asset, archive, object
    UNKNOWN_TEXT,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}


class Unknown:
    """The value of an output that a preview cannot know. There is one, `UNKNOWN`; it equals nothing but itself."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Asset:
    """A file, a text or an address that stands for bytes; `hash` is sha256 hex over them as the engine computed it."""

    path: str | None = None
    text: str | None = None
    uri: str | None = None
    hash: str | None = None


@dataclass(frozen=True)
class Archive:
    """A folder, an archive file, an address or a mapping of assets; `hash` identifies the content."""

    path: str | None = None
    uri: str | None = None
    assets: Mapping[str, Asset | Archive] | None = None
    hash: str | None = None


def decode_map(struct: struct_pb2.Struct) -> Props:
    """A struct as a dict; null members are left out."""
    return {k: decode(v) for k, v in struct.fields.items() if v.WhichOneof("kind") != "null_value"}


def decode(value: struct_pb2.Value) -> Any:
    """One protobuf value as plain Python. Whole numbers become `int`."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _decode_struct(value.struct_value)
    return None


def _decode_struct(struct: struct_pb2.Struct) -> Any:
    signature = struct.fields[_SIGNATURE].string_value if _SIGNATURE in struct.fields else None
    if signature is None:
        return decode_map(struct)
    members = {k: v for k, v in struct.fields.items() if k != _SIGNATURE}
    if signature in {_SECRET, _OUTPUT}:
        return decode(members["value"]) if "value" in members else UNKNOWN
    if signature == _RESOURCE:
        ident = decode(members["id"]) if "id" in members else ""
        return ident or decode(members["urn"])
    texts = {k: v.string_value for k, v in members.items() if v.WhichOneof("kind") == "string_value" and v.string_value}
    if signature == _ASSET:
        return Asset(**{k: v for k, v in texts.items() if k in {"path", "text", "uri", "hash"}})
    if signature == _ARCHIVE:
        inner = members.get("assets")
        assets = decode_map(inner.struct_value) if inner and inner.WhichOneof("kind") == "struct_value" else None
        return Archive(assets=assets, **{k: v for k, v in texts.items() if k in {"path", "uri", "hash"}})
    raise ValueError(f"the engine sent a value of a kind that this plugin does not know (signature {signature})")


def encode_map(props: Mapping[str, Any]) -> struct_pb2.Struct:
    """A dict as a struct; members that are None are left out."""
    return struct_pb2.Struct(fields={k: encode(v) for k, v in props.items() if v is not None})


def encode(value: Any) -> struct_pb2.Value:
    """One plain Python value as protobuf."""
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if value is UNKNOWN:
        value = UNKNOWN_TEXT
    for kind, wrap in _WRAPPERS:  # bool before int: every bool is an int too
        if isinstance(value, kind):
            return wrap(value)
    raise TypeError(f"{type(value).__name__} is not a property value: {value!r}")


def _encode_asset(value: Asset) -> struct_pb2.Value:
    members = {_SIGNATURE: _ASSET, "path": value.path, "text": value.text, "uri": value.uri, "hash": value.hash}
    return struct_pb2.Value(struct_value=encode_map(members))


def _encode_archive(value: Archive) -> struct_pb2.Value:
    members = {_SIGNATURE: _ARCHIVE, "path": value.path, "uri": value.uri, "hash": value.hash, "assets": value.assets}
    return struct_pb2.Value(struct_value=encode_map(members))


_WRAPPERS: tuple[tuple[Any, Callable[[Any], struct_pb2.Value]], ...] = (
    (bool, lambda value: struct_pb2.Value(bool_value=value)),
    ((int, float), lambda value: struct_pb2.Value(number_value=value)),
    (str, lambda value: struct_pb2.Value(string_value=value)),
    ((list, tuple), lambda value: struct_pb2.Value(list_value=struct_pb2.ListValue(values=map(encode, value)))),
    (Mapping, lambda value: struct_pb2.Value(struct_value=encode_map(value))),
    (Asset, _encode_asset),
    (Archive, _encode_archive),
)


def has_unknown(value: Any) -> bool:
    """Whether an unknown sits anywhere in a value."""
    if value is UNKNOWN:
        return True
    if isinstance(value, Mapping):
        return any(has_unknown(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(has_unknown(v) for v in value)
    return False
