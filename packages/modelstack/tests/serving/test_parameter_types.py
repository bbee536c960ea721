from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.serving.parameter_types import NoParameters, ParameterError, as_dict, parse


@dataclass(frozen=True)
class Every:
    """A field of every kind."""

    name: str
    on: bool = False
    whole: int = 1
    real: Annotated[float, (0.5, 2)] = 1.0
    size: Annotated[int, (2, 4)] | Literal[0] = 0
    kind: Literal["a", "b", 3] = "a"
    since: Annotated[date, (date(2013, 1, 1), date(2013, 12, 31))] = date(2013, 1, 1)
    until: date = date(2014, 1, 1)
    more: int = field(default_factory=lambda: 7)

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ValueError(f"until: {self.until} is not allowed: expected a day after since")


def test_values_are_read_and_what_is_left_out_has_its_default():
    found = parse(Every, {"name": "x", "real": 2, "whole": 3.0, "size": 4, "since": "2013-02-01"})
    assert found == Every("x", real=2.0, whole=3, size=4, since=date(2013, 2, 1))
    assert isinstance(found.whole, int)
    assert isinstance(found.real, float)
    assert as_dict(found)["since"] == "2013-02-01"
    assert parse(Every, as_dict(found)) == found
    assert as_dict(parse(NoParameters, {})) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"on": 1}, "on: 1 is not allowed: expected true or false"),
        ({"whole": 1.5}, "whole: 1.5 is not allowed: expected an integer"),
        ({"whole": True}, "whole: True is not allowed: expected an integer"),
        ({"real": 0.4}, "real: 0.4 is not allowed: expected a number from 0.5 to 2"),
        ({"real": float("nan")}, "real: nan is not allowed: expected a number from 0.5 to 2"),
        ({"size": 1}, "size: 1 is not allowed: expected an integer from 2 to 4, or 0"),
        ({"size": False}, "size: False is not allowed: expected an integer from 2 to 4, or 0"),
        ({"kind": "c"}, "kind: 'c' is not allowed: expected one of a, b, 3"),
        ({"kind": []}, "kind: [] is not allowed: expected one of a, b, 3"),
        (
            {"since": "2012-01-01"},
            "since: '2012-01-01' is not allowed: expected a day from 2013-01-01 to 2013-12-31 as",
        ),
        ({"until": "2013-W01-1"}, "until: '2013-W01-1' is not allowed: expected a day as YYYY-MM-DD"),
        ({"until": 20130101}, "until: 20130101 is not allowed: expected a day as YYYY-MM-DD"),
        ({"name": 1}, "name: 1 is not allowed: expected a text"),
        ({"until": "2013-01-01"}, "until: 2013-01-01 is not allowed: expected a day after since"),
        ({"names": 1}, "names: unknown parameter; the model has kind, more, name, on, real, since, size, until, whole"),
    ],
)
def test_a_value_of_another_type_is_named_with_what_is_allowed(given: dict[str, Any], said: str):
    with pytest.raises(ParameterError) as refused:
        parse(Every, {"name": "x", **given})
    assert str(refused.value).startswith(said)


def test_every_problem_is_told_at_once_and_a_field_without_a_default_is_asked_for():
    with pytest.raises(ParameterError) as refused:
        parse(Every, {"on": 2, "size": 1, "x": 0})
    assert str(refused.value).splitlines() == [
        "x: unknown parameter; the model has kind, more, name, on, real, since, size, until, whole",
        "name: missing; expected a text",
        "on: 2 is not allowed: expected true or false",
        "size: 1 is not allowed: expected an integer from 2 to 4, or 0",
    ]
    with pytest.raises(ParameterError, match="a: unknown parameter; the model has none"):
        parse(NoParameters, {"a": 1})


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates().map(str)


@given(st.dictionaries(st.sampled_from(["name", "on", "whole", "real", "size", "kind", "since", "until"]), scalars))
def test_any_values_are_either_parsed_or_refused_in_words(given: dict[str, Any]):
    try:
        found = parse(Every, given)
    except ParameterError as refused:
        assert str(refused)
    else:
        assert parse(Every, as_dict(found)) == found
