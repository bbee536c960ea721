"""CBOR (RFC 8949), as far as Smithy's RPC v2 protocol uses it.

Values are `None`, `bool`, `int`, `float`, `str`, `bytes`, `list`, `dict` with text keys, and `Timestamp`.
"""

from __future__ import annotations

import struct
from typing import Any

_MAX_DEPTH = 32
_INDEFINITE = 31
_BREAK = object()
_ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


class CborError(ValueError):
    """Bytes that are no CBOR data item, or a value that has no CBOR form here."""


class Timestamp(float):
    """Seconds since the epoch: CBOR tag 1."""


def loads(data: bytes) -> Any:
    """Decode one data item that takes up all of `data`.

    Raises:
        CborError: The bytes are malformed, truncated, nested more than 32 deep, or followed by others.
    """
    decoder = _Decoder(data)
    value = decoder.item(0)
    if value is _BREAK:
        raise CborError("break outside of an indefinite-length item")
    if decoder.position != len(data):
        raise CborError(f"{len(data) - decoder.position} bytes after the data item")
    return value


def dumps(value: Any) -> bytes:
    """Encode a value.

    Raises:
        CborError: The value, or one inside it, is of a type that has no form here.
    """
    out = bytearray()
    _encode(value, out)
    return bytes(out)


class _Decoder:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise CborError(f"the item is cut short: {size} bytes wanted at offset {self.position}")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def argument(self, info: int) -> int:
        if info < 24:
            return info
        size = _ARGUMENT_BYTES.get(info)
        if size is None:
            raise CborError(f"additional information {info} is reserved")
        return int.from_bytes(self.take(size), "big")

    def item(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise CborError(f"items are nested more than {_MAX_DEPTH} deep")
        initial = self.take(1)[0]
        major, info = initial >> 5, initial & 0x1F
        if major in (2, 3):
            return self.string(major, info)
        if major == 4:
            return self.array(info, depth)
        if major == 5:
            return self.map(info, depth)
        if major == 7:
            return self.simple(info)
        argument = self.argument(info)
        if major == 6:
            return self.tag(argument, depth)
        return argument if major == 0 else -1 - argument

    def tag(self, number: int, depth: int) -> Timestamp:
        value = self.item(depth + 1)
        if number != 1 or isinstance(value, bool) or not isinstance(value, int | float):
            raise CborError(f"tag {number} over {type(value).__name__} is not supported; only tag 1 over a number is")
        return Timestamp(value)

    def simple(self, info: int) -> Any:
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info in _FLOATS:
            form, size = _FLOATS[info]
            return struct.unpack(form, self.take(size))[0]
        if info == _INDEFINITE:
            return _BREAK
        raise CborError(f"simple value {info} is not supported")

    def string(self, major: int, info: int) -> str | bytes:
        if info == _INDEFINITE:
            chunks = []
            while (initial := self.take(1)[0]) != 0xFF:
                if initial >> 5 != major:
                    raise CborError("a chunk of an indefinite-length string has another type")
                chunks.append(self.take(self.argument(initial & 0x1F)))
            data = b"".join(chunks)
        else:
            data = self.take(self.argument(info))
        if major == 2:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise CborError(f"text is not UTF-8: {error}") from None

    def array(self, info: int, depth: int) -> list[Any]:
        if info == _INDEFINITE:
            items = []
            while (item := self.item(depth + 1)) is not _BREAK:
                items.append(item)
            return items
        size = self.argument(info)
        if size > len(self.data) - self.position:
            raise CborError(f"an array of {size} items does not fit into the rest of the data")
        return [self.inner(depth) for _ in range(size)]

    def map(self, info: int, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        remaining = None if info == _INDEFINITE else self.argument(info)
        while remaining is None or remaining > 0:
            key = self.item(depth + 1)
            if key is _BREAK and remaining is None:
                return entries
            if not isinstance(key, str):
                raise CborError(f"a map key is {type(key).__name__}, not text")
            entries[key] = self.inner(depth)
            remaining = None if remaining is None else remaining - 1
        return entries

    def inner(self, depth: int) -> Any:
        value = self.item(depth + 1)
        if value is _BREAK:
            raise CborError("break inside a definite-length item")
        return value


def _head(major: int, argument: int, out: bytearray) -> None:
    if argument < 24:
        out.append(major << 5 | argument)
        return
    for info, size in _ARGUMENT_BYTES.items():
        if argument < 1 << (8 * size):
            out.append(major << 5 | info)
            out += argument.to_bytes(size, "big")
            return
    raise CborError(f"{argument} does not fit into 64 bits")


def _encode(value: Any, out: bytearray) -> None:
    if value is None or isinstance(value, bool):
        out.append({None: 0xF6, False: 0xF4, True: 0xF5}[value])
    elif isinstance(value, Timestamp):
        out.append(0xC1)
        out += b"\xfb" + struct.pack(">d", value)
    elif isinstance(value, int):
        _head(0, value, out) if value >= 0 else _head(1, -1 - value, out)
    elif isinstance(value, float):
        out += b"\xfb" + struct.pack(">d", value)
    elif isinstance(value, bytes):
        _head(2, len(value), out)
        out += value
    elif isinstance(value, str):
        text = value.encode()
        _head(3, len(text), out)
        out += text
    elif isinstance(value, list | tuple):
        _head(4, len(value), out)
        for item in value:
            _encode(item, out)
    elif isinstance(value, dict):
        _head(5, len(value), out)
        for key, item in value.items():
            _encode(key, out)
            _encode(item, out)
    else:
        raise CborError(f"{type(value).__name__} has no CBOR form")
