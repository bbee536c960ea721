"""Which answers break the model's contract, and in which words that is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.captured import Malformed, Recorded, Side
from modelstack.monitoring.labels.quality import Form
from modelstack.monitoring.labels.sound import violation

LATE = Form("classification", classes=(False, True), decision="late", probability="p")
KIND = Form("classification", classes=("a", "b", "c"), decision="kind", probability="p")
MINUTES = Form("regression", value="minutes", largest_error=180)
UNKNOWN = Malformed("the release has no answer.json")
EACH = {"a": 0.5, "b": 0.25, "c": 0.25}


def answer(content: Any, instances: Any = None, content_type: str = "application/json") -> Recorded:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    asked = Side("application/json", json.dumps({"instances": instances}).encode()) if instances else None
    return Recorded("e", None, "", asked, Side(content_type, body))


def one(row: Any) -> Recorded:
    return answer({"predictions": [row]}, [{}])


@pytest.mark.parametrize(
    ("form", "row"),
    [
        (LATE, {"late": True, "p": 0.9}),
        (LATE, {"late": 1, "p": 1, "more": None}),
        (KIND, {"kind": "a", "p": EACH}),
        (MINUTES, {"minutes": -3}),
    ],
)
def test_an_answer_that_has_what_the_form_names_keeps_to_it(form: Form, row: Any) -> None:
    assert violation(form, one(row)) is None


@pytest.mark.parametrize(
    ("form", "row", "why"),
    [
        (LATE, {"late": True, "p": float("nan")}, "predictions[0].p is nan; expected a finite number"),
        (LATE, {"late": True, "p": None}, "predictions[0].p: got null, expected a number from 0 to 1"),
        (LATE, {"late": True}, "predictions[0].p: got null, expected a number from 0 to 1"),
        (LATE, {"late": True, "p": 1.5}, "predictions[0].p: got 1.5, expected a number from 0 to 1"),
        (LATE, {"late": True, "p": -0.1}, "predictions[0].p: got -0.1, expected a number from 0 to 1"),
        (LATE, {"late": True, "p": True}, "predictions[0].p: got true, expected a number from 0 to 1"),
        (LATE, {"late": "yes", "p": 0.5}, 'predictions[0].late: got "yes", expected one of false, true'),
        (LATE, {"p": 0.5}, "predictions[0].late: got null, expected one of false, true"),
        (KIND, {"kind": "d", "p": EACH}, 'predictions[0].kind: got "d", expected one of "a", "b", "c"'),
        (KIND, {"kind": "a", "p": {"a": 1}}, "predictions[0].p.b: got null, expected a number from 0 to 1"),
        (MINUTES, {"minutes": "12"}, 'predictions[0].minutes: got "12", expected a number'),
        (MINUTES, {"seconds": 12}, "predictions[0].minutes: got null, expected a number"),
        (MINUTES, {"minutes": "x" * 99}, f'predictions[0].minutes: got "{"x" * 39}..., expected a number'),
        (MINUTES, 12, "the answer has predictions that are no objects"),
    ],
)
def test_what_the_form_names_must_be_there_in_its_type_and_range(form: Form, row: Any, why: str) -> None:
    assert violation(form, one(row)) == why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the answer is empty"),
        (b"oops", "the answer is no JSON"),
        ({"scores": [0.9]}, "the answer is no object with a list of predictions"),
        ([], "the answer is no object with a list of predictions"),
    ],
)
def test_the_answer_must_be_of_the_form_that_the_release_declares(content: Any, why: str) -> None:
    assert violation(LATE, answer(content)) == why


def test_there_must_be_one_prediction_an_instance_as_far_as_these_are_known() -> None:
    both = {"predictions": [{"minutes": 1}, {"minutes": 2}]}
    assert violation(MINUTES, answer(both, [{}, {}])) is None
    assert violation(MINUTES, answer(both)) is None
    why = "predictions: got 2 of them, expected 3, one an instance"
    assert violation(MINUTES, answer(both, [{}, {}, {}])) == why


def test_of_a_release_that_declares_nothing_an_answer_must_be_finite_and_what_its_type_says() -> None:
    assert violation(UNKNOWN, answer({"anything": [1, None]})) is None
    assert violation(UNKNOWN, answer(b"1,0.5", content_type="text/csv")) is None
    assert violation(UNKNOWN, answer(b"\x93NUMPY\xff", content_type="application/x-npy")) is None
    assert violation(UNKNOWN, answer(b"1,nan", content_type="text/csv")) == "[0][1] is nan; expected a finite number"
    for content_type in ("application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"):
        assert violation(UNKNOWN, answer(b"oops", content_type=content_type)) == "the answer is no JSON"


def test_an_answer_in_another_type_than_json_is_not_held_against_the_form() -> None:
    assert violation(LATE, answer(b"true,0.5", content_type="text/csv")) is None
    assert violation(LATE, answer(b'{"late": true}\n{}', content_type="application/jsonlines")) is None


def test_an_answer_that_was_not_captured_breaks_nothing() -> None:
    assert violation(LATE, Recorded("e", None, "", Side("application/json", b"{}"), None)) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["p", "late", "a"]), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, st.sampled_from([LATE, KIND, MINUTES, UNKNOWN]))
def test_whatever_is_answered_gets_a_sentence_or_none(row: Any, form: Form | Malformed) -> None:
    found = violation(form, one(row))
    assert found is None or found
