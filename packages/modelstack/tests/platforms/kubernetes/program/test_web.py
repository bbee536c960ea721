from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from modelstack.platforms.kubernetes.program import web
from modelstack.platforms.kubernetes.program.counts import Counts
from modelstack.platforms.kubernetes.program.listening import Listening, NotListening
from modelstack.platforms.kubernetes.program.process import Process
from modelstack.platforms.kubernetes.program.store import Store
from modelstack.platforms.kubernetes.program.web import app
from modelstack.rollout.core.errors import RolloutError, Unreachable

TOKEN = {"x-modelstack-token": "right"}
LINES = b'{"a": 1}\n{"a": 2}\n'


def answering(**given: Any) -> Starlette:
    nobody: Callable[..., None] = lambda *_: None  # noqa: E731
    whole = {"knows": {"flights"}.__contains__, "alive": str, "ready": str, "wake": nobody, "tell": nobody}
    process = SimpleNamespace(**{name: given.pop(name, call) for name, call in whole.items()})
    admits = given.pop("admits", lambda endpoint, token: True)
    store = SimpleNamespace(**{"measured": str, **given}) if given else None
    return app(Counts("models"), cast(Process, process), admits, cast(Store, store))


@contextmanager
def served(**given: Any) -> Generator[httpx.Client]:
    listening = Listening.at("127.0.0.1", 0, answering(**given))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.port}") as client:
            yield client
    finally:
        listening.stop(5)
        assert not listening.thread.is_alive()


@pytest.mark.slow
def test_it_says_how_it_is() -> None:
    with served(alive=lambda: "threads that do not go on: lease") as client:
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (200, "ok\n")
        found = client.get("/healthz")
        assert (found.status_code, found.text) == (503, "threads that do not go on: lease\n")


@pytest.mark.slow
def test_a_wake_needs_the_token_of_its_endpoint_and_its_body_is_not_read() -> None:
    woken: list[str] = []
    with served(wake=woken.append, admits=lambda endpoint, given: given == f"of {endpoint}") as client:
        for bad in ({}, {"authorization": "Bearer of others"}, {"authorization": "of others"}, TOKEN):
            assert client.post("/wake/flights", json={"alerts": []}, headers=bad).status_code == 401
        assert client.post("/wake/nobody", headers={"authorization": "Bearer of nobody"}).status_code == 404
        assert woken == []
        for body in (b"", b"{", b"[" * 500_000):
            answer = client.post("/wake/flights", content=body, headers={"authorization": "Bearer of flights"})
            assert answer.status_code == 202
        assert woken == ["flights"] * 3
        assert client.get("/wake/flights").status_code == 405
        metrics = client.get("/metrics").text
    assert 'modelstack_controller_wakes_total{endpoint="flights",namespace="models"} 3.0' in metrics
    assert "nobody" not in metrics


def test_captures_and_labels_are_kept_under_their_names() -> None:
    kept: list[tuple[str, str, str, bytes]] = []
    taking = {
        kind: lambda endpoint, name, lines, kind=kind: kept.append((kind, endpoint, name, lines))
        for kind in ("captures", "labels")
    }
    with served(**taking) as client:
        assert client.post("/captures/flights/v-1", content=LINES).status_code == 204
        assert client.post("/labels/flights/monday", content=LINES).status_code == 204
        metrics = client.get("/metrics").text
    assert kept == [("captures", "flights", "v-1", LINES), ("labels", "flights", "monday", LINES)]
    assert 'modelstack_controller_captures_total{code="204",endpoint="flights",namespace="models"} 1.0' in metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", path) for path in ("captures/flights/v-1", "labels/flights/monday")),
        *(("GET", path) for path in ("standings/flights", "records/flights", "predictions/flights?id=x")),
    ],
)
def test_who_has_not_the_token_of_the_endpoint_brings_and_gets_nothing(method: str, path: str) -> None:
    calls, asked = list[object](), list[tuple[str, str]]()

    def admits(endpoint: str, given: str) -> bool:
        asked.append((endpoint, given))
        return given == "right"

    def call(*given: object) -> dict[str, object]:
        calls.append(given)
        return {"told": True}

    kinds = ("captures", "labels", "standings", "records", "predictions")
    with served(**dict.fromkeys(kinds, call), admits=admits) as client:
        for token in ("", "wrong"):
            answer = client.request(method, path, content=LINES, headers={"x-modelstack-token": token})
            assert (answer.status_code, calls) == (401, [])
            assert "the token of Secret flights-token" in answer.text
        answer = client.request(method, path, content=LINES, headers=TOKEN)
        assert answer.status_code == 204 if method == "POST" else answer.json() == {"told": True}
    assert asked == [("flights", token) for token in ("", "wrong", "right")]


def test_it_cannot_be_told_now_whose_a_token_is() -> None:
    def admits(*_: object) -> bool:
        raise Unreachable("the API server does not answer")

    with served(captures=lambda *_: None, admits=admits) as client:
        assert client.post("/captures/flights/v-1", content=LINES).status_code == 503


@pytest.mark.parametrize(
    ("error", "code"), [(Unreachable("the database is down"), 503), (RolloutError("no lines of JSON"), 400)]
)
def test_what_cannot_be_kept_is_told_to_the_one_who_brought_it(error: RolloutError, code: int) -> None:
    def keep(*_: object) -> None:
        raise error

    with served(captures=keep) as client:
        answer = client.post("/captures/flights/v-1", content=LINES)
    assert (answer.status_code, answer.text) == (code, f"{error}\n")
    assert ("retry-after" in answer.headers) == (code == 503)


