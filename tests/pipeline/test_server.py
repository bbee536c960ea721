"""The server that each model has that brings none of its own: what it is asked and what it answers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.svm import LinearSVC
from starlette.testclient import TestClient

from monitoring.labels.quality import Form
from pipeline.rows import Rows, as_json
from pipeline.server import MAX_BODY_BYTES, MAX_INSTANCES, answers, app, form, parse

FEATURES = [
    {"name": "x", "kind": "number", "optional": True},
    {"name": "on", "kind": "boolean", "optional": False},
    {"name": "c", "kind": "text", "optional": False},
]
GOOD = {"x": 1.5, "on": True, "c": "a"}
JSON = {"content-type": "application/json"}


def client(estimator: Any = None) -> TestClient:
    usual = DummyClassifier(strategy="prior").fit([[0]] * 4, ["no", "no", "no", "yes"])
    return TestClient(app(estimator or usual, FEATURES), raise_server_exceptions=False)


def asked(*instances: Any) -> bytes:
    return json.dumps({"instances": instances}).encode()


def test_it_is_ready_and_answers_each_instance():
    answer = client().post("/invocations", content=asked(GOOD, {**GOOD, "x": None}), headers=JSON)
    assert client().get("/ping").status_code == 200
    assert answer.json() == {"predictions": [{"prediction": "no", "probability": {"no": 0.75, "yes": 0.25}}] * 2}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON"),
        (b'{"instances": [{"x": NaN, "on": true, "c": "a"}]}', "NaN is not a JSON number"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", 'expected {"instances": [...]} with 1 to 1000 objects'),
        (asked(), 'expected {"instances": [...]} with 1 to 1000 objects'),
        (asked(*[GOOD] * (MAX_INSTANCES + 1)), 'expected {"instances": [...]} with 1 to 1000 objects'),
        (asked(7), "instances[0]: 7 is not allowed: expected an object with the fields x, on, c"),
        (asked(GOOD, {"x": 1, "on": True}), "instances[1].c: missing; expected a text"),
        (asked({**GOOD, "x": "1"}), "instances[0].x: '1' is not allowed: expected a number, or null"),
        (asked({**GOOD, "x": True}), "instances[0].x: True is not allowed: expected a number, or null"),
        (asked({**GOOD, "on": 1}), "instances[0].on: 1 is not allowed: expected true or false"),
        (asked({**GOOD, "c": None}), "instances[0].c: None is not allowed: expected a text"),
        (asked({**GOOD, "x": 10**400}), "instances[0].x: 1000"),
        (asked({**GOOD, "y": 1}), "instances[0].'y': unknown field; allowed are x, on, c"),
    ],
)
def test_what_it_cannot_answer_is_the_callers_error_with_the_field_and_what_is_allowed(body: bytes, said: str):
    answer = client().post("/invocations", content=body, headers=JSON)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_other_content_and_too_much_of_it_have_their_own_status():
    assert client().post("/invocations", content=asked(GOOD), headers={"content-type": "text/csv"}).status_code == 415
    assert client().post("/invocations", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON).status_code == 413


def test_an_estimator_that_fails_is_an_error_of_the_version():
    class Broken:
        def predict(self, table: Any) -> Any:
            raise RuntimeError("no luck")

    answer = client(Broken()).post("/invocations", content=asked(GOOD), headers=JSON)
    assert (answer.status_code, answer.json()) == (500, {"error": "RuntimeError: no luck"})


@pytest.mark.parametrize(
    ("estimator", "labels", "expected", "answer"),
    [
        (
            DummyClassifier(strategy="prior"),
            [False, False, False, True],
            {
                "kind": "classification",
                "classes": [False, True],
                "decision": "prediction",
                "probability": "probability",
            },
            {"prediction": False, "probability": {"false": 0.75, "true": 0.25}},
        ),
        (
            DummyClassifier(strategy="prior"),
            [3, 3, 2, 1],
            {"kind": "classification", "classes": [1, 2, 3], "decision": "prediction", "probability": "probability"},
            {"prediction": 3, "probability": {"1": 0.25, "2": 0.25, "3": 0.5}},
        ),
        (
            LinearSVC(),
            ["a", "a", "b", "b"],
            {"kind": "classification", "classes": ["a", "b"], "decision": "prediction"},
            {"prediction": "a"},
        ),
        (
            DummyRegressor(),
            [1.0, 2.0, 3.0, 6.0],
            {"kind": "regression", "value": "prediction", "largest_error": 5.0},
            {"prediction": 3.0},
        ),
    ],
)
def test_what_an_answer_means_is_found_out_from_the_estimator_and_its_labels(
    estimator: Any, labels: list[Any], expected: dict[str, Any], answer: dict[str, Any]
):
    table = np.array([[0.0], [0.0], [1.0], [1.0]])
    estimator.fit(table, labels)
    found = form(estimator, np.array(labels))
    assert found == expected
    said = next(answers(estimator, SimpleNamespace(table=table)))
    assert said == answer
    read = Form.from_dict(json.loads(json.dumps(found)))
    assert all(0 <= loss <= 5 for loss in read.losses(read.said(said), read.label(labels[0])).values())


columns = st.integers(1, 5).flatmap(
    lambda rows: st.fixed_dictionaries(
        {},
        optional={
            "n": st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), min_size=rows, max_size=rows),
            "i": st.lists(st.integers(-1000, 1000), min_size=rows, max_size=rows),
            "b": st.lists(st.booleans(), min_size=rows, max_size=rows),
            "t": st.lists(st.text(max_size=3) | st.none(), min_size=rows, max_size=rows),
        },
    )
)


@given(columns.filter(bool))
def test_a_request_gives_the_estimator_what_training_gave_it(given: dict[str, list[Any]]):
    rows = Rows.of({name: np.array(values, object if name == "t" else None) for name, values in given.items()})
    instances = [{name: as_json(values[row]) for name, values in rows.columns.items()} for row in range(len(rows))]
    table = parse(json.dumps({"instances": instances}).encode(), rows.features)
    assert table.dtype == rows.table.dtype
    assert repr(table.tolist()) == repr(rows.table.tolist())
