from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from modelstack.platforms.kubernetes.autoscaled import HELD, LEAST
from modelstack.platforms.kubernetes.kinds import AUTOSCALER, ENDPOINT_SLICE, LEASE, ROLLOUT, ROUTE
from modelstack.platforms.kubernetes.names import CONTROLLER, ENDPOINT
from modelstack.platforms.kubernetes.program import process
from modelstack.platforms.kubernetes.program.counts import Counts
from modelstack.platforms.kubernetes.program.process import Process
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.program.test_watching import until

Start = Callable[..., tuple[Process, "Works"]]


class Works:
    def __init__(
        self, hold: threading.Event | None = None, error: Exception | None = None, pause: float | None = 600.0
    ) -> None:
        self.done: list[str] = []
        self.hold = hold
        self.error = error
        self.pause = pause

    def tick(self, name: str) -> float | None:
        self.done.append(f"tick {name}")
        if self.hold is not None:
            self.hold.wait(20)
        if self.error is not None:
            raise self.error
        return self.pause

    def well(self, name: str) -> bool:
        return self.error is None

    def answer(self, name: str) -> float | None:
        self.done.append(f"answer {name}")
        return None

    def learn(self, rollout: dict[str, Any]) -> None:
        self.done.append(f"learn {rollout['metadata']['name']}")

    def forget(self, name: str) -> None:
        self.done.append(f"forget {name}")


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Generator[Start]:
    monkeypatch.setattr(process, "RENEW", 0.05)
    begun: list[tuple[FakeApi, Process]] = []

    def of(api: FakeApi, pod: str = "one", **given: Any) -> tuple[Process, Works]:
        works = Works(**given)
        running = Process(api.as_api, pod, works, Counts("models"))
        running.start()
        begun.append((api, running))
        return running, works

    yield of
    for api, running in begun:
        api.down = False
        running.stop(5)
        api.end_watches()


def with_rollouts(*names: str) -> FakeApi:
    api = FakeApi()
    for name in names:
        api.put(ROLLOUT, name, spec={}, status={"revision": 1})
    return api


def test_one_that_leads_looks_at_every_rollout_and_again_when_its_journal_changes(start: Start) -> None:
    api = with_rollouts("a", "b")
    running, works = start(api)
    until(lambda: {"tick a", "tick b"} <= set(works.done))
    assert running.leads
    assert (running.ready(), running.alive(), running.knows("a"), running.knows("c")) == ("", "", True, False)
    works.done.clear()
    api.put(ROLLOUT, "a", spec={}, status={"revision": 2})
    until(lambda: "tick a" in works.done)
    api.put(ROLLOUT, "b", metadata={"labels": {"x": "y"}}, spec={}, status={"revision": 1})
    time.sleep(0.2)
    assert "tick b" not in works.done, "a label says nothing of a rollout"


def test_one_that_somebody_deletes_is_forgotten(start: Start) -> None:
    api = with_rollouts("a")
    works = start(api)[1]
    until(lambda: "tick a" in works.done)
    api.delete(ROLLOUT, "a")
    until(lambda: works.done[-1] == "forget a")


def test_a_route_that_somebody_changes_is_looked_at(start: Start) -> None:
    api = with_rollouts("a")
    works = start(api)[1]
    until(lambda: "tick a" in works.done)
    until(lambda: len(api.watchers) == 3)
    works.done.clear()
    api.put(ROUTE, "a", spec={"rules": 1})
    until(lambda: works.done == ["tick a"])
    api.put(ROUTE, "a", spec={"rules": 1}, status={"seen": True})
    api.put(ROUTE, "other", spec={})
    time.sleep(0.2)
    assert works.done == ["tick a"]


def test_an_endpoint_is_looked_at_when_a_workload_gets_its_first_ready_pod_loses_its_last_or_is_deleted(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "WAKE_SECONDS", 0.0)
    api = with_rollouts("a")
    works = start(api)[1]
    until(lambda: "tick a" in works.done)
    until(lambda: len(api.watchers) == 3)
    labels, ready = {"labels": {ENDPOINT: "a"}}, {"conditions": {"ready": True}}
    for endpoints, looked in (([], True), ([ready], True), ([ready, ready], False), ([], True)):
        works.done.clear()
        api.put(ENDPOINT_SLICE, "a-1-x", metadata=labels, endpoints=endpoints)
        if looked:
            until(lambda: "tick a" in works.done)
        time.sleep(0.2)
        assert works.done == ["tick a"] * looked
    works.done.clear()
    api.delete(ENDPOINT_SLICE, "a-1-x")
    until(lambda: works.done == ["tick a"])
    api.put(ENDPOINT_SLICE, "other-x", metadata={"labels": {}}, endpoints=[ready])
    time.sleep(0.2)
    assert works.done == ["tick a"]


def test_of_two_one_looks_and_both_answer_to_wakes(start: Start) -> None:
    api = with_rollouts("a")
    first, looked = start(api, "one")
    until(lambda: "tick a" in looked.done)
    second, waited = start(api, "two")
    until(lambda: second.ready() == "")
    second.wake("a")
    until(lambda: "answer a" in waited.done)
    assert (first.leads, second.leads) == (True, False)
    assert "tick a" not in waited.done


def test_the_other_goes_on_when_one_is_stopped(start: Start) -> None:
    api = with_rollouts("a")
    first, looked = start(api, "one")
    until(lambda: "tick a" in looked.done)
    second, waited = start(api, "two")
    assert first.stop(5)
    assert api.get(LEASE, CONTROLLER)["spec"]["holderIdentity"] in {"", "two"}
    until(lambda: "tick a" in waited.done)
    assert second.leads