@pytest.mark.slow
def test_what_nobody_asked_for_is_not_taken() -> None:
    kept: list[object] = []
    with served(captures=lambda *given: kept.append(given)) as client:
        assert client.post("/captures/nobody/v-1", content=LINES).status_code == 404
        assert client.post("/captures/flights", content=LINES).status_code == 404
        without_length = client.post("/captures/flights/v-1", content=iter([LINES]))
        assert (without_length.status_code, "Content-Length" in without_length.text) == (400, True)
        too_large = client.post("/captures/flights/v-1", content=bytes(web.MOST_BYTES + 1))
        assert (too_large.status_code, kept) == (413, [])
    with served() as client:
        without = client.post("/labels/flights/monday", content=LINES)
        assert (without.status_code, without.text) == (404, "this controller has no database: set DATABASE_URL\n")


@pytest.mark.slow
def test_more_than_can_be_kept_at_a_time_is_refused_and_nothing_else_waits() -> None:
    go_on, under_way = threading.Event(), threading.Semaphore(0)

    def keep(*_: object) -> None:
        under_way.release()
        go_on.wait(20)

    half = bytes(web.MOST_BYTES)
    with served(captures=keep) as client, ThreadPoolExecutor(2) as pool:
        first = [pool.submit(client.post, "/captures/flights/v-1", content=half, timeout=30) for _ in range(2)]
        assert under_way.acquire(timeout=20)
        assert under_way.acquire(timeout=20)
        assert client.post("/captures/flights/v-1", content=LINES).status_code == 503
        assert client.get("/healthz", timeout=2).status_code == 200
        go_on.set()
        assert [one.result().status_code for one in first] == [204, 204]
        assert client.post("/captures/flights/v-1", content=LINES).status_code == 204


@pytest.mark.slow
def test_a_database_that_hangs_takes_neither_health_nor_tokens_with_it() -> None:
    go_on = threading.Event()
    posts = 220

    def keep(*_: object) -> None:
        go_on.wait(60)

    async def call(url: httpx.URL) -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(), headers=TOKEN) as client:
            under_way = {asyncio.create_task(client.post("/captures/flights/v-1", content=LINES)) for _ in range(posts)}
            codes: list[int] = []
            while len(codes) < posts - web.MOST_CALLS:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED, timeout=30)
                assert done, codes
                codes += [one.result().status_code for one in done]
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/standings/flights")).status_code == 503
            go_on.set()
            assert {(await one).status_code for one in under_way} == {204}
            return codes

    with served(captures=keep, standings=lambda *_: {}, admits=lambda _, given: given == "right") as client:
        try:
            assert asyncio.run(call(client.base_url)) == [503] * (posts - web.MOST_CALLS)
        finally:
            go_on.set()


def test_connections_that_ask_nothing_are_in_the_way_of_no_call() -> None:
    with served() as client, ExitStack() as idle:
        for _ in range(220):
            idle.enter_context(socket.create_connection(("127.0.0.1", client.base_url.port or 0)))
        assert client.get("/healthz").status_code == 200


def test_who_has_no_token_does_not_wait_for_the_database() -> None:
    go_on, under_way = threading.Event(), threading.Semaphore(0)

    def keep(*_: object) -> None:
        under_way.release()
        go_on.wait(20)

    with (
        served(captures=keep, admits=lambda _, given: given == "right") as client,
        ThreadPoolExecutor(web._KEEPERS) as pool,
    ):
        post = partial(client.post, "/captures/flights/v-1", content=LINES)
        kept = [pool.submit(post, headers=TOKEN, timeout=30) for _ in range(web._KEEPERS)]
        for _ in kept:
            assert under_way.acquire(timeout=20)
        try:
            assert post().status_code == 401
        finally:
            go_on.set()
        assert {one.result().status_code for one in kept} == {204}


def test_our_metrics_are_there_when_the_database_is_not() -> None:
    def measured() -> str:
        raise Unreachable("the database does not answer")

    with served(measured=measured) as client:
        found = client.get("/metrics")
    assert found.status_code == 200
    samples = [s for family in text_string_to_metric_families(found.text) for s in family.samples]
    assert [s.value for s in samples if s.name == "modelstack_store_reachable"] == [0.0]


@pytest.mark.slow
def test_our_metrics_wait_only_shortly_for_a_database_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_MEASURED_SECONDS", 0.2)
    monkeypatch.setattr(web, "_FRESH_SECONDS", 0.0)
    go_on, looks = threading.Event(), 0

    def measured() -> str:
        nonlocal looks
        looks += 1
        assert go_on.wait(60)
        return f"modelstack_accuracy_sum {looks}\n"

    with served(measured=measured) as client:
        try:
            for _ in range(2):
                assert "modelstack_store_reachable 0.0" in client.get("/metrics").text
            assert looks == 1, "the first look is still under way"
        finally:
            go_on.set()
        monkeypatch.setattr(web, "_MEASURED_SECONDS", 20.0)
        for look in (1, 2):
            text = client.get("/metrics").text
            assert f"modelstack_accuracy_sum {look}\n" in text
            assert "modelstack_store_reachable 1.0" in text


def test_metrics_of_the_database_are_told_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_FRESH_SECONDS", 600.0)
    looks = iter(["modelstack_accuracy_sum 3\n"])
    with served(measured=looks.__next__) as client:
        text, again = (client.get("/metrics").text for _ in range(2))
    assert "modelstack_accuracy_sum 3\n" in again, "many calls are one query"
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert {"modelstack_accuracy_sum", "modelstack_store_reachable", "process_cpu_seconds_total"} <= names


def test_a_port_that_is_taken_is_named() -> None:
    with served() as client, pytest.raises(NotListening, match=rf"PORT {client.base_url.port}: .*in use"):
        Listening.at("127.0.0.1", client.base_url.port or 0, app)
