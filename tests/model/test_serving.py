"""The model behind its routes: requests that are answered, and requests that are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from model import serving
from model.features import NAMES

EXAMPLE = Path(serving.__file__).with_name("example_request.json")
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def model(sealed, tmp_path_factory: pytest.TempPathFactory) -> serving.Model:
    from pipeline import archive

    folder = tmp_path_factory.mktemp("served") / "model"
    archive.unpack(sealed.path, folder)
    return serving.load(folder)


@pytest.fixture
def client(model: serving.Model) -> TestClient:
    return TestClient(serving.app(model), raise_server_exceptions=False)


def faulty(model: serving.Model, fault: str) -> TestClient:
    changed = {**model.manifest, "parameters": {**model.manifest["parameters"], "fault": fault}}
    return TestClient(serving.app(replace(model, manifest=changed)), raise_server_exceptions=False)


def instance(**changes: Any) -> dict[str, Any]:
    return {**json.loads(EXAMPLE.read_text())["instances"][0], **changes}


def post(client: TestClient, *instances: dict[str, Any]):
    return client.post("/invocations", json={"instances": list(instances)})


def test_the_example_request_is_answered(client: TestClient):
    answer = client.post("/invocations", content=EXAMPLE.read_bytes(), headers=JSON)
    assert answer.status_code == 200
    (prediction,) = answer.json()["predictions"]
    assert prediction.keys() == {"late", "probability"}
    assert 0 < prediction["probability"] < 1
    assert prediction["late"] == (prediction["probability"] >= 0.5)


def test_the_example_request_is_a_real_flight():
    from model import data

    flights = data.replay("2013-03-01", "2013-03-02")
    assert any(flight.instance == instance() for flight in flights)


def test_answers_are_in_the_order_of_the_request_and_are_the_estimators_own(model: serving.Model, client: TestClient):
    asked = [instance(departure_hour=hour) for hour in (6.0, 13.0, 20.0)]
    answered = [one["probability"] for one in post(client, *asked).json()["predictions"]]
    rows = np.array([[one[name] if one[name] is not None else np.nan for name in NAMES] for one in asked], dtype=object)
    assert answered == model.estimator.predict_proba(rows)[:, 1].tolist()


def test_what_is_optional_may_be_null_or_left_out(client: TestClient):
    left_out = {name: value for name, value in instance().items() if name != "wind_gust"}
    assert post(client, left_out).json() == post(client, instance(wind_gust=None)).json()


def test_ping_and_metadata_say_what_is_served(model: serving.Model, client: TestClient):
    assert client.get("/ping").status_code == 200
    about = client.get("/metadata").json()
    assert about["recipe"] == model.manifest["recipe"]
    assert about["metrics"]["auc"] > 0.5
    assert [feature["name"] for feature in about["features"]] == list(NAMES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"carrier": 5}, "instances[0].carrier: 5 is not allowed: expected a string like 'UA'"),
        ({"carrier": None}, "instances[0].carrier: None is not allowed"),
        ({"carrier": "United"}, "instances[0].carrier: 'United' is not allowed"),
        ({"dest": "iah"}, "instances[0].dest: 'iah' is not allowed"),
        ({"dest": "IAH\n"}, "instances[0].dest: 'IAH\\n' is not allowed"),
        (
            {"distance": "1400"},
            "instances[0].distance: '1400' is not allowed: expected a number from 1 to 12000 (miles)",
        ),
        ({"distance": None}, "instances[0].distance: None is not allowed"),
        ({"distance": True}, "instances[0].distance: True is not allowed"),
        ({"distance": 10**400}, "instances[0].distance: 1000"),
        ({"day_of_week": 8}, "instances[0].day_of_week: 8 is not allowed: expected a number from 1 to 7"),
        ({"wind_speed": 1048.4}, "instances[0].wind_speed: 1048.4 is not allowed: expected a number from 0 to 200"),
        ({"humidity": [50]}, "instances[0].humidity: [50] is not allowed"),
        ({"arr_delay": 3}, "instances[0].'arr_delay': unknown field; allowed are carrier, origin"),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_what_is_allowed(client: TestClient, changes: dict, said: str):
    answer = post(client, instance(**changes))
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "the body is not JSON"),
        (b"carrier,origin", 400, "the body is not JSON"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "the body is not JSON"),
        (b'{"instances": [{"distance": NaN}]}', 400, "NaN is not a JSON number"),
        (b'{"instances": [{"distance": ' + b"9" * 5000 + b"}]}", 400, "the body is not JSON"),
        (b"[]", 400, "the body has list: expected an object"),
        (b"null", 400, "the body has NoneType: expected an object"),
        (b"{}", 400, "the body has fields none: expected an object"),
        (b'{"instances": [], "more": 1}', 400, "the body has fields instances, more"),
        (b'{"instances": []}', 400, "instances: found 0 of them: expected a list of 1 to 1000"),
        (b'{"instances": {}}', 400, "instances: found dict"),
        (b'{"instances": [' + b"{}," * 1000 + b"{}]}", 400, "instances: found 1001 of them"),
        (b'{"instances": [null]}', 400, "instances[0].None is not allowed: expected an object with the fields carrier"),
        (b'{"instances": [{}]}', 400, "instances[0].carrier: missing; expected a string"),
        (b" " * (6 * 1024 * 1024 + 1), 413, "the body is larger than 6,291,456 bytes"),
    ],
)
def test_a_wrong_body_is_refused_in_words(client: TestClient, body: bytes, status: int, said: str):
    answer = client.post("/invocations", content=body, headers=JSON)
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize("content_type", ["text/csv", "", "application/jsonlines"])
def test_another_content_type_is_415(client: TestClient, content_type: str):
    answer = client.post("/invocations", content=EXAMPLE.read_bytes(), headers={"content-type": content_type})
    assert answer.status_code == 415
    assert "expected application/json" in answer.json()["error"]


def test_a_content_type_may_name_its_charset(client: TestClient):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/invocations", content=EXAMPLE.read_bytes(), headers=headers).status_code == 200


def test_a_request_with_very_many_problems_lists_some_and_counts_the_rest(client: TestClient):
    problems = post(client, *[{} for _ in range(10)]).json()["problems"]
    assert len(problems) == 21
    assert problems[-1] == "and 50 more"


def test_one_bad_instance_among_good_ones_is_named_by_its_place(client: TestClient):
    assert post(client, instance(), instance(distance=0)).json()["error"].startswith("instances[1].distance: 0 ")


def test_fault_errors_fails_every_second_request(model: serving.Model):
    client = faulty(model, "errors")
    statuses = [post(client, instance()).status_code for _ in range(10)]
    assert statuses == [500, 200] * 5
    assert client.get("/ping").status_code == 200


def test_fault_nan_answers_200_with_null(model: serving.Model):
    answer = post(faulty(model, "nan"), instance())
    assert answer.status_code == 200
    assert answer.json() == {"predictions": [{"late": False, "probability": None}]}


def test_fault_slow_waits(model: serving.Model, monkeypatch: pytest.MonkeyPatch):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(serving.asyncio, "sleep", sleep)
    assert post(faulty(model, "slow"), instance()).status_code == 200
    assert waited == [2.0]


def test_a_model_that_raises_is_500_with_its_reason(model: serving.Model):
    class Broken:
        def predict_proba(self, rows: object) -> None:
            raise FloatingPointError("no number")

    client = TestClient(serving.app(replace(model, estimator=Broken())), raise_server_exceptions=False)
    answer = post(client, instance())
    assert answer.status_code == 500
    assert answer.json() == {"error": "FloatingPointError: no number"}