def test_many_wakes_within_the_spacing_are_one_look(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WAKE_SECONDS", 600.0)
    running, works = start(with_rollouts("a", "b"))
    until(lambda: {"tick a", "tick b"} <= set(works.done))
    works.done.clear()
    running.wake("a")
    until(lambda: "answer a" in works.done)
    for _ in range(500):
        running.wake("a")
    running.wake("b")
    until(lambda: "answer b" in works.done)
    assert works.done == ["answer a", "answer b"]


def test_a_wake_is_answered_while_a_look_takes_its_time(start: Start) -> None:
    api = with_rollouts("a")
    hold = threading.Event()
    running, works = start(api, hold=hold)
    until(lambda: "tick a" in works.done)
    running.wake("a")
    until(lambda: "answer a" in works.done)
    hold.set()


def test_what_nobody_foresaw_ends_no_thread(start: Start) -> None:
    api = with_rollouts("a")
    running, works = start(api, error=ZeroDivisionError("oh"))
    until(lambda: "tick a" in works.done)
    works.error = None
    works.done.clear()
    running.wake("a")
    until(lambda: {"tick a", "answer a"} <= set(works.done))
    assert running.alive() == ""


@pytest.mark.slow
def test_a_stop_waits_for_what_is_under_way_but_not_for_ever(start: Start) -> None:
    api = with_rollouts("a")
    hold = threading.Event()
    running, works = start(api, hold=hold)
    until(lambda: "tick a" in works.done)
    assert not running.stop(0.5)
    hold.set()


@pytest.mark.slow
def test_one_that_has_not_heard_of_the_server_is_not_ready_and_alive(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SILENT", 0.3)
    api = with_rollouts()
    api.down = True
    running = start(api)[0]
    assert running.ready() == "the API server does not answer"
    assert running.alive() == ""
    api.down = False
    until(lambda: running.ready() == "")
    api.down = True
    until(lambda: running.ready() != "")


def test_an_endpoint_at_rest_is_told_to_be_carried_on_and_one_that_fails_is_not(start: Start) -> None:
    def told(running: Process) -> set[str]:
        running.tell()
        return {line.partition("{")[2][:12] for line in running.counts.text().splitlines() if "tick_time" in line}

    running, works = start(with_rollouts("a"))
    until(lambda: "tick a" in works.done and running.ready() == "")
    assert 'endpoint="a"' in told(running)
    failing, works = start(with_rollouts("a"), "three", error=ZeroDivisionError("oh"))
    until(lambda: "tick a" in works.done and failing.ready() == "")
    assert 'endpoint="a"' not in told(failing)


def test_an_endpoint_that_is_due_for_long_is_not_told_to_be_carried_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    running, works = start(with_rollouts("a"), hold=hold)
    until(lambda: "tick a" in works.done and running.ready() == "")
    monkeypatch.setattr(process, "_STUCK", 0.0)
    running.tell()
    assert "tick_time" not in running.counts.text()
    hold.set()


def test_an_endpoint_that_nobody_will_look_at_is_not_told_to_be_carried_on(start: Start) -> None:
    running, works = start(with_rollouts("a"), pause=None)
    until(lambda: "tick a" in works.done and running.ready() == "" and running.ticks.taken == 0)
    running.tell()
    assert "tick_time" not in running.counts.text()


def autoscaler(api: FakeApi, name: str, held: str, least: str = "2") -> None:
    metadata = {"annotations": {LEAST: least, HELD: held}, "labels": {"app.kubernetes.io/part-of": "modelstack"}}
    api.put(AUTOSCALER, name, metadata=metadata, spec={"minReplicas": 8, "maxReplicas": 10})


def floors(api: FakeApi) -> dict[str, int]:
    return {item["metadata"]["name"]: item["spec"]["minReplicas"] for item in api.list(AUTOSCALER)}


def test_an_autoscaler_that_says_nothing_of_use_is_left_alone_and_the_others_are_put_back(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_TIDY", 0.05)
    api = with_rollouts()
    for name, told in {"a": ("never",), "b": ("1", "two"), "c": ("1",)}.items():
        autoscaler(api, name, *told)
    running = start(api)[0]
    until(lambda: floors(api) == {"a": 8, "b": 8, "c": 2})
    assert (running.alive(), "failures" in running.counts.text()) == ("", False)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_autoscalers_are_put_back_by_the_servers_clock(
    start: Start, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    monkeypatch.setattr(process, "_TIDY", 0.05)
    api = with_rollouts()
    api.clock.ahead = ahead
    for name, left in (("over", -600), ("kept", 600)):
        autoscaler(api, name, f"{time.time() + ahead + left:.0f}")
    start(api)
    until(lambda: floors(api)["over"] == 2)
    time.sleep(0.2)
    assert floors(api)["kept"] == 8


def test_what_keeps_autoscalers_from_being_put_back_is_counted_and_ends_no_thread(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(process, "_TIDY", 0.05)
    for what in ("lower", "scale_to_zero"):
        monkeypatch.setattr(process, what, fails)
    running = start(with_rollouts())[0]
    counted = [f'failures_total{{error="ZeroDivisionError",work="{work}"}} 2.0' for work in ("autoscalers", "pods")]
    until(lambda: all(line in running.counts.text() for line in counted))
    assert running.alive() == ""


def test_a_thread_that_does_not_go_on_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = start(with_rollouts())[0]
    until(lambda: running.ready() == "")
    monkeypatch.setattr(process, "_STUCK", -1.0)
    assert running.alive() == "threads that do not go on: lease, ticks, wakes"
