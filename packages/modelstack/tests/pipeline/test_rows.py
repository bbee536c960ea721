from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.rows import Rows, SplitRefused, as_json, check_split, period, split, tables, times

UNKNOWN = np.array(["2020-01-01", "NaT"], "datetime64[s]")


def days(*numbers: int) -> Any:
    return np.array([f"2020-01-{number:02}" for number in numbers], "datetime64[s]")


def timed(event_time: Any, label_at: Any, **columns: Any) -> dict[str, Any]:
    return {"x": np.zeros(len(event_time)), "event_time": event_time, "label_at": label_at, **columns}


def named(*names: str) -> dict[str, Any]:
    return {"x": np.zeros(len(names)), "id": list(names)}


def problems(**given: Any) -> list[str]:
    data = SimpleNamespace(**{name: lambda settings, table=table: table for name, table in given.items()})
    with pytest.raises(ContractBroken) as caught:
        tables(data, None)
    return [line.removeprefix("model/data.py: training(settings): ") for line in caught.value.problems]


@pytest.mark.parametrize(
    ("values", "kind", "optional"),
    [
        ([1, 2], "number", False),
        (np.array([1.5, np.nan]), "number", True),
        (np.array([True, False]), "boolean", False),
        (np.array(["a", None], object), "text", True),
        (np.array(["a", np.nan], object), "text", True),
        (np.array(["a", "b"]), "text", False),
        (np.array([1, None], object), "number", True),
        (pd.Series(["a", None]), "text", True),
        (pd.Series(["a", "b"], dtype="category"), "text", False),
        (pd.Series([1, 2], dtype="int8"), "number", False),
    ],
)
def test_numbers_and_texts_in_any_array_are_features_of_a_kind(values: Any, kind: str, optional: bool):
    rows = Rows.of({"x": values})
    assert rows.features == [{"name": "x", "kind": kind, "optional": optional}]
    assert len(rows) == len(rows.table) == 2
    assert any(as_json(value) is None for value in rows.table[:, 0]) == optional


def test_a_data_frame_and_a_mapping_are_the_same_table():
    given = {"x": [1.0, 2.0], "c": ["a", None], "label": [True, False], "id": ["p", "q"]}
    one, other = Rows.of(pd.DataFrame(given)), Rows.of(given)
    assert one.table.tolist() == other.table.tolist() == [[1.0, "a"], [2.0, None]]
    assert (one.id.tolist(), one.label.tolist()) == (["p", "q"], [True, False])
    assert list(one.columns) == list(other.columns) == ["x", "c"]
    assert Rows.of({"x": [1, 2]}).table.dtype == float, "without texts the input is one of numbers"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "found dict; expected a table: a DataFrame, or a mapping of columns to values"),
        ([], "found list; expected a table: a DataFrame, or a mapping of columns to values"),
        (None, "found NoneType; expected a table: a DataFrame, or a mapping of columns to values"),
        ({"x": []}, "found no rows; expected at least one"),
        ({"id": ["a"]}, "found no column besides id; expected a feature"),
        ({"x": np.zeros(2), "y": np.zeros(3)}, "'y': found shape (3,); expected (2,)"),
        ({"x": days(1, 2)}, "'x': found datetime64[s]; expected numbers (NaN if missing) or texts (None if missing)"),
        (
            {"x": np.array([{"a": 1}, None], object)},
            "'x': found a dict; expected numbers (NaN if missing) or texts (None if missing)",
        ),
        (
            {"x": pd.cut(pd.Series([1.0, 5.0]), 2)},
            "'x': found a Interval; expected numbers (NaN if missing) or texts (None if missing), as from "
            "column.astype(str) for pandas categories",
        ),
        ({"x": np.array(["a", 1], object)}, "'x': found texts and numbers; expected one of them"),
        ({"x": np.zeros(2), "event_time": days(1, 2)}, "found event_time alone; expected event_time and label_at"),
        (timed(days(1, 2), [None, None]), "'label_at': found object; expected datetime64, UTC"),
        (timed(days(1, 2), UNKNOWN), "'label_at': found rows without it; expected a time for each"),
        (named("a", "a"), "'id': found the same one twice; expected another one for each row"),
    ],
)
def test_what_is_no_table_that_can_be_learned_from_is_told(table: Any, said: str):
    assert problems(training=table) == [said]


