"""Values survive the way to the engine and back."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc

from localcloud.awsplugin.wire import UNKNOWN, Archive, Asset, decode, decode_map, encode, encode_map, has_unknown

words = st.text(min_size=1, max_size=5)
assets = st.one_of(
    st.builds(Asset, path=words, hash=st.none() | st.just("ab")),
    st.builds(Asset, text=words),
    st.builds(Archive, path=words, hash=st.none() | st.just("ab")),
    st.builds(Archive, hash=st.just("ab")),  # a diff is given no more than this
    st.builds(Archive, assets=st.dictionaries(words, st.builds(Asset, text=words), min_size=1, max_size=2)),
)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.one_of(st.booleans(), numbers, words, st.just(UNKNOWN), assets)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(words, values, max_size=4))
def test_what_is_encoded_is_decoded_the_same(props: dict[str, Any]) -> None:
    assert decode_map(encode_map(props)) == props


def test_whole_numbers_are_integers_and_booleans_stay_booleans() -> None:
    assert [type(decode(encode(v))) for v in (1, 1.0, 1.5, True)] == [int, int, float, bool]


def test_a_null_member_is_the_same_as_none() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": None, "b": {"c": None}})
    assert decode_map(struct) == {"b": {}}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (pulumi.FileArchive("./app"), Archive(path="./app")),
        (pulumi.AssetArchive({"a.py": pulumi.StringAsset("x")}), Archive(assets={"a.py": Asset(text="x")})),
        (pulumi.FileAsset("a.txt"), Asset(path="a.txt")),
        (rpc.UNKNOWN, UNKNOWN),
    ],
)
def test_the_sdks_own_encoding_is_understood(value: Any, plain: Any) -> None:
    if isinstance(value, str):
        struct = {"it": value}
    else:
        import asyncio

        struct = {"it": asyncio.run(rpc.serialize_property(value, [], None))}
    message = struct_pb2.Struct()
    message.update(struct)
    assert decode_map(message) == {"it": plain}


def test_a_secret_is_its_value() -> None:
    message = struct_pb2.Struct()
    message.update({"key": {rpc._special_sig_key: rpc._special_secret_sig, "value": "hidden"}})
    assert decode_map(message) == {"key": "hidden"}


def test_an_unknown_is_found_at_any_depth() -> None:
    assert has_unknown({"a": [{"b": UNKNOWN}]})
    assert not has_unknown({"a": [{"b": "known"}]})
