from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.columns import statistic
from modelstack.monitoring.bulk import taken
from modelstack.monitoring.statistics.profile import Categorical, Numeric, Profile, UnreadableProfile
from modelstack.monitoring.statistics.statistic import NameCounts, Problem, Statistic

PROFILE = Profile(
    {
        "distance": Numeric((200.0, 500.0, 1000.0), (250, 250, 250, 240), 10, 50.0, 3000.0),
        "gust": Numeric((), (0,), 1000),
        "carrier": Categorical(("B6", "UA"), (400, 500, 100), 0, frozenset({"HA", "OO"})),
        "dest": Categorical(("ORD",), (10, 990), 0),
    },
    1000,
)
ODD = st.sampled_from([None, True, "x", [1], {}, math.nan, math.inf, -math.inf, 10**400, -(10**400), 0, -0.0, 0.0])
VALUES = st.floats() | st.integers(-(10**6), 10**6) | ODD
CODES = st.sampled_from(["UA", "B6", "HA", "OO", "other", *"abcdefghijklmnop"]) | st.text(max_size=80) | VALUES
ROWS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"distance": VALUES, "gust": VALUES, "carrier": CODES, "dest": CODES, "z": VALUES, "?": VALUES}
    )
    | ODD,
    max_size=12,
)


def seen_of(rows: list[Any]) -> Statistic:
    seen = Statistic(PROFILE)
    for row in rows:
        seen.add(row)
    return seen


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_makes_no_difference(rows: list[Any], source: random.Random) -> None:
    shuffled = list(rows)
    source.shuffle(shuffled)
    assert seen_of(shuffled).as_dict() == seen_of(rows).as_dict()


@given(ROWS)
def test_it_survives_json(rows: list[Any]) -> None:
    body = json.loads(json.dumps(seen_of(rows).as_dict(), allow_nan=False))
    assert Statistic.from_dict(PROFILE, body).as_dict() == seen_of(rows).as_dict()


@given(ROWS)
def test_each_row_counts_once_in_each_feature(rows: list[Any]) -> None:
    seen = seen_of(rows)
    assert seen.rows + seen.no_objects == len(rows)
    for tally in seen.features.values():
        assert sum(tally.bins) + tally.unknown == seen.rows


def test_its_size_does_not_grow_with_the_rows() -> None:
    source = random.Random(1)
    sizes: list[int] = []
    for number in (200, 20_000):
        rows = [
            {"distance": source.gauss(500, 300), "carrier": f"c{source.random()}", f"f{source.random()}": 1}
            for _ in range(number)
        ]
        sizes.append(len(json.dumps(seen_of(rows).as_dict())))
    assert sizes[1] < 1.2 * sizes[0]


def test_values_are_told_apart_by_what_is_wrong_with_them() -> None:
    rows = [{"distance": value} for value in (49, 50, 3000, 3001, None, math.nan, math.inf, "far", True, 10**400)]
    tally: Any = seen_of([*rows, {}]).features["distance"]
    assert (tally.missing, tally.absent, tally.wrong) == (2, 1, 3)
    assert (tally.below, tally.above, sum(tally.bins)) == (1, 2, 5)
    carrier: Any = seen_of([{"carrier": code} for code in ("UA", "HA", "ZZ", "ZZ", None, [])]).features["carrier"]
    assert (carrier.bins, carrier.new.by_name, carrier.missing, carrier.wrong) == ([0, 1, 3], {"ZZ": 2}, 1, 1)
    dest: Any = seen_of([{"dest": "ANC"}]).features["dest"]
    assert (dest.bins, dest.new.total) == ([0, 1], 0), "when rare codes were not named, none is new"


def test_problems_name_the_field_and_what_is_wrong() -> None:
    rows = [{"distance": None, "carrier": "ZZ", "dest": "ORD", "speed": 3}, {"distance": None, "carrier": 1.5}]
    assert seen_of([*rows, "no row"]).problems() == [
        Problem("", "no object", 1),
        Problem("speed", "unknown field", 1),
        Problem("distance", "no values", 2),
        Problem("gust", "vanished", 2),
        Problem("carrier", "new code", 2),
    ]
    good = {"distance": 300, "gust": None, "carrier": "UA", "dest": "ORD"}
    assert seen_of([good]).problems() == [], "a feature without a value at training may be without one"
    assert seen_of([]).problems() == []


@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), max_size=60))
def test_the_first_names_are_counted_exactly(names: list[str]) -> None:
    seen = NameCounts()
    for name in names:
        seen.add(name)
    assert seen.by_name == {name: names.count(name) for name in sorted(set(names))[:10]}
    assert seen.total == len(names)


