"""What a request may hold: read in one pass, refused in words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import BadRequest, Reader, Rows
from tests.serving.packages import FEATURES, INSTANCE

DECLARED = Declaration.from_dict(FEATURES)
READER = Reader(DECLARED)


def read(*instances: Any) -> Rows:
    return READER.json(json.dumps({"instances": list(instances)}).encode())


def problems(body: bytes) -> list[str]:
    with pytest.raises(BadRequest) as refused:
        READER.json(body)
    assert refused.value.status == 400
    return refused.value.problems


def test_instances_become_the_estimators_input():
    rows = read(INSTANCE, {**INSTANCE, "gust": None, "class": None})
    assert len(rows) == 2
    assert rows.table.dtype == object
    assert rows.table[0].tolist() == [100.0, 1.5, "UA", "first", False]
    assert np.isnan(rows.table[1][1]) and rows.table[1][3] is None
    assert rows.columns["gust"] == [1.5, None]


def test_a_model_of_numbers_alone_gets_floats():
    reader = Reader(Declaration.from_dict([one for one in FEATURES if one["kind"] != "text"]))
    rows = reader.json(b'{"instances": [{"distance": 1, "night": true}]}')
    assert rows.table.dtype == float
    np.testing.assert_equal(rows.table, [[1.0, np.nan, 1.0]])


def test_the_order_of_a_requests_fields_does_not_matter():
    assert read(dict(reversed(INSTANCE.items()))).values == read(INSTANCE).values


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"carrier": 5}, "carrier: 5 is not allowed: expected a string like 'UA' (matching [A-Z]{2})"),
        ({"carrier": None}, "carrier: None is not allowed"),
        ({"carrier": "UA\n"}, "carrier: 'UA\\n' is not allowed"),
        ({"class": "third"}, "class: 'third' is not allowed: expected one of first, second, or null"),
        ({"distance": "100"}, "distance: '100' is not allowed: expected a number from 0 to 12000 (miles)"),
        ({"distance": True}, "distance: True is not allowed"),
        ({"distance": 10**400}, "distance: 1000"),
        ({"distance": -0.5}, "distance: -0.5 is not allowed"),
        ({"gust": "calm"}, "gust: 'calm' is not allowed: expected a number, or null"),
        *(
            ({"gust": value}, f"gust: {value} is not allowed: expected a number from -1e+30 to 1e+30, or null")
            for value in (1e31, -1e40, 10**35)
        ),
        ({"night": 1}, "night: 1 is not allowed: expected true or false"),
        ({"arrival": 3}, "arrival: unknown field; allowed are distance, gust, carrier, class, night"),
        ({"a b" * 99: 3}, "'a ba ba"),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_what_is_allowed(changes: dict[str, Any], said: str):
    (first,) = problems(json.dumps({"instances": [INSTANCE | changes]}).encode())
    assert first.startswith(f"instances[0].{said}")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b'{"instances": [{"distance": NaN}]}', "the body is not JSON"),
        (b'{"instances": [{"distance": 1e999}]}', "the body is not JSON: Number out of range"),
        (b"[]", "the body has a list: expected an object"),
        (b"null", "the body has null: expected an object"),
        (b"{}", "the body has fields none: expected an object"),
        (b'{"instances": [], "more": 1}', "the body has fields instances, more"),
        (b'{"instances": []}', "instances: found 0 of them: expected a list of 1 to 1000"),
        (b'{"instances": {}}', "instances: found an object"),
        (b'{"instances": [' + b"{}," * 1000 + b"{}]}", "instances: found 1,001 of them"),
        (b'{"instances": [null]}', "instances[0] is None, which is not allowed: expected an object with the fields"),
        (b'{"instances": [{}]}', "instances[0].distance: missing; expected a number from 0 to 12000 (miles)"),
    ],
)
def test_a_wrong_body_is_refused_in_words(body: bytes, said: str):
    assert problems(body)[0].startswith(said)


def test_very_many_problems_are_cut_and_the_rest_is_counted():
    found = problems(json.dumps({"instances": [{}] * 10}).encode())
    assert (len(found), found[-1]) == (21, "and 10 more")


def test_what_is_missing_may_be_left_out_where_it_is_optional():
    assert read({name: value for name, value in INSTANCE.items() if name != "gust"}).values[0][1] is None


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_values = _scalars | st.sampled_from(["UA", "first", 0, 12000, 12000.5, 1e300, -1e300, 1e301]) | st.lists(_scalars)


@given(st.dictionaries(st.sampled_from([*INSTANCE, "other"]), _values))
def test_the_quick_check_and_the_one_that_names_problems_agree(changes: dict[str, Any]):
    instance = INSTANCE | changes
    allowed = all(one.fits(instance.get(one.name)) for one in DECLARED.features) and instance.keys() <= INSTANCE.keys()
    if allowed:
        assert len(read(instance)) == 1
    else:
        assert problems(json.dumps({"instances": [instance]}).encode())[0].startswith("instances[0].")
