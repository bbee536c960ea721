"""The CBOR of Smithy's RPC protocol."""

from __future__ import annotations

import io
import math

import pytest
from botocore.parsers import RpcV2CBORParser
from hypothesis import given
from hypothesis import strategies as st

from localcloud.server import cbor

# RFC 8949, appendix A, as far as the values have a form here.
EXAMPLES = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f93c00", 1.0),
    ("fa47c35000", 100000.0),
    ("fb3ff199999999999a", 1.1),
    ("f97c00", math.inf),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("a16161f7", {"a": None}),
    ("c11a514b67b0", 1363896240),
    ("c1fb41d452d9ec200000", 1363896240.5),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
    ("7f657374726561646d696e67ff", "streaming"),
    ("9fff", []),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
]
MALFORMED = [
    "", "18", "1c", "ff", "61", "62c3", "9f", "bf", "bf6161ff", "8201", "9bffffffffffffffff", "a1016161", "c0", "c200",
    "c16161", "0000", "5f6161ff", "81ff", "62c328", "81" * 100,
]  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(), inner, max_size=30),
    max_leaves=40,
)


@pytest.mark.parametrize(("encoded", "value"), EXAMPLES)
def test_the_examples_of_the_rfc_are_read(encoded, value):
    assert cbor.loads(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize("encoded", MALFORMED)
def test_malformed_bytes_are_refused(encoded):
    with pytest.raises(cbor.CborError):
        cbor.loads(bytes.fromhex(encoded))


@given(values)
def test_what_is_written_is_read_back(value):
    assert cbor.loads(cbor.dumps(value)) == value


@given(values.filter(lambda value: value is not None))
def test_botocore_reads_what_is_written(value):
    parser = RpcV2CBORParser()
    read = parser.parse_data_item(io.BufferedReader(io.BytesIO(cbor.dumps(value))))
    assert read == without_nulls(value)


def without_nulls(value):
    """botocore leaves nulls out of maps."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        cbor.loads(data)
    except cbor.CborError as error:
        assert str(error)


def test_a_timestamp_is_tagged():
    assert cbor.dumps(cbor.Timestamp(1.5)).hex() == "c1fb3ff8000000000000"
    assert isinstance(cbor.loads(cbor.dumps(cbor.Timestamp(1.5))), cbor.Timestamp)
