"""What the default model answers, and the failures that it rehearses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model import serving
from model.features import NAMES
from modelstack.pipeline import archive
from modelstack.serving.answers import Answers
from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import BadRequest, Reader, Rows
from modelstack.serving.sealed import Sealed, Values

EXAMPLE = Path(serving.__file__).with_name("example_request.json")


def instance(**changes: Any) -> dict[str, Any]:
    return {**json.loads(EXAMPLE.read_text())["instances"][0], **changes}


@pytest.fixture(scope="module")
def folder(sealed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    archive.unpack(sealed.path, folder)
    return folder


@pytest.fixture(scope="module")
def reader(folder: Path) -> Reader:
    return Reader(Declaration.from_dict(json.loads((folder / "features.json").read_bytes())))


def answers(model: Sealed, rows: Rows) -> list[dict[str, Any]]:
    return Answers.of(serving.predict(model, rows), len(rows)).documents(0, len(rows))


def test_an_answer_is_the_estimators_own(folder: Path, reader: Reader):
    rows = reader.documents([instance(departure_hour=hour) for hour in (6.0, 13.0, 20.0)])
    model = serving.load(folder)
    expected = model.estimator.predict_proba(rows.table)[:, 1].tolist()
    assert answers(model, rows) == [{"late": one >= 0.5, "probability": one} for one in expected]


def test_the_example_request_is_a_real_flight():
    from model import data

    flights = data.replay("2013-03-01", "2013-03-02")
    assert any(flight.instance == instance() for flight in flights)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"carrier": "United"}, "carrier: 'United' is not allowed: expected a string like 'UA' (matching [A-Z0-9]{2})"),
        ({"distance": 0}, "distance: 0 is not allowed: expected a number from 1 to 12000 (miles)"),
        ({"distance": None}, "distance: None is not allowed"),
        ({"wind_speed": 1048.4}, "wind_speed: 1048.4 is not allowed: expected a number from 0 to 200"),
        ({"arr_delay": 3}, f"arr_delay: unknown field; allowed are {', '.join(NAMES)}"),
    ],
)
def test_what_no_flight_has_is_refused(reader: Reader, changes: dict[str, Any], said: str):
    with pytest.raises(BadRequest) as refused:
        reader.documents([instance(**changes)])
    assert refused.value.problems[0].startswith(f"instances[0].{said}")


@pytest.fixture
def rehearsed(folder: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch):
    """A model that rehearses a fault, and how often it was asked to sleep."""

    def of(fault: str) -> tuple[Sealed, Rows, list[float]]:
        slept: list[float] = []
        monkeypatch.setattr(serving, "read", lambda _: Sealed(Sealed(None), Values({"fault": fault})))
        monkeypatch.setattr(serving, "_calls", iter(range(1, 100)))
        monkeypatch.setattr(serving, "time", SimpleNamespace(sleep=slept.append))
        monkeypatch.setattr(serving.Sealed, "predict_proba", lambda *_: __import__("numpy").array([[0.4, 0.6]]))
        return serving.load(folder), reader.documents([instance()]), slept

    return of


def test_fault_errors_fails_every_second_time_and_not_the_first(rehearsed: Any):
    model, rows, _ = rehearsed("errors")
    found: list[bool] = []
    for _ in range(6):
        try:
            found.append(answers(model, rows) == [{"late": True, "probability": 0.6}])
        except RuntimeError:
            found.append(False)
    assert found == [True, False] * 3


def test_fault_slow_waits_each_time_but_the_first(rehearsed: Any):
    model, rows, slept = rehearsed("slow")
    answers(model, rows)
    assert slept == []
    answers(model, rows)
    assert slept == [2.0]
