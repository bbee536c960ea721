"""Parameters as they come from a stack's config."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.parameters import FAULTS, FAULTY, ParameterError, Parameters, parse, variant

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


def test_what_is_left_out_has_its_default():
    assert parse({}) == Parameters()
    assert parse({"max_iter": 80}).as_dict() == {**Parameters().as_dict(), "max_iter": 80}


def test_a_whole_number_that_came_through_json_as_a_float_is_the_same_parameter():
    assert parse({"max_iter": 60.0}) == parse({"max_iter": 60}) == Parameters()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_iter": 0}, "max_iter: 0 is not allowed: expected an integer from 1 to 1000"),
        ({"max_iter": 60.5}, "max_iter: 60.5 is not allowed"),
        ({"max_iter": True}, "max_iter: True is not allowed"),
        ({"max_iter": "60"}, "max_iter: '60' is not allowed"),
        ({"max_iter": float("inf")}, "max_iter: inf is not allowed"),
        ({"learning_rate": 0}, "learning_rate: 0 is not allowed: expected a number from 0.001 to 1.0"),
        ({"learning_rate": float("nan")}, "learning_rate: nan is not allowed"),
        ({"folds": 1}, "folds: 1 is not allowed: expected an integer from 2 to 10, or 0"),
        ({"fault": "error"}, "fault: 'error' is not allowed: expected one of none, errors, slow, nan"),
        ({"fault": ["none"]}, "fault: ['none'] is not allowed"),
        ({"train_from": "2012-12-31"}, "train_from: '2012-12-31' is not allowed: expected a day of 2013"),
        ({"train_from": "2013-13-01"}, "train_from: '2013-13-01' is not allowed"),
        ({"train_from": "20130101"}, "train_from: '20130101' is not allowed"),
        ({"trees": 60}, "trees: unknown parameter; the model has evaluate_from"),
        ({"train_from": "2013-03-01"}, "train_until: '2013-03-01' is not allowed: expected a day after train_from"),
        (
            {"evaluate_from": "2013-02-01"},
            "evaluate_from: '2013-02-01' is not allowed: expected a day at or after train_until",
        ),
        ({"evaluate_until": "2013-03-01"}, "evaluate_until: '2013-03-01' is not allowed"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_what_is_allowed(given: dict, said: str):
    with pytest.raises(ParameterError) as refused:
        parse(given)
    assert said in str(refused.value)


def test_every_wrong_parameter_is_named_at_once():
    with pytest.raises(ParameterError) as refused:
        parse({"max_iter": 0, "learning_rate": 2, "trees": 1})
    assert len(str(refused.value).splitlines()) == 3


@given(st.dictionaries(st.sampled_from([*Parameters().as_dict(), "other"]), scalars | st.sampled_from(FAULTS)))
def test_any_values_are_either_parsed_or_refused_in_words(given: dict):
    try:
        parsed = parse(given)
    except ParameterError as refused:
        assert str(refused)
    else:
        assert parse(parsed.as_dict()) == parsed


@pytest.mark.parametrize("rate", [0.001, 0.1, 1.0])
def test_other_versions_are_allowed_and_differ(rate: float):
    made = [parse({"learning_rate": rate, **variant(parse({"learning_rate": rate}), n)}) for n in (1, 2, 1_000_000)]
    assert len({parameters.learning_rate for parameters in (parse({"learning_rate": rate}), *made)}) == 4
    assert parse(FAULTY).fault != parse({}).fault
