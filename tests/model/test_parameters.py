"""Parameters as they come from a stack's config."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.parameters import FAULTY, Parameters, retrained, variant
from modelstack.serving.parameter_types import ParameterError, as_dict
from modelstack.serving.parameter_types import parse as parse_as


def parse(given: dict) -> Parameters:
    return parse_as(Parameters, given)


def test_what_is_left_out_has_its_default():
    assert parse({}) == Parameters()
    assert as_dict(parse({"max_iter": 80})) == {**as_dict(Parameters()), "max_iter": 80}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_iter": 0}, "max_iter: 0 is not allowed: expected an integer from 1 to 1000"),
        ({"learning_rate": 0}, "learning_rate: 0 is not allowed: expected a number from 0.001 to 1.0"),
        ({"folds": 1}, "folds: 1 is not allowed: expected an integer from 2 to 10, or 0"),
        ({"fault": "error"}, "fault: 'error' is not allowed: expected one of none, errors, slow"),
        (
            {"train_from": "2012-12-31"},
            "train_from: '2012-12-31' is not allowed: expected a day from 2013-01-01 to 2013-12-31 as YYYY-MM-DD",
        ),
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


@pytest.mark.parametrize("rate", [0.001, 0.1, 1.0])
def test_other_versions_are_allowed_and_differ(rate: float):
    made = [parse({"learning_rate": rate, **variant(parse({"learning_rate": rate}), n)}) for n in (1, 2, 1_000_000)]
    assert len({parameters.learning_rate for parameters in (parse({"learning_rate": rate}), *made)}) == 4
    assert parse(FAULTY).fault != parse({}).fault


DEFAULTS = Parameters()


def through(day: str, parameters: Parameters = DEFAULTS) -> Parameters:
    return replace(parameters, **(retrained(parameters, date.fromisoformat(day)) or {}))


def test_retraining_takes_the_newest_four_weeks_whose_labels_are_all_known_to_evaluate_on():
    since, until = date(2013, 5, 18), date(2013, 6, 15)
    expected = Parameters(max_iter=80, train_until=since, evaluate_from=since, evaluate_until=until, refit=True)
    assert through("2013-06-16", Parameters(max_iter=80)) == expected, "what serves is to know the newest days too"


def test_what_serves_after_a_second_fit_knows_the_days_of_its_evaluation():
    refitted = through("2013-06-16")
    assert refitted.known_until == date(2013, 6, 15)
    assert retrained(refitted, date(2013, 6, 16)) is None
    assert through("2013-06-17", refitted).evaluate_until == date(2013, 6, 16)


@pytest.mark.parametrize("day", ["2013-03-02", "2013-01-01", "2014-01-02", "9999-12-31", "0001-01-02"])
def test_a_day_that_gives_nothing_newer_or_is_beyond_the_data_gives_nothing(day: str):
    assert retrained(Parameters(), date.fromisoformat(day)) is None


def test_the_first_and_the_last_day_that_are_allowed():
    assert through("2013-03-03").evaluate_until == date(2013, 3, 2)
    assert through("2014-01-01").evaluate_until == date(2013, 12, 31)


@given(st.dates(date(2013, 1, 1), date(2014, 2, 1)), st.dates(date(2013, 1, 1), date(2014, 2, 1)))
def test_a_later_day_never_gives_an_earlier_window_and_never_less_than_what_was_known(one: date, other: date):
    def window(day: date) -> Parameters | None:
        changes = retrained(Parameters(), day)
        return None if changes is None else parse(changes)

    earlier, later = window(min(one, other)), window(max(one, other))
    for found in (earlier, later):
        if found is not None:
            assert found.evaluate_from >= found.train_until
            assert found.known_until > Parameters().known_until
    if earlier and later:
        assert (earlier.train_until, earlier.evaluate_until) <= (later.train_until, later.evaluate_until)
