"""Tables as bodies: what is a number in them, and where they end."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import BadRequest, Reader
from modelstack.serving.tables import csv_rows, npy_rows

DECLARED = Declaration.from_dict([{"name": "a", "kind": "number"}, {"name": "b", "kind": "number", "optional": True}])
READER = Reader(DECLARED)


@pytest.mark.parametrize(("text", "value"), [("16", 16), (" 1.5e3", 1500), ("+.5", 0.5), ("-0", 0)])
def test_a_number_is_read_as_other_programs_write_it(text: str, value: float):
    assert csv_rows(READER, DECLARED, f"{text},\n".encode()).values == [(value, None)]


@pytest.mark.parametrize("text", ["1_6", "٣", "\uff11\uff16", "0x10", "1,6", "1 6"])
def test_what_only_python_takes_for_a_number_is_refused(text: str):
    with pytest.raises(BadRequest) as refused:
        csv_rows(READER, DECLARED, f'"{text}",\n'.encode())
    assert refused.value.problems[0].endswith("is not allowed: expected a number")


@pytest.mark.parametrize("after", [b"\0", b"\n", b"\x93NUMPY"])
def test_bytes_after_an_array_are_refused(after: bytes):
    stream = io.BytesIO()
    np.save(stream, np.array([[1.0, np.nan]]))
    assert npy_rows(READER, DECLARED, stream.getvalue()).values == [(1.0, None)]
    with pytest.raises(BadRequest, match=f"^{len(after)} bytes follow the array$"):
        npy_rows(READER, DECLARED, stream.getvalue() + after)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"1,2,3\n", "line 1: found 3 values: expected 2"),
        (b"far,\n", "instances[0].a: 'far' is not allowed: expected a number"),
        (b"nan,\n", "instances[0].a: nan is not allowed"),
        (b"", "the body has no row"),
        (b'"1,2\n', "the body is not CSV"),
        (b"\xff", "the body is not CSV"),
    ],
)
def test_csv_that_does_not_fit_is_refused_in_words(body: bytes, said: str):
    with pytest.raises(BadRequest) as refused:
        csv_rows(READER, DECLARED, body)
    assert refused.value.problems[0].startswith(said)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((1, 3)), "the body is dtype('float64') of shape (1, 3): expected numbers of shape (rows, 2)"),
        (np.array([["a", "b"]]), "the body is dtype('<U1') of shape (1, 2)"),
        (np.full((1, 2), np.nan), "instances[0].a: None is not allowed"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_in_words(array: Any, said: str):
    stream = io.BytesIO()
    np.save(stream, array)
    with pytest.raises(BadRequest) as refused:
        npy_rows(READER, DECLARED, stream.getvalue())
    assert refused.value.problems[0].startswith(said)
