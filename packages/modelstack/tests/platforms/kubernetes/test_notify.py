from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from modelstack.platforms.kubernetes.kinds import EVENT, ROLLOUT
from modelstack.platforms.kubernetes.notify import MESSAGE, KubernetesNotify, Webhook, cluster_event
from modelstack.rollout.controller.notice import notice
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.event import Event
from modelstack.rollout.reason import Reason
from tests.listening import Quiet, listening
from tests.platforms.kubernetes.fake_api import FakeApi

ENDPOINT = "flights-prod"
BACK = Event(
    1_767_225_600.5, "1-b", "rolled_back", "b", reason=Reason("person", "ada", "it looks odd"), weights={"v-a": 100}
)
GOOD = Event(1_767_225_700.0, "2-c", "promoted", "c")


@contextmanager
def hook(code: int = 200) -> Generator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    told: list[tuple[dict[str, str], Any]] = []

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((dict(self.headers), json.loads(body)))
            self.send_response(code)
            self.send_header("Location", "http://127.0.0.1:1/secret")
            self.end_headers()

    with listening(Handler) as url:
        yield f"{url}/secret", told


def cluster() -> FakeApi:
    api = FakeApi()
    api.put(ROLLOUT, ENDPOINT)
    return api


def events(api: FakeApi) -> list[dict[str, Any]]:
    return sorted(api.list(EVENT), key=lambda one: one["metadata"]["name"])


def test_an_event_is_shown_with_its_rollout() -> None:
    api = cluster()
    KubernetesNotify(api.as_api, ENDPOINT).send(BACK)
    (told,) = events(api)
    assert told["involvedObject"] == {
        "apiVersion": "modelstack.dev/v1",
        "kind": "Rollout",
        "name": ENDPOINT,
        "namespace": "models",
        "uid": api.get(ROLLOUT, ENDPOINT)["metadata"]["uid"],
    }
    assert (told["type"], told["reason"]) == ("Warning", "RolledBack")
    assert told["message"] == "b rolled back: it looks odd"
    assert told["firstTimestamp"] == told["lastTimestamp"] == "2026-01-01T00:00:00Z"


def test_good_news_are_no_warning() -> None:
    api = cluster()
    KubernetesNotify(api.as_api, ENDPOINT).send(GOOD)
    assert [(one["type"], one["reason"]) for one in events(api)] == [("Normal", "Promoted")]


def test_the_same_event_again_is_the_same_object_and_another_is_another() -> None:
    api = cluster()
    notify = KubernetesNotify(api.as_api, ENDPOINT)
    for event in (BACK, BACK, GOOD):
        notify.send(event)
    assert len(events(api)) == 2


def test_the_longest_reason_still_fits() -> None:
    event = Event(0.0, "1-b", "failed", "b", reason=Reason("endpoint", "endpoint", "ä" * 2000))
    told = cluster_event(event, notice(event, ENDPOINT), ENDPOINT, "models", "u")
    assert len(told["message"].encode()) <= MESSAGE
    assert told["message"].endswith("ä...")


def test_a_webhook_is_told_the_document_with_a_key_that_tells_repeats() -> None:
    api = cluster()
    counted: list[str] = []
    with hook() as (url, told):
        notify = KubernetesNotify(api.as_api, ENDPOINT, Webhook(url), counted=counted.append)
        for event in (BACK, BACK, GOOD):
            notify.send(event)
    documents = [document for _, document in told]
    assert documents[0] == documents[1] == json.loads(json.dumps(notice(BACK, ENDPOINT).document))
    keys = [headers["Idempotency-Key"] for headers, _ in told]
    assert keys[0] == keys[1] != keys[2]
    assert counted == ["rolled_back", "rolled_back", "promoted"]


@pytest.mark.parametrize("code", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_told_again_later(code: int) -> None:
    api = cluster()
    with hook(code) as (url, _), pytest.raises(Unreachable, match=f"127.0.0.1: it answers {code}") as caught:
        KubernetesNotify(api.as_api, ENDPOINT, Webhook(url)).send(BACK)
    assert "secret" not in str(caught.value)
    assert len(events(api)) == 1, "the cluster is told all the same"


def test_a_webhook_that_is_not_there_gives_no_secret_away() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1: ConnectError") as caught:
        Webhook("http://127.0.0.1:1/secret").send(notice(BACK, ENDPOINT))
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r} {Webhook('http://h/secret')!r}"


def test_a_cluster_that_does_not_answer_keeps_no_webhook_waiting() -> None:
    api = cluster()
    api.down = True
    with hook() as (url, told), pytest.raises(RolloutError, match="API server"):
        KubernetesNotify(api.as_api, ENDPOINT, Webhook(url)).send(BACK)
    assert len(told) == 1
