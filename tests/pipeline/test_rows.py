"""Rows that training or evaluation could not mean anything on are refused, with every problem named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from pipeline.contract import ContractBroken
from pipeline.rows import SplitRefused, check_rows, check_split, period, times


def days(*numbers: int) -> Any:
    return np.array([f"2020-01-{number:02}" for number in numbers], "datetime64[s]")


@dataclass
class Timed:
    event_time: Any
    label_at: Any
    columns: Any = field(default_factory=lambda: {"x": np.zeros(2)})

    def __len__(self) -> int:
        return 2


@dataclass
class Named:
    id: Any
    columns: Any = field(default_factory=lambda: {"x": np.zeros(2)})

    def __len__(self) -> int:
        return 2


def problems(**given: Any) -> list[str]:
    with pytest.raises(ContractBroken) as caught:
        check_rows(**given)
    return [line.removeprefix("model/data.py: training(settings): ") for line in caught.value.problems]


@pytest.mark.parametrize(
    "columns",
    [
        {"x": [1, 2]},
        {"x": np.array([1.5, np.nan])},
        {"x": np.array([True, False])},
        {"x": np.array(["a", None], object), "y": np.array(["a", "b"])},
        {"x": np.array([1, None], object)},
    ],
)
def test_numbers_and_strings_in_any_array_are_columns(columns: Any):
    check_rows(training=Named(["a", "b"], columns))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "found Named; expected an object with a length and columns, feature -> values"),
        ({"x": np.zeros(3)}, "columns['x']: found shape (3,); expected (2,)"),
        (
            {"x": days(1, 2)},
            "columns['x']: found datetime64[s]; expected numbers (NaN if missing) or strings (None if missing)",
        ),
        (
            {"x": np.array([{"a": 1}, None], object)},
            "columns['x']: found a dict; expected numbers (NaN if missing) or strings (None if missing)",
        ),
    ],
)
def test_a_column_that_drift_cannot_be_measured_on_is_told(columns: Any, said: str):
    assert problems(training=Named(["a", "b"], columns)) == [said]


@pytest.mark.parametrize("name", ["", "größe", ":a", " a", 7, "a" * 201])
def test_a_column_whose_name_can_be_no_dimension_of_a_metric_is_told(name: Any):
    assert problems(training=Named(["a", "b"], {name: np.zeros(2)})) == [
        f"columns: found the name {name!r}; expected up to 200 characters of ASCII, no colon first"
    ]
    check_rows(training=Named(["a", "b"], {"od280/od315 (of wines)": np.zeros(2)}))


def test_rows_need_both_times_or_a_name_each():
    assert problems(training=Timed(days(1, 2), None)) == ["label_at: found object; expected datetime64, UTC"]
    assert problems(training=Timed(days(1, 2), np.array(["2020-01-01", "NaT"], "datetime64[s]"))) == [
        "label_at: found rows without it; expected a time for each"
    ]
    assert problems(training=Named(["a", "a"])) == ["id: found the same one twice; expected another one for each row"]
    rows = Named(["a", "b"])
    del rows.id
    assert problems(training=rows)[0].startswith("found neither event_time nor id; ")


def test_training_and_evaluation_are_of_one_form():
    timed, named = Timed(days(1, 2), days(1, 2)), Named(["a", "b"])
    assert "found event_time in one of training, evaluation" in problems(training=timed, evaluation=named)[0]
    other = Named(["c", "d"], {"y": np.zeros(2)})
    assert "found other columns in training than in evaluation" in problems(training=named, evaluation=other)[0]


def test_all_problems_of_both_are_told_at_once():
    assert len(problems(training=Named(["a", "a"], {"x": np.zeros(1)}), evaluation=[])) == 3


def test_evaluation_begins_when_the_last_label_of_training_is_known():
    training = Timed(days(1, 2), days(3, 5))
    check_split(training, Timed(days(5, 6), days(7, 7)))
    with pytest.raises(SplitRefused, match="evaluation starts 2020-01-04T00:00:00, before training ends 2020-01-05"):
        check_split(training, Timed(days(6, 4), days(7, 7)))


def test_rows_without_a_time_are_in_one_of_the_two_only():
    check_split(Named(["a", "b"]), Named(["c", "d"]))
    with pytest.raises(SplitRefused, match="1 of the rows to evaluate on are trained on too, such as b"):
        check_split(Named(["a", "b"]), Named(["b", "c"]))


def test_what_is_kept_of_the_times_is_nothing_for_rows_without():
    assert times(Timed(days(2, 1), days(3, 4))) == {
        "first_event": "2020-01-01T00:00:00",
        "last_event": "2020-01-02T00:00:00",
        "last_label": "2020-01-04T00:00:00",
    }
    assert (times(Named(["a", "b"])), period(Named(["a", "b"]))) == ({}, "")
