"""How a line of SageMaker's data capture is read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rollout.captured import OWN, Captured, exchange

ASKED = {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"}
ANSWERED = {"observedContentType": "application/json", "mode": "OUTPUT", "data": '{"p": 0.5}', "encoding": "JSON"}


def line(asked: Any = ASKED, answered: Any = ANSWERED, inference_id: str | None = None) -> bytes:
    metadata = {"eventId": "e"} if inference_id is None else {"eventId": "e", "inferenceId": inference_id}
    data = {"endpointInput": asked, "endpointOutput": answered}
    return json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}).encode()


def test_a_line_is_a_request_with_its_answer() -> None:
    assert exchange(line()) == Captured(b"1,2", "text/csv", "application/json", b'{"p": 0.5}')
    assert exchange(line(inference_id="customer-1")) == exchange(line())


def test_bytes_come_in_base64() -> None:
    body = b"\x93NUMPY\xff"
    coded = {"observedContentType": "application/x-npy", "encoding": "BASE64", "data": base64.b64encode(body).decode()}
    captured = exchange(line(coded, coded))
    assert captured == Captured(body, "application/x-npy", "application/x-npy", body)


def test_what_does_not_say_its_content_type_is_json() -> None:
    bare = {"data": "{}", "encoding": "JSON"}
    assert exchange(line(bare, bare)) == Captured(b"{}", "application/json", "application/json", b"{}")


def test_text_is_sent_in_utf_8() -> None:
    captured = exchange(line({**ASKED, "data": "Z\u00fcrich"}))
    assert captured is not None
    assert captured.body == "Z\u00fcrich".encode()


def test_a_replayed_request_is_not_replayed_again() -> None:
    assert exchange(line(inference_id=f"{OWN}v-b-3")) is None


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"3",
        b'{"captureData": {}}',
        b'{"captureData": null}',
        line(answered=None),
        line(answered={"encoding": "JSON"}),
        line({**ASKED, "encoding": "BASE64", "data": "not base64!"}),
        line({**ASKED, "encoding": "BASE64", "data": 7}),
    ],
)
def test_a_line_without_a_request_and_its_answer_is_passed_over(broken: bytes) -> None:
    assert exchange(broken) is None
