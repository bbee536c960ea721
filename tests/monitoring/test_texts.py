"""Texts are counted as a dictionary counts them, whichever way is taken."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.bulk import statistic, taken
from monitoring.statistic import Statistic
from monitoring.texts import counted

short = st.text(alphabet=st.sampled_from("aäUA0 \x01€\ud800😀"), max_size=3)
any_text = st.one_of(short, st.text(alphabet=st.characters(), max_size=12))


@pytest.mark.parametrize("texts", [short, any_text, st.one_of(st.none(), short), st.one_of(st.none(), any_text)])
def test_whatever_the_texts_each_is_counted_as_a_dictionary_does(texts: st.SearchStrategy[str | None]) -> None:
    @given(st.lists(texts, max_size=30))
    def check(values: list[str | None]) -> None:
        assert counted(values) == Counter(values)

    check()


@pytest.mark.parametrize("values", [["a\0b", "a", "b"], ["\0"], [""], ["", "", "a"], ["12345678", "123456789"], [None]])
def test_a_separator_within_a_text_an_empty_and_a_long_one_are_told_apart(values: list[str | None]) -> None:
    assert counted(values) == Counter(values)


def test_what_is_no_text_is_refused_and_a_column_of_such_codes_is_counted_row_by_row() -> None:
    with pytest.raises(TypeError):
        counted(["a", 1])  # pyright: ignore[reportArgumentType]
    values = np.array(["1", 1, 1.0, True, None, float("nan"), "x", np.str_("x")], dtype=object)
    profile = taken({"code": np.array(["1", "x", "x"], dtype=object)})
    one_by_one = Statistic(profile)
    for value in values.tolist():
        one_by_one.add({"code": value})
    assert statistic(profile, {"code": values}).as_dict() == one_by_one.as_dict()
