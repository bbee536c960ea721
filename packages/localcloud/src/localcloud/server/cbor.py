"""CBOR (RFC 8949) as Smithy's RPC v2 protocol uses it: plain values, text keys, and `Timestamp`."""

from __future__ import annotations

import io
from collections import defaultdict
from typing import Any, NoReturn

import cbor2

CborError = cbor2.CBORError
"""Bytes that are no CBOR data item, or a value that has no CBOR form here."""

_EPOCH = 1
_MAX_DEPTH = 32


class Timestamp(float):
    """Seconds since the epoch: CBOR tag 1."""


def loads(data: bytes) -> Any:
    """Decode one data item that takes up all of `data`.

    Raises:
        CborError: The bytes are malformed, truncated, nested more than 32 deep, or followed by others.
    """
    stream = io.BytesIO(data)
    value = cbor2.CBORDecoder(
        stream,
        object_hook=_without_undefined,
        semantic_decoders=_TAGS,
        max_depth=_MAX_DEPTH,
        strict_hashable_types=True,
    ).decode()
    if stream.tell() != len(data):
        raise CborError(f"{len(data) - stream.tell()} bytes after the data item")
    return value


def dumps(value: Any) -> bytes:
    """Encode a value.

    Raises:
        CborError: The value, or one inside it, is of a type that has no form here.
    """
    return cbor2.dumps(value, encoders=_ENCODERS)


def _timestamp(value: Any, _: Any) -> Timestamp:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CborError(f"tag 1 over {type(value).__name__}: a timestamp is a number")
    return Timestamp(value)


def _refused(value: Any, _: Any) -> NoReturn:
    raise CborError(f"only tag 1, a timestamp, is supported, not another tag over {type(value).__name__}")


def _without_undefined(value: Any, _: Any) -> Any:
    return {name: None if member is cbor2.undefined else member for name, member in value.items()}


_TAGS = defaultdict(lambda: _refused, {_EPOCH: _timestamp})
_ENCODERS = {Timestamp: lambda encoder, value: encoder.encode(cbor2.CBORTag(_EPOCH, float(value)))}
