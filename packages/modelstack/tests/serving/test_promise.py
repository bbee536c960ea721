"""An answer has the fields and kinds that its package declares, or it is no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelstack.serving.answers import Answers, WrongAnswers
from modelstack.serving.promise import Promise

LATE = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "probability"}
WINE = {"kind": "classification", "classes": ["a", "b"], "decision": "prediction", "probability": "probability"}
MINUTES = {"kind": "regression", "value": "minutes", "largest_error": 180}


def answers(found: Any, rows: int = 1) -> Answers:
    return Answers.of(found, rows)


def promise(form: dict[str, Any], **example: Any) -> Promise:
    return Promise.of(form, answers(example))


@pytest.mark.parametrize(
    ("form", "example", "later"),
    [
        (LATE, {"late": [False], "probability": [0.2]}, {"late": np.array([True]), "probability": np.array([1])}),
        (LATE, {"late": [False], "probability": [0.2]}, {"probability": [0.3], "late": [1.0]}),
        (WINE, {"prediction": ["a"], "probability": {"a": [1], "b": [0]}}, None),
        (MINUTES, {"minutes": [3.0], "why": ["wind"]}, {"minutes": [-1], "why": [None]}),
        ({}, {"a": [None], "b": {"c": [[1, 2]]}}, {"a": ["x"], "b": {"c": [[]]}}),
    ],
)
def test_an_answer_as_it_was_declared_is_passed_on(form: Any, example: Any, later: Any):
    promise(form, **example).check(answers(later or example))


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({"more": [1]}, "predict returned the fields late, probability, why, more: expected late, probability, why"),
        ({"late": ["yes"]}, "predict returned a string as late of row 0: expected one of false, true"),
        ({"late": [2]}, "predict returned 2 as late of row 0: expected one of false, true"),
        ({"late": [None]}, "predict returned null as late of row 0: expected one of false, true"),
        ({"late": [[]]}, "predict returned list as late of row 0: expected one of false, true"),
        ({"probability": ["0.5"]}, "predict returned a string as probability of row 0: expected a number"),
        ({"probability": [None]}, "predict returned null as probability of row 0: expected a number"),
        ({"probability": [True]}, "predict returned true as probability of row 0: expected a number"),
        ({"probability": {"true": [0.5]}}, "predict returned an object as probability: expected a number"),
        ({"why": [3]}, "predict returned 3 as why of row 0: expected a string or null"),
        ({"late": {"x": [1]}}, "predict returned an object as late: expected one of false, true"),
    ],
)
def test_another_name_or_kind_is_the_versions_mistake(later: dict[str, Any], said: str):
    example: dict[str, Any] = {"late": [False], "probability": [0.2], "why": ["wind"]}
    with pytest.raises(WrongAnswers) as wrong:
        promise(LATE, **example).check(answers(example | later))
    assert str(wrong.value) == said


def test_the_row_is_named_and_objects_are_looked_into():
    kept = promise(WINE, prediction=["a"], probability={"a": [0.9], "b": [0.1]})
    for later, said in (
        ({"prediction": ["a", "z"], "probability": {"a": [1, 1], "b": [0, 0]}}, "a string as prediction of row 1"),
        ({"prediction": ["a", "b"], "probability": {"a": [1, 1], "b": [0, "0"]}}, "a string as probability.b of row 1"),
        ({"prediction": ["a", "b"], "probability": {"a": [1, 1]}}, "the fields a in probability: expected a, b"),
        ({"prediction": ["a", "b"], "probability": [1, 1]}, "no object as probability: expected a, b in it"),
    ):
        with pytest.raises(WrongAnswers, match=f"predict returned {said}"):
            kept.check(answers(later, 2))


@pytest.mark.parametrize(
    ("form", "example", "said"),
    [
        (LATE, {"late": [False]}, "predict returned the fields late: expected late, probability"),
        (MINUTES, {"minutes": ["3"]}, "predict returned a string as minutes of row 0: expected a number"),
        (WINE, {"prediction": ["a"], "probability": {"a": [1]}}, "predict returned the fields a in probability: exp"),
    ],
)
def test_a_sealed_example_that_is_not_answered_as_the_form_says_is_refused(form: Any, example: Any, said: str):
    with pytest.raises(WrongAnswers, match=said):
        promise(form, **example)
