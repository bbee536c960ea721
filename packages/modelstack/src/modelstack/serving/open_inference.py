"""The Open Inference Protocol, version 2, over HTTP: JSON, and tensors as bytes after it.

Each feature is a tensor of shape [rows] or [rows, 1], an array one of [rows, ...]; so is each field of an answer, with
nested names joined by a dot.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and the binary
tensor data extension of Triton Inference Server (protocol/extension_binary_data.md).
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Annotated, Any

import msgspec
import numpy as np

from modelstack.serving.answers import Answers, Arrays, WrongAnswers
from modelstack.serving.declaration import MOST_NUMBERS, Declaration, Feature
from modelstack.serving.instances import MOST_ROWS, BadRequest, Reader, Rows, bounded, cut, shown, values_of

NUMBERS = {
    "FP64": "<f8",
    "FP32": "<f4",
    "FP16": "<f2",
    **{f"{sign}INT{bits}": f"<{sign.lower() or 'i'}{bits // 8}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
"""Numeric datatypes and their NumPy types."""
DATATYPES = {"number": "FP64", "boolean": "BOOL", "text": "BYTES", "bytes": "BYTES"}
_OF_DTYPE = {"float64": "FP64", "float32": "FP32", "int64": "INT64", "int32": "INT32", "uint8": "UINT8"}
_MOST_DIMENSIONS = 8


MOST_TENSORS = 1000
"""The most inputs or outputs of a large request."""
_SMALL = 64 * 1024  # bytes of JSON whose lists need no bound while they are read
_Name = Annotated[str, msgspec.Meta(max_length=1024)]
_Scalar = bool | int | float | str | None


class _Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A row of a tensor of shape [rows, 1]."""

    value: bool | int | float | str | None


class _Parameters(msgspec.Struct, frozen=True):
    """The known ones of a request, an input or an output; others are skipped."""

    binary_data_output: bool = False
    binary_data_size: int | None = None
    binary_data: bool | None = None


def _request(array: Callable[[Any, int], Any]) -> Callable[[bytes], Any]:
    """What reads requests with such lists."""
    parameters = ("parameters", _Parameters, _Parameters())
    data = ("data", msgspec.Raw, msgspec.Raw(b"null"))
    shape = ("shape", array(int, _MOST_DIMENSIONS + 1))
    tensor = msgspec.defstruct("Tensor", [("name", str), shape, ("datatype", str), data, parameters])
    output = msgspec.defstruct("Output", [("name", _Name), parameters])
    lists = [("inputs", array(tensor, MOST_TENSORS)), ("outputs", array(output, MOST_TENSORS) | None, None)]
    return msgspec.json.Decoder(msgspec.defstruct("Request", [*lists, ("id", _Name, ""), parameters])).decode


def _listed(item: Any, most: int) -> Any:
    return list[item]


_decode, _decode_large = _request(_listed), _request(bounded)
_data, _data_large = (msgspec.json.Decoder(array(_Scalar | _Row, MOST_ROWS + 1)).decode for array in (_listed, bounded))


@dataclass(frozen=True)
class ReplyForm:
    """The requested form of the answer.

    Attributes:
        id: The request's own id, returned with the answer.
        binary: Whether tensors are bytes where an output does not say.
        outputs: The requested outputs, each with whether it is bytes; empty for all.
    """

    id: str = ""
    binary: bool = False
    outputs: Mapping[str, bool] = field(default_factory=dict[str, bool])


def metadata(name: str, version: str, declared: Declaration, answer: Answers) -> dict[str, Any]:
    """The answer of `GET /v2/models/NAME`; the sealed example's answer has the outputs."""
    inputs = [{"name": one.name, "datatype": _input_type(one), "shape": [-1, *one.shape]} for one in declared.features]
    outputs = [
        {"name": name, "datatype": _datatype(values), "shape": [-1, *_shape(values)]}
        for name, values in answer.flat().items()
    ]
    return {"name": name, "versions": [version], "platform": "modelstack", "inputs": inputs, "outputs": outputs}