def test_a_statistic_of_another_profile_is_refused() -> None:
    other = Profile({"distance": PROFILE.columns["distance"]}, 1000)
    with pytest.raises(ValueError, match="features: got"):
        Statistic.from_dict(other, Statistic(PROFILE).as_dict())
    wider = Profile({**PROFILE.columns, "dest": Categorical(("LAX", "ORD"), (1, 2, 3), 0)}, 1000)
    with pytest.raises(ValueError, match=r"dest\.bins: got 2, expected 3"):
        Statistic.from_dict(wider, Statistic(PROFILE).as_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": -1}, "rows: got -1"),
        ({"features": []}, "features: got list, expected an object"),
        ({"fields": {"total": 1, "by_name": {"a": "x"}}}, "fields: got 'x'"),
    ],
)
def test_a_statistic_of_another_form_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UnreadableProfile, match=words):
        Statistic.from_dict(PROFILE, {**seen_of([{}]).as_dict(), **change})


# From columns

COLUMN = st.lists(st.floats(), max_size=30)


@given(st.data(), st.integers(0, 30))
def test_columns_give_what_their_rows_give(data: st.DataObject, number: int) -> None:
    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return data.draw(st.lists(values, min_size=number, max_size=number))

    columns = {
        "distance": np.asarray(column(st.floats()), dtype=float),
        "gust": np.array([*column(VALUES), None], dtype=object)[:-1],
        "carrier": np.array([*column(st.none() | st.text(max_size=3)), None], dtype=object)[:-1],
        "speed": np.asarray(column(st.integers(0, 5)), dtype=np.int64),
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
    assert statistic(PROFILE, columns).as_dict() == seen_of(rows).as_dict()


def test_columns_of_numbers_give_what_their_rows_give_at_length() -> None:
    source = np.random.default_rng(3)
    distance = source.normal(700, 900, 40_000)
    distance[source.random(40_000) < 0.1] = np.nan
    whole = source.integers(-(2**62), 2**62, 40_000)
    columns = {"distance": distance, "gust": whole}
    rows = [{"distance": a, "gust": b} for a, b in zip(distance.tolist(), whole.tolist(), strict=True)]
    assert statistic(PROFILE, columns).as_dict() == seen_of(rows).as_dict()


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \[1, 2\] rows"):
        statistic(PROFILE, {"distance": np.zeros(1), "gust": np.zeros(2)})
    with pytest.raises(ValueError, match=r"columns with \[0\] rows"):
        taken({"distance": np.zeros(0)})


# The profile


def test_a_profile_survives_json_and_bins_its_own_data() -> None:
    source = np.random.default_rng(4)
    distance = source.gamma(2, 500, 5000)
    distance[:100] = np.nan
    codes = np.array([f"D{place:02}" for place in range(60)])
    dest = source.choice(codes, 5000, p=np.arange(60, 0, -1) / 1830).astype(object)
    columns = {"distance": distance, "dest": dest, "late": source.random(5000) < 0.2, "none": np.full(5000, np.nan)}
    profile = taken(columns)
    again = Profile.from_dict(json.loads(json.dumps(profile.as_dict(), allow_nan=False)))
    assert again == profile
    seen = statistic(profile, columns)
    for name, column in profile.columns.items():
        assert tuple(seen.features[name].bins) == column.counts
        assert seen.features[name].missing == column.missing
    assert seen.problems() == []
    assert [profile.columns[name].bins for name in columns] == [20, 31, 3, 1]


def test_normal_scores_ascend_around_zero() -> None:
    scores = Numeric((1.0, 2.0, 3.0), (25, 25, 25, 25), 0).normal_scores
    assert scores == pytest.approx([-1.1503, -0.3186, 0.3186, 1.1503], abs=1e-4)
    assert Numeric((1.0,), (0, 0), 5).normal_scores == (0.0, 0.0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "reference: got NoneType, expected an object"),
        ({"rows": 1}, "features: got NoneType"),
        ({"rows": -1, "features": {}}, "rows: got -1, expected a whole number"),
        ({"rows": 1, "features": {"x": {"kind": "text", "missing": 0}}}, "x.kind: got 'text'"),
        ({"rows": 1, "features": {"x": {"kind": "numeric", "edges": [2, 1], "counts": [1], "missing": 0}}}, "x.edges"),
        ({"rows": 1, "features": {"x": {"kind": "numeric", "edges": [1], "counts": [1], "missing": 0}}}, "x.counts"),
        ({"rows": 1, "features": {"x": {"kind": "categorical", "counts": {"a": "b"}, "missing": 0}}}, "got 'b'"),
        ({"rows": 1, "features": {"x": {"kind": "numeric", "edges": ["a"], "counts": [1], "missing": 0}}}, "'a'"),
    ],
)
def test_a_profile_of_another_form_is_refused_by_feature_and_value(body: object, words: str) -> None:
    with pytest.raises(UnreadableProfile, match=words.replace(".", r"\.")):
        Profile.from_dict(body)
