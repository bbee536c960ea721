"""Tables as bodies: what is a number in them, and where they end."""

from __future__ import annotations

import io

import numpy as np
import pytest

from serving.declaration import Declaration
from serving.instances import BadRequest, Reader
from serving.tables import csv_rows, npy_rows

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
