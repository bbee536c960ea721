"""What `modelstack model init net.onnx` reads: the inputs of an ONNX file, as the features of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelstack.cli.errors import OperatorError

_DTYPES = {
    "double": "float64",
    "float": "float32",
    "float16": "float32",
    "uint8": "uint8",
    "int64": "int64",
    "uint32": "int64",
}
_DTYPES |= dict.fromkeys(("int32", "int16", "int8", "uint16"), "int32")
_RANGES = {
    "int16": (-(2**15), 2**15 - 1),
    "int8": (-(2**7), 2**7 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
}
_SINGLE = {"bool": "boolean", "string": "text"}


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Input -> what `FEATURES` declares of it; OperatorError if it is no ONNX file, or has inputs of another form."""
    import onnxruntime  # noqa: PLC0415 - only a model of an ONNX file needs it

    try:
        inputs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()
    except Exception as error:  # whatever onnxruntime raises
        raise OperatorError(f"{path}: expected an ONNX file that onnxruntime reads: {error}") from None
    if wrong := [f"input {one.name}: {why}" for one in inputs for why in _wrong(one)]:
        raise OperatorError(
            f"{path}: {'; '.join(wrong)}",
            "Export the file again with other inputs, or write a class around it: docs/how-to/own-model.md.",
        )
    return {one.name: dict(_feature(one)) for one in inputs}


def _type(one: Any) -> str:
    return one.type.removeprefix("tensor(").removesuffix(")")


def _single(one: Any) -> bool:
    """Whether a row has one value, which converters also make a list of one."""
    return one.shape[1:] in ([], [1])


def _wrong(one: Any) -> Iterator[str]:
    if _type(one) not in {*_DTYPES, *_SINGLE}:
        yield f"found the type {one.type}; expected one of {', '.join((*_DTYPES, *_SINGLE))}"
    elif not one.shape or isinstance(one.shape[0], int):
        yield f"found the shape {one.shape}; expected a first dimension of any length, for the rows of a request"
    elif not all(isinstance(length, int) for length in one.shape[1:]):
        yield f"found the shape {one.shape}; expected fixed lengths after the first dimension"
    elif _type(one) in _SINGLE and not _single(one):
        yield f"found the shape {one.shape} of {one.type}; expected one value a row, as arrays are of numbers"


def _feature(one: Any) -> Iterator[tuple[str, Any]]:
    kind = _type(one)
    if kind in _SINGLE:
        yield "kind", _SINGLE[kind]
    elif not _single(one):
        yield from (("shape", one.shape[1:]), ("dtype", _DTYPES[kind]))
    if kind in _RANGES:
        yield from zip(("low", "high"), _RANGES[kind], strict=True)
    elif _single(one) and kind not in _SINGLE:
        yield "kind", "number"
