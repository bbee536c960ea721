"""Bodies within the limit of bytes whose values would take many times their memory: all are refused, and cheaply."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from modelstack.serving import open_inference
from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import BadRequest, Reader
from modelstack.serving.server import Limits
from modelstack.serving.tables import csv_rows, npy_rows

pytestmark = pytest.mark.slow
DECLARED = Declaration.from_dict(
    [{"name": "a", "kind": "number", "optional": True}, {"name": "b", "kind": "text", "optional": True}]
)
NUMBERS = Declaration.from_dict([{"name": name, "kind": "number"} for name in "ab"])
READER = Reader(DECLARED)
FULL = Limits().body


def repeated(item: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + item * ((FULL - len(before) - len(after)) // len(item)) + after


def inference(body: bytes) -> None:
    head = body.find(b"\0")
    length = None if head < 0 else b"%d" % head
    open_inference.infer(READER, DECLARED, length, body[:head] + body[head + 1 :] if head >= 0 else body)


TENSOR = b'{"inputs": [{"name": "a", "shape": [1000], "datatype": "%b", "parameters": {"binary_data_size": %d}}]}'


def tensor(kind: bytes, content: bytes) -> bytes:
    return TENSOR % (kind, len(content)) + b"\0" + content


JSON_BOMBS = {
    "instances of nothing": repeated(b"{},", b'{"instances": [', b"{}]}"),
    "lists": repeated(b"[],", b'{"instances": [', b"[]]}"),
    "fields": b'{"instances": [{%b}]}' % b",".join(b'"%x":0' % number for number in range(500_000)),
    "lists in a value": repeated(b"[],", b'{"instances": [{"a": [', b"[]]}]}"),
    "keys": b"{%b}" % b",".join(b'"%x":[]' % number for number in range(450_000)),
    "depth": repeated(b"["),
    "depth of objects": repeated(b'{"instances":'),
    "digits": repeated(b"9", b'{"instances": [{"a": ', b"}]}"),
    "escapes": repeated(b"\\u0001", b'{"instances": [{"a": "', b'"}]}'),
    "zeros of a fraction": repeated(b"0", b'{"instances": [{"a": "x", "b": 0.', b"1}]}"),
}
INFERENCE_BOMBS = {
    "tensors": repeated(b'{"name":"","shape":[],"datatype":""},', b'{"inputs": [', b'{"name":""}]}'),
    "outputs": repeated(b'{"name":"ab"},', b'{"inputs": [], "outputs": [', b'{"name":""}]}'),
    "lists": repeated(b"[],", b'{"inputs": [{"name":"a","shape":[1],"datatype":"FP64","data":[', b"[]]}]}"),
    "numbers": repeated(b"999,", b'{"inputs": [{"name":"a","shape":[1],"datatype":"FP64","data":[', b"1]}]}"),
    "parameters": repeated(b"[],", b'{"inputs": [], "parameters": {"x": [', b"[]]}}"),
    "shape": repeated(b"0,", b'{"inputs": [{"name":"a","datatype":"FP64","shape":[', b"1]}]}"),
    "id": repeated(b"x", b'{"inputs": [], "id": "', b'"}'),
    "depth": repeated(b"[", b'{"inputs": [{"name":"a","shape":[1],"datatype":"FP64","data":'),
    "halves": tensor(b"FP16", bytes(FULL - 200)),
    "bytes": tensor(b"INT8", bytes(FULL - 200)),
    "booleans": tensor(b"BOOL", bytes(FULL - 200)),
    "texts": tensor(b"BYTES", repeated(b"\2\0\0\0xy")[: (FULL - 200) // 6 * 6]),
}
CSV_BOMBS = {
    "rows": repeated(b"1,\n"),
    "lines of nothing": repeated(b"\n"),
    "old lines of nothing": repeated(b"\r"),
    "commas": repeated(b","),
    "quotes": repeated(b'"\n",'),
    "one text": repeated(b"x"),
    "one wide text": "\U0001f600".encode() + repeated(b"x")[:-4],
}


def npy(dtype: str, shape: str, content: bytes = b"", version: bytes = b"\1\0", order: str = "False") -> bytes:
    head = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + version + len(head).to_bytes(2 if version == b"\1\0" else 4, "little") + head + content


NPY_BOMBS = {
    "numbers of a byte": npy("'|u1'", f"({FULL // 2 - 64}, 2)", bytes(FULL - 128)),
    "a huge shape": npy("'<f8'", "(10000000, 2)"),
    "a shape beyond 64 bits": npy("'<f8'", f"({10**30}, 2)"),
    "a negative shape": npy("'<f8'", "(-1, 2)", bytes(16)),
    "objects": npy("'|O'", "(1, 2)", bytes(16)),
    "a record": npy("[('a', '<f8'), ('b', '<f8')]", "(1, 2)", bytes(32)),
    "many fields": npy(str([(f"f{one}", "<f8") for one in range(400)]), "(1, 2)", bytes(16)),
    "a type without bytes": npy("'|S0'", f"({2**62}, 2)"),
    "an array as a type": npy("('<f8', (100000, 100000))", "(1, 2)"),
    "an unknown version": npy("'<f8'", "(1, 2)", bytes(16), version=b"\t\t"),
    "version 3": npy("'<f8'", "(1, 2)", bytes(16), version=b"\3\0"),
    "an unclosed bracket": npy("((", "(1, 2)"),
    "an unclosed text": npy("'<f8'", "(1L, '''"),
    "depth": npy("(" * 5000, "(1, 2)"),
    "a long header": npy("'<f8'", "(1, 2)" + " " * 60_000, bytes(16)),
    "an order that is none": npy("'<f8'", "(1, 2)", bytes(16), order="9"),
    "an archive": b"PK\3\4" + bytes(200),
    "a pickle": b"\x80\4\x95" + bytes(200),
    "nothing": b"",
    "no header": b"\x93NUMPY\1\0",
}
READERS: dict[str, tuple[Callable[[bytes], object], dict[str, bytes]]] = {
    "json": (READER.json, JSON_BOMBS),
    "inference": (inference, INFERENCE_BOMBS),
    "csv": (lambda body: csv_rows(READER, DECLARED, body), CSV_BOMBS),
    "npy": (lambda body: npy_rows(Reader(NUMBERS), NUMBERS, body), NPY_BOMBS),
}


@pytest.mark.parametrize(
    ("reader", "bomb"), [(reader, bomb) for reader, (_, bombs) in READERS.items() for bomb in bombs]
)
def test_a_bomb_is_refused_before_it_takes_thrice_the_memory_of_the_largest_body(reader: str, bomb: str):
    read, bombs = READERS[reader]
    assert len(bombs[bomb]) <= FULL
    tracemalloc.start()
    try:
        with pytest.raises(BadRequest) as refused:
            read(bombs[bomb])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status == 400
    assert len(str(refused.value)) < 10_000
    assert peak < 3 * FULL


def test_a_large_body_of_honest_rows_is_read_as_a_small_one_is():
    text = "a long text, with {commas} and [brackets]" * 20
    rows = [f'{{"a": {number}, "b": "{text}"}}' for number in range(1000)]
    assert READER.json(f'{{"instances": [{",".join(rows)}]}}'.encode()).values == [
        (float(number), text) for number in range(1000)
    ]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<i2", "?"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_array_is_read_in_either_order_and_any_type_of_numbers(order: str, kind: str, version: tuple[int, int]):
    array = np.array([[0, 1], [1, 0], [1, 1]], dtype=kind, order="F" if order == "F" else "C")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    assert npy_rows(Reader(NUMBERS), NUMBERS, stream.getvalue()).values == [(0, 1), (1, 0), (1, 1)]
