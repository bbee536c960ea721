from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.capture import Exchange, Unreadable, read

ROWS = [{"distance": 1400.0, "carrier": "UA"}, {"distance": 200.0, "carrier": "B6"}]
ANSWERS = [{"late": True, "probability": 0.61}, {"late": False, "probability": 0.1}]


def line(
    body: object = None, encoding: str = "JSON", output: object = None, meta: dict[str, Any] | None = None
) -> bytes:
    def part(content: object, mode: str) -> dict[str, Any]:
        text = content if isinstance(content, str) else json.dumps(content)
        data = base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text
        return {"observedContentType": "application/json", "mode": mode, "data": data, "encoding": encoding}

    captured = {"endpointInput": part({"instances": ROWS} if body is None else body, "INPUT")}
    if output != "none":
        captured["endpointOutput"] = part({"predictions": ANSWERS} if output is None else output, "OUTPUT")
    event = {"eventId": "e1", "inferenceTime": "2026-01-05T12:00:00Z", **(meta or {})}
    return json.dumps({"captureData": captured, "eventMetadata": event, "eventVersion": "0"}).encode()


@pytest.mark.parametrize("encoding", ["JSON", "BASE64"])
def test_a_captured_exchange_is_read_from_json_and_from_base64(encoding: str) -> None:
    (item,) = read([line(encoding=encoding, meta={"inferenceId": "flight-7"})])
    assert item == Exchange("e1", "flight-7", "2026-01-05T12:00:00Z", tuple(ROWS), tuple(ANSWERS))


def test_a_request_counts_although_its_answer_is_missing_or_broken() -> None:
    for output in ("none", "not json", {"other": 1}):
        (item,) = read([line(output=output)])
        assert isinstance(item, Exchange)
        assert (len(item.instances), item.predictions) == (2, ())


@pytest.mark.parametrize(
    "bad",
    [
        b"not json", b"[]", b"{}", b'{"captureData": {}}', b"\xff\xfe", line(body="a,b,c"), line(encoding="CSV"),
        line(body={"rows": []}), line(body={"instances": "x"}), line(body={"instances": [1]}), line(body=[1, 2]),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_says_why_and_does_not_stop_the_rest(bad: bytes) -> None:
    first, second, third = read([line(), bad, line()])
    assert isinstance(second, Unreadable)
    assert second.why
    assert isinstance(first, Exchange)
    assert isinstance(third, Exchange)


def test_blank_lines_are_nothing() -> None:
    assert list(read([b"", b"  \n", "\n"])) == []


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_no_line_whatever_makes_it_raise(text: bytes | str) -> None:
    assert all(isinstance(item, Exchange | Unreadable) for item in read([text]))
