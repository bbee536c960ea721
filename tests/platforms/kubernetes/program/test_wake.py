from __future__ import annotations

import json
from typing import Any

import pytest

from platforms.kubernetes.program.wake import NoCall, endpoints

CALL: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="fails"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "modelstack",
    "groupLabels": {"alertname": "fails"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "fails", "endpoint": "flights-prod", "variant": "v-1"},
            "annotations": {"summary": "it fails"},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "a1",
        }
    ],
}
ALERT: dict[str, Any] = CALL["alerts"][0]


def call(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({**CALL, "alerts": alerts}).encode()


def test_each_endpoint_is_woken_once() -> None:
    other = {**ALERT, "labels": {"endpoint": "other"}}
    assert endpoints(call(ALERT, other, ALERT)) == ("flights-prod", "other")


def test_what_rings_no_more_and_what_names_no_endpoint_wakes_nobody() -> None:
    ended, nameless = {**ALERT, "status": "resolved"}, {**ALERT, "labels": {"alertname": "x", "endpoint": 3}}
    assert endpoints(call(ended, nameless, {"status": "firing"})) == ()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"alerts": {}}', b'{"alerts": [1]}', b"\xff", b"null"])
def test_what_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(NoCall, match=r"no JSON|no list `alerts`"):
        endpoints(body)
