from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.svm import LinearSVC

from modelstack.monitoring.labels.quality import Form
from modelstack.pipeline import parts
from modelstack.pipeline.rows import Rows, as_json
from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import Reader

CLASSES = {"kind": "classification", "decision": "prediction"}


@pytest.mark.parametrize(
    ("estimator", "labels", "expected", "answer"),
    [
        (
            DummyClassifier(strategy="prior"),
            [False, False, False, True],
            {**CLASSES, "classes": [False, True], "probability": "probability"},
            {"prediction": False, "probability": {"false": 0.75, "true": 0.25}},
        ),
        (
            DummyClassifier(strategy="prior"),
            [3, 3, 2, 1],
            {**CLASSES, "classes": [1, 2, 3], "probability": "probability"},
            {"prediction": 3, "probability": {"1": 0.25, "2": 0.25, "3": 0.5}},
        ),
        (LinearSVC(), ["a", "a", "b", "b"], {**CLASSES, "classes": ["a", "b"]}, {"prediction": "a"}),
        (
            DummyRegressor(),
            [1.0, 2.0, 3.0, 6.0],
            {"kind": "regression", "value": "prediction", "largest_error": 5.0},
            {"prediction": 3.0},
        ),
    ],
)
def test_what_an_answer_means_is_found_out_from_the_estimator_and_its_labels(
    estimator: Any, labels: list[Any], expected: dict[str, Any], answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    table = np.array([[0.0], [0.0], [1.0], [1.0]])
    estimator.fit(table, labels)
    monkeypatch.setattr(parts, "serving", None)
    monkeypatch.setattr(parts.model, "__path__", ["nowhere"])
    rows = Rows.of({"x": table[:, 0], "label": np.array(labels)})
    found = json.loads(parts.form(estimator, rows) or "null")
    assert found == expected
    (said, *_) = parts.answers(estimator, rows, {}) or [{}]
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
    reader = Reader(Declaration.from_dict(rows.features))
    table = reader.json(json.dumps({"instances": instances}).encode()).table
    assert table.dtype == rows.table.dtype
    assert repr(table.tolist()) == repr(rows.table.tolist())