def infer(reader: Reader, declared: Declaration, head_length: bytes | None, body: bytes) -> tuple[Rows, ReplyForm]:
    """Read an inference request: JSON, of `head_length` bytes if the header is sent, and bytes of tensors after it.

    Raises:
        BadRequest: It is invalid.
    """
    length = len(body)
    if head_length is not None:
        if not head_length.isdigit() or len(head_length) > 9 or int(head_length) > length:
            raise BadRequest(
                400,
                f"Inference-Header-Content-Length is {shown(head_length.decode('latin-1'))}: expected 0 to {length}",
            )
        length = int(head_length)
    try:
        request = (_decode if length <= _SMALL else _decode_large)(body[:length])
    except RecursionError:
        raise BadRequest(400, "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(400, f"the body is no inference request: {error}") from None
    columns = _columns(
        values_of(request.inputs), memoryview(body)[length:], {one.name: one for one in declared.features}
    )
    sizes = {len(values) for values in columns.values()}
    if len(sizes) != 1 or not 1 <= min(sizes) <= MOST_ROWS:
        raise BadRequest(400, f"inputs: found {sorted(sizes)} rows: expected as many in each, 1 to {MOST_ROWS}")
    names = list(columns)
    rows = reader.documents([dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    binary = request.parameters.binary_data_output
    outputs = {
        one.name: binary if one.parameters.binary_data is None else one.parameters.binary_data
        for one in values_of(request.outputs or [])
    }
    return rows, ReplyForm(request.id, binary, outputs)


def response(
    name: str, version: str, wanted: ReplyForm, answers: Answers, *, first: int, end: int
) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON if bytes of tensors follow. Raises BadRequest, WrongAnswers."""
    flat = answers.flat()
    for output in wanted.outputs:
        if output not in flat:
            raise BadRequest(400, f"outputs: {shown(output)} is not allowed: expected {', '.join(flat)}")
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for output in wanted.outputs or flat:
        values = flat[output]
        if isinstance(values, Arrays):
            datatype, shape = _datatype(values), [end - first, *values.shape]
            values = _nested(values[first:end], len(values.shape))
        else:
            values = values[first:end]
            datatype, shape = _datatype(values), [len(values)]
        if None in values:
            raise WrongAnswers(f"predict returned null as {output} of row {values.index(None)}: no tensor holds it")
        tensor: dict[str, Any] = {"name": output, "datatype": datatype, "shape": shape}
        if wanted.outputs.get(output, wanted.binary):
            parts.append(_bytes(values, datatype))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = values
        outputs.append(tensor)
    document = {"model_name": name, "model_version": version, "outputs": outputs}
    if wanted.id:
        document["id"] = wanted.id
    head = msgspec.json.encode(document)
    return (b"".join([head, *parts]), len(head)) if parts else (head, None)


def _columns(inputs: Sequence[Any], rest: memoryview, features: Mapping[str, Feature]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        where = f"inputs.{tensor.name if tensor.name in features else shown(tensor.name)}"
        feature = features.get(tensor.name)
        if feature is None:
            raise BadRequest(400, f"{where}: unknown input; expected {', '.join(features)}")
        if tensor.name in columns:
            raise BadRequest(400, f"{where}: found twice")
        shape = values_of(tensor.shape)
        own = list(feature.shape)
        size = shape[0] if (shape[1:] == own if own else shape[1:] in ([], [1])) and shape else -1
        if not 0 <= size <= MOST_ROWS or size * feature.size > MOST_NUMBERS:
            expected = ", ".join(["rows", *map(str, own)])
            problem = f"shape {shown(shape)} is not allowed: expected [{expected}], at most {MOST_ROWS} rows"
            raise BadRequest(400, f"{where}: {problem}{f' and {MOST_NUMBERS:,} numbers' if own else ''}")
        length = tensor.parameters.binary_data_size
        if length is None:
            values = _arrays(where, tensor.data, feature) if own else _flat(where, tensor.data)
        else:
            if not 0 <= length <= len(rest):
                raise BadRequest(400, f"{where}: binary_data_size is {shown(length)}: expected 0 to {len(rest)}")
            values = _values(where, tensor.datatype, rest[:length], size * feature.size, feature)
            values, rest = _folded(values, feature.shape), rest[length:]
        if len(values) != size:
            raise BadRequest(400, f"{where}: found {len(values):,} values: expected {size:,}, as its shape says")
        columns[tensor.name] = values if own else [_value(one, feature) for one in values]
    if rest:
        raise BadRequest(400, f"{len(rest):,} bytes follow the tensors")
    return columns


def _flat(where: str, data: msgspec.Raw) -> list[Any]:
    """The values of a tensor's JSON, each alone or in a list for each row."""
    content = memoryview(data)
    try:
        values = values_of((_data if len(content) <= _SMALL else _data_large)(content))
    except msgspec.DecodeError as error:
        raise BadRequest(400, f"{where}: data is {cut(str(content[:61], errors='replace'))}: {error}") from None
    return [one.value if isinstance(one, _Row) else one for one in values]


def _arrays(where: str, data: msgspec.Raw, feature: Feature) -> list[Any]:
    """The nested list of each row, from nested lists or from a flat one."""
    if (found := bytes(data).count(b",")) > MOST_NUMBERS:
        raise BadRequest(400, f"{where}: found {found:,} commas: expected at most {MOST_NUMBERS:,} numbers")
    try:
        values = msgspec.json.decode(data, type=list[Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(400, f"{where}: {error}") from None
    return values if values and isinstance(values[0], list) else _folded(values, feature.shape)


def _folded(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """A flat list as nested lists of this shape; what does not fit is in the last one."""
    for length in reversed(shape):
        values = [values[first : first + length] for first in range(0, len(values), length)]
    return values


def _nested(values: list[Any], depth: int) -> list[Any]:
    """The values of nested lists, in their order."""
    for _ in range(depth):
        values = [one for part in values for one in part]
    return values


def _values(where: str, datatype: str, data: memoryview, size: int, feature: Feature) -> list[Any]:
    try:
        if datatype == "BYTES":
            return _texts(data, size, feature.kind == "bytes")
        kind = np.dtype("?" if datatype == "BOOL" else NUMBERS[datatype])
        if len(data) != size * kind.itemsize:
            raise ValueError(f"found {len(data):,} bytes: expected {size * kind.itemsize:,}, as its shape says")
        return np.frombuffer(data, kind).tolist()
    except KeyError:
        allowed = ", ".join([*NUMBERS, "BOOL", "BYTES"])
        raise BadRequest(400, f"{where}: datatype {shown(datatype)} is not allowed: expected {allowed}") from None
    except (ValueError, struct.error) as error:
        raise BadRequest(400, f"{where}: its bytes are no {datatype}: {error}") from None


def _texts(data: memoryview, most: int, raw: bool) -> list[Any]:
    """Texts, each after its length in four bytes; bytes if `raw`, as base64."""
    found: list[str] = []
    place = 0
    while place < len(data):
        if len(found) == most:
            raise ValueError(f"more than {most:,} texts, which its shape says")
        (length,) = struct.unpack_from("<I", data, place)
        place += 4
        if place + length > len(data):
            raise ValueError(f"a text of {length:,} bytes is cut off")
        found.append((b64encode if raw else bytes)(data[place : place + length]).decode())
        place += length
    return found


def _value(value: Any, feature: Feature) -> Any:
    """A tensor's value as in JSON: NaN in a tensor means that a number is missing."""
    if isinstance(value, float) and isnan(value):
        return None
    if feature.kind == "number" and isinstance(value, bool):
        return float(value)
    return value


def _input_type(feature: Feature) -> str:
    return _OF_DTYPE[feature.dtype] if feature.shape else DATATYPES[feature.kind]


def _shape(values: Any) -> tuple[int, ...]:
    return values.shape if isinstance(values, Arrays) else ()


def _datatype(values: Sequence[Any]) -> str:
    if isinstance(values, Arrays):
        return {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}[values.type]
    if all(isinstance(value, bool) for value in values):
        return "BOOL"
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "INT64"
    return "FP64" if all(isinstance(value, int | float) for value in values) else "BYTES"


def _bytes(values: Sequence[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, {"BOOL": "?", "INT64": "<i8", "FP64": "<f8"}[datatype]).tobytes()