@pytest.mark.parametrize("name", ["", "größe", ":a", " a", 7, "a" * 201])
def test_a_column_whose_name_can_be_no_dimension_of_a_metric_is_told(name: Any):
    assert problems(training={name: np.zeros(2)}) == [
        f"found the column {name!r}; expected a name of up to 200 characters of ASCII, no colon first"
    ]
    assert Rows.of({"od280/od315 (of wines)": np.zeros(2)})


def test_tables_of_one_model_are_of_one_form():
    assert (
        "found event_time in one of training, evaluation"
        in problems(training=timed(days(1, 2), days(1, 2)), evaluation=named("a", "b"))[0]
    )
    other = {"y": np.zeros(2), "id": ["c", "d"]}
    assert (
        "found other columns in training than in evaluation" in problems(training=named("a", "b"), evaluation=other)[0]
    )
    nameless = problems(training={"x": np.zeros(2)}, evaluation=named("a", "b"))
    assert nameless[0].startswith("model/data.py: training: found neither event_time nor id; ")


def test_all_problems_of_a_table_are_told_at_once():
    table = {"x": days(1, 2), ":y": np.zeros(2), "id": ["a", "a"], "label_at": days(1, 2)}
    assert len(problems(training=table)) == 4


def test_evaluation_begins_when_the_last_label_of_training_is_known():
    training = Rows.of(timed(days(1, 2), days(3, 5)))
    check_split(training, Rows.of(timed(days(5, 6), days(7, 7))))
    with pytest.raises(SplitRefused, match="evaluation starts 2020-01-04T00:00:00, before training ends 2020-01-05"):
        check_split(training, Rows.of(timed(days(6, 4), days(7, 7))))


def test_rows_without_a_time_are_in_one_of_the_two_only():
    check_split(Rows.of(named("a", "b")), Rows.of(named("c", "d")))
    with pytest.raises(SplitRefused, match="1 of the rows to evaluate on are trained on too, such as b"):
        check_split(Rows.of(named("a", "b")), Rows.of(named("b", "c")))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=10, max_size=60), st.booleans())
def test_where_the_model_does_not_choose_a_part_is_kept_back_that_training_could_not_know(given: Any, with_times: bool):
    at = np.datetime64("2020-01-01", "s") + np.array([day for day, _ in given]) * np.timedelta64(86400, "s")
    known = at + np.array([later for _, later in given]) * np.timedelta64(86400, "s")
    names = [f"row-{number}" for number in range(len(given))]
    rows = Rows.of(timed(at, known, id=names) if with_times else {"x": np.zeros(len(given)), "id": names})
    try:
        training, evaluation = split(rows)
    except ContractBroken as refused:
        assert "no fifth can be kept for evaluation" in str(refused)
        return
    check_split(training, evaluation)
    assert not set(training.id) & set(evaluation.id)
    if with_times:
        assert len(evaluation) >= len(rows) // 5
        assert evaluation.event_time.max() == at.max(), "the newest"


def test_a_row_stays_on_its_side_when_others_come():
    before, after = (split(Rows.of(named(*(f"row-{number}" for number in range(size))))) for size in (100, 200))
    assert set(before[1].id) <= set(after[1].id)
    assert 10 <= len(before[1]) <= 30


def test_what_is_kept_of_the_times_is_nothing_for_rows_without():
    assert times(Rows.of(timed(days(2, 1), days(3, 4)))) == {
        "first_event": "2020-01-01T00:00:00",
        "last_event": "2020-01-02T00:00:00",
        "last_label": "2020-01-04T00:00:00",
    }
    assert (times(Rows.of(named("a", "b"))), period(Rows.of(named("a", "b")))) == ({}, "")
