from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.captured import PROBED, REPLAYED, Malformed, Recorded, Side
from modelstack.monitoring.exchanges import read, traffic

ASKED = {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"}
ANSWERED = {"observedContentType": "application/json", "mode": "OUTPUT", "data": '{"p": 0.5}', "encoding": "JSON"}


def line(asked: Any = ASKED, answered: Any = ANSWERED, **meta: Any) -> bytes:
    data = {"endpointInput": asked, "endpointOutput": answered}
    return json.dumps({"captureData": data, "eventMetadata": {"eventId": "e", **meta}, "eventVersion": "0"}).encode()


def one(text: bytes | str) -> Recorded | Malformed:
    (item,) = read([text])
    return item


def test_a_line_is_a_request_with_its_answer() -> None:
    meta = {"inferenceId": "customer-1", "inferenceTime": "2026-01-05T12:00:00Z"}
    sides = Side("text/csv", b"1,2"), Side("application/json", b'{"p": 0.5}')
    assert one(line(**meta)) == Recorded("e", "customer-1", "2026-01-05T12:00:00Z", *sides)
    assert one(line()) == Recorded("e", None, "", *sides)


@pytest.mark.parametrize(("given", "kept"), [(["a=1", 7], ("a=1",)), ("a=1", ("a=1",)), (None, ()), ({}, ())])
def test_custom_attributes_are_texts_and_anything_else_is_none(given: Any, kept: tuple[str, ...]) -> None:
    item = one(line(customAttributes=given))
    assert isinstance(item, Recorded)
    assert item.attributes == kept


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (
            {"observedContentType": "application/x-npy", "encoding": "BASE64", "data": "k05VTVBZ/w=="},
            Side("application/x-npy", b"\x93NUMPY\xff"),
        ),
        ({"data": "{}", "encoding": "JSON"}, Side("application/json", b"{}")),
        ({**ASKED, "data": "Z\u00fcrich"}, Side("text/csv", "Z\u00fcrich".encode())),
        ({**ASKED, "data": "\ud800"}, Side("text/csv", b"\xed\xa0\x80")),
    ],
    ids=["base64", "no content type", "umlaut", "lone surrogate"],
)
def test_a_side_is_its_bytes_and_its_content_type(side: dict[str, str], expected: Side) -> None:
    assert one(line(side, side)) == Recorded("e", None, "", expected, expected)


@pytest.mark.parametrize("missing", [None, {}])
def test_a_side_that_was_not_captured_is_none(missing: Any) -> None:
    assert one(line(answered=missing)) == Recorded("e", None, "", Side("text/csv", b"1,2"), None)
    assert one(line(asked=missing)) == Recorded("e", None, "", None, Side("application/json", b'{"p": 0.5}'))


def test_what_a_replay_or_the_probe_asked_is_told_apart() -> None:
    for name, ours in ((f"{REPLAYED}v-b-3", True), (f"{PROBED}3f", True), ("customer-1", False), ("", False)):
        item = one(line(inferenceId=name))
        assert isinstance(item, Recorded)
        assert item.ours is ours
        assert len(list(traffic([line(inferenceId=name)]))) == (not ours)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"{", "the line is no JSON"),
        (b"\xff", "the line is no JSON"),
        (b"[" * 100_000, "the line is no JSON"),
        (b"[]", "the line: got list, expected an object"),
        (b"3", "the line: got int, expected an object"),
        (b"{}", "captureData: got NoneType, expected an object"),
        (b'{"captureData": {}}', "captureData: got neither endpointInput nor endpointOutput"),
        (b'{"captureData": null}', "captureData: got NoneType, expected an object"),
        (b'{"captureData": {"a": 1}, "eventMetadata": 3}', "eventMetadata: got int, expected an object"),
        (line(answered="x"), "endpointOutput: got str, expected an object"),
        (line(answered={"encoding": "JSON"}), "endpointOutput.data: got NoneType, expected a text"),
        (line({**ASKED, "encoding": "BASE64", "data": 7}), "endpointInput.data: got int, expected a text"),
        (
            line({**ASKED, "encoding": "BASE64", "data": "not base64!"}),
            "endpointInput.data: no base64, though its encoding says so",
        ),
        (line({**ASKED, "encoding": "XML"}), "endpointInput.encoding: got another one than JSON, CSV and BASE64"),
        (line({**ASKED, "encoding": ["JSON"]}), "endpointInput.encoding: got another one than JSON, CSV and BASE64"),
    ],
)
def test_a_line_that_cannot_be_read_says_why_and_does_not_stop_the_rest(broken: bytes, why: str) -> None:
    assert list(read([line(), broken, line()])) == [one(line()), Malformed(why), one(line())]


def test_blank_lines_are_nothing() -> None:
    assert list(read([b"", b"  \n", "\n"])) == []


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_no_line_whatever_makes_it_raise(text: bytes | str) -> None:
    assert all(isinstance(item, Recorded | Malformed) for item in read([text]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES, VALUES)
def test_no_record_whatever_makes_it_raise(asked: Any, answered: Any, meta: Any) -> None:
    data = {"endpointInput": asked, "endpointOutput": {**ANSWERED, "data": answered}}
    assert len(list(read([json.dumps({"captureData": data, "eventMetadata": meta})]))) == 1
