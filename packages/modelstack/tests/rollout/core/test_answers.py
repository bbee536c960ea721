"""What is wrong with an answer's body, whoever answered and whatever was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.answers import broken, form_of


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        (b'{"p": 0.5}', "JSON", {"p": 0.5}),
        (b'{"p": 1}\n{"p": 2}\n', "JSON Lines", [{"p": 1}, {"p": 2}]),
        (b"yes, 0.5\n1_0,7", "text", [["yes", 0.5], ["1_0", 7]]),
        (b"\x93NUMPY\xff", "bytes", None),
    ],
)
def test_a_body_is_read_in_its_likeliest_form(body: bytes, name: str, value: Any) -> None:
    form, read = form_of(body)
    assert (form.name, read) == (name, value)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the answer is empty"),
        (b"NaN", "the answer is nan; expected a finite number"),
        (b'{"of": [{"n": 1}, {"n": -Infinity}]}', "of[1].n is -inf; expected a finite number"),
        (b'{"p": 1e999}', "p is inf; expected a finite number"),
        (b'{"p": 1}\n{"p": NaN}', "[1].p is nan; expected a finite number"),
        (b"yes,0.5\nno,nan", "[1][1] is nan; expected a finite number"),
        (b'{"b": [NaN], "a": NaN}', "b[0] is nan; expected a finite number"),
    ],
)
def test_a_body_that_is_empty_or_has_a_number_that_is_not_finite_is_broken(body: bytes, why: str) -> None:
    assert broken(body) == why


@pytest.mark.parametrize("body", [b"{}", b"oops", b'"NaN"', b'{"p": null}', b"\x93NUMPY\xff", b"[" * 100_000])
def test_any_other_body_may_be_an_answer(body: bytes) -> None:
    assert broken(body) is None


def test_an_answer_may_nest_as_deep_as_it_can_be_read() -> None:
    assert broken(b"[" * 500 + b"NaN" + b"]" * 500) == "[0]" * 500 + " is nan; expected a finite number"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_json_is_broken_just_when_python_writes_it_with_other_than_json_numbers(value: Any) -> None:
    try:
        json.dumps(value, allow_nan=False)
        finite = True
    except ValueError:
        finite = False
    assert (broken(json.dumps(value).encode()) is None) is finite
