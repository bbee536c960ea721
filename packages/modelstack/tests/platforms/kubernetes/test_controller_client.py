from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from modelstack.monitoring.predictions import Window
from modelstack.platforms.kubernetes import access_token, predictions
from modelstack.platforms.kubernetes.answers import Forbidden
from modelstack.platforms.kubernetes.audit_records import PostgresRecords
from modelstack.platforms.kubernetes.controller_client import ControllerClient
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.prediction_query import PredictionQuery
from modelstack.platforms.kubernetes.program.counts import Counts
from modelstack.platforms.kubernetes.program.listening import Listening
from modelstack.platforms.kubernetes.program.process import Process
from modelstack.platforms.kubernetes.program.store import Store
from modelstack.platforms.kubernetes.program.web import app
from modelstack.records.audit.verification import verify
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable
from tests.platforms.kubernetes.labelled import World
from tests.records.audit.made import Key, chain

KEY = Key()
ROLLOUT = "5d0c4f6e"
Serve = Callable[[Store | None, str], ControllerClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves what a store keeps of one endpoint, and gives who asks."""
    started: list[Listening] = []

    def make(store: Store | None, endpoint: str) -> ControllerClient:
        whole = {"knows": {endpoint}.__contains__, "alive": str, "ready": str, "tell": lambda: None}
        process = cast(Process, SimpleNamespace(**whole))
        calls = app(Counts("models"), process, lambda name, given: given == f"of {name}", store)
        started.append(Listening.at("127.0.0.1", 0, calls))
        url = f"http://127.0.0.1:{started[-1].port}"
        return ControllerClient(httpx.Client(base_url=url), "modelstack-controller.models", "of {}".format)

    yield make
    for one in started:
        one.stop(5)


@pytest.fixture
def asked(serve: Serve, store: Database, endpoint: str) -> ControllerClient:
    return serve(Store(store, "models", lambda: [endpoint], lambda name: ROLLOUT), endpoint)


@pytest.mark.needs("postgresql")
def test_labels_that_are_brought_are_joined_once_and_the_standing_is_told(
    asked: ControllerClient, store: Database, endpoint: str
) -> None:
    world = World(store, endpoint)
    world.captured("v-a", *((str(n), n % 2 == 0, 0.7) for n in range(40)))
    lines = "".join(f'{{"inference_id": "{n}", "label": true}}\n' for n in range(40)).encode()
    for _ in range(2):
        address = asked.bring_labels(endpoint, "monday.jsonl", lines)
        world.run()
    assert address == f"http://modelstack-controller.models:8081/labels/{endpoint}/monday.jsonl"
    told = asked.standings(endpoint, ["v-a", "v-b"])
    assert told.keys() == {"v-a"}, "of a variant without labels nothing is known"
    assert (told["v-a"]["values"]["RealisedPairs"], told["v-a"]["values"]["RealisedAccuracy"]) == (40, 0.5)


@pytest.mark.needs("postgresql")
def test_the_audit_record_is_read_whole_and_in_its_order(
    asked: ControllerClient, store: Database, endpoint: str
) -> None:
    assert list(asked.records(endpoint)) == []
    made = chain(3, endpoint)
    for record in made.waiting:
        PostgresRecords(store, endpoint, lambda: ROLLOUT, KEY).put(record)
    assert verify(asked.records(endpoint), endpoint, KEY.check, made.kept(3)).finding is None
    store.run(
        "make",
        "INSERT INTO audit (endpoint, rollout, number, line) "
        "SELECT :e, :r, n, 'line ' || n FROM generate_series(4, 1100) AS n",
        e=endpoint,
        r=ROLLOUT,
    )
    found = list(asked.records(endpoint))
    assert (len(found), found[3:]) == (1100, [f"line {n}" for n in range(4, 1101)])


@pytest.mark.needs("postgresql")
def test_a_prediction_is_looked_for_until_all_is_looked_through(
    asked: ControllerClient, store: Database, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_FILES", 1)
    world = World(store, endpoint)
    for number in range(3):
        world.captured("v-a", (f"ord?r {number}&", True, 0.7))
    found = list(
        asked.predictions(endpoint, PredictionQuery("ord?r 0&", window=Window(world.now - 60, world.now + 60)))
    )
    assert [(part["files"], [one["inference"] for one in part["exact"]]) for part in found] == [
        (1, []),
        (1, []),
        (1, ["ord?r 0&"]),
        (0, []),
    ]
    with pytest.raises(RolloutError, match="id: got 201 characters"):
        list(asked.predictions(endpoint, PredictionQuery("x" * 201)))


@pytest.mark.needs("postgresql")
def test_a_page_that_is_no_number_is_refused(asked: ControllerClient, endpoint: str) -> None:
    token = {access_token.HEADER: f"of {endpoint}"}
    answer = asked.client.get(f"records/{endpoint}", params={"after": "1; drop table audit"}, headers=token)
    assert (answer.status_code, answer.text) == (
        400,
        "after: got '1; drop table audit', expected the number of a record\n",
    )


def answering(status: int, **more: Any) -> ControllerClient:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, **more))
    return ControllerClient(
        httpx.Client(base_url="http://x", transport=transport), "modelstack-controller.models", "of {}".format
    )


@pytest.mark.parametrize(
    ("status", "said", "kind", "words"),
    [
        (403, {"json": {"message": 'User "ada" cannot get services/proxy'}}, Forbidden, 'User "ada" cannot get'),
        (503, {"text": "the database is down"}, Busy, "the database is down"),
        (502, {"text": ""}, Unreachable, "it answers 502"),
        (404, {"text": "there is no endpoint 'flights' here"}, RolloutError, "no endpoint 'flights' here"),
        (404, {"text": "Not Found"}, RolloutError, "the controller there is older than this checkout"),
    ],
)
def test_what_is_refused_is_told_in_the_words_of_who_refuses(
    status: int, said: dict[str, Any], kind: type[RolloutError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        answering(status, **said).bring_labels("flights", "monday", b"{}")
    assert type(caught.value) is kind


def test_a_controller_that_is_away_is_unreachable() -> None:
    away = ControllerClient(httpx.Client(base_url="http://127.0.0.1:9"), "modelstack-controller.models", "of {}".format)
    with pytest.raises(Unreachable, match=r"bring labels to modelstack-controller\.models: it does not answer"):
        away.bring_labels("flights", "monday", b"{}")
