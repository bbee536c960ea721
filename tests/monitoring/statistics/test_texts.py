from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.bulk import statistic, taken
from monitoring.statistics.statistic import Statistic
from monitoring.statistics.texts import counted

short = st.text(alphabet=st.sampled_from("aäUA0 \x01€\ud800😀"), max_size=3)
any_text = st.one_of(short, st.text(alphabet=st.characters(), max_size=12))


@pytest.mark.parametrize("texts", [short, any_text, st.one_of(st.none(), short), st.one_of(st.none(), any_text)])
def test_whatever_the_texts_each_is_counted_as_a_dictionary_does(texts: st.SearchStrategy[str | None]) -> None:
    @given(st.lists(texts, max_size=30))
    def check(values: list[str | None]) -> None:
        assert counted(values) == Counter(values)

    check()


@given(st.lists(short, min_size=1, max_size=40), st.integers(0, 2**32))
def test_many_texts_are_counted_by_their_hashes_alike(different: list[str], seed: int) -> None:
    many = np.random.default_rng(seed).choice(np.array(different, dtype=object), 5000).tolist()
    assert counted(many) == Counter(many)


def test_texts_that_share_a_hash_are_told_apart() -> None:
    by_hash = dict[int, str]()
    for number in range(100_000):
        text = f"{number:05}"
        place = int.from_bytes(text.encode(), "little") * 0x9E3779B97F4A7C15 % 2**64 >> 48
        if by_hash.setdefault(place, text) != text:
            break
    other = by_hash[place]
    values = [text, other, text] * 2000
    assert counted(values) == {text: 4000, other: 2000}


ODD = [["a\0b", "a", "b"], ["\0"], [""], ["", "", "a"], ["12345678", "123456789"], [None]]
ALIKE = [["JFK", "LGA", "JFK"], ["ä", "aa"], ["12345678", "87654321"], ["123456789", "987654321"], ["a", "abc"]]
"""Of one length, or only on average."""


@pytest.mark.parametrize("values", [*ODD, *ALIKE])
@pytest.mark.parametrize("times", [1, 5000])
def test_texts_of_any_lengths_with_a_separator_or_empty_are_told_apart(values: list[str | None], times: int) -> None:
    assert counted(values * times) == Counter(values * times)


def test_what_is_no_text_is_refused_and_a_column_of_such_codes_is_counted_row_by_row() -> None:
    with pytest.raises(TypeError):
        counted(["a", 1])
    values = np.array(["1", 1, 1.0, True, None, float("nan"), "x", np.str_("x")], dtype=object)
    profile = taken({"code": np.array(["1", "x", "x"], dtype=object)})
    one_by_one = Statistic(profile)
    for value in values.tolist():
        one_by_one.add({"code": value})
    assert statistic(profile, {"code": values}).as_dict() == one_by_one.as_dict()
