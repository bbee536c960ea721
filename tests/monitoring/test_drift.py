from __future__ import annotations

import math
import random
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift import Histogram, Reference, UnreadableReference, drift, population_stability

BODY: dict[str, Any] = {
    "rows": 1000,
    "features": {
        "distance": {"kind": "numeric", "edges": [200.0, 500.0, 1000.0], "counts": [250, 250, 250, 240], "missing": 10},
        "carrier": {"kind": "categorical", "counts": {"UA": 500, "B6": 400, "other": 100}, "missing": 0},
    },
}


def seen_rows(rows: list[dict[str, Any]], body: object = None) -> tuple[Reference, Histogram]:
    reference = Reference.from_dict(body or BODY)
    seen = Histogram(reference)
    for row in rows:
        seen.add(row)
    return reference, seen


def test_the_index_is_that_of_the_book() -> None:
    # By hand, from Siddiqi's formula, with counts so large that the half row of each bin does not show.
    expected, observed = [500_000, 300_000, 200_000], [400_000, 350_000, 250_000]
    by_hand = -0.1 * math.log(0.8) + 0.05 * math.log(0.35 / 0.3) + 0.05 * math.log(1.25)
    assert population_stability(expected, observed) == pytest.approx(by_hand, abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=20))
def test_the_index_is_never_negative_and_always_finite(bins: list[tuple[int, int]]) -> None:
    expected, observed = [a for a, _ in bins], [b for _, b in bins]
    if sum(expected) and sum(observed):
        value = population_stability(expected, observed)
        assert value >= 0
        assert math.isfinite(value)
        assert value == pytest.approx(population_stability(observed, expected))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_a_sample_has_no_drift_from_itself(counts: list[int]) -> None:
    if sum(counts):
        assert population_stability(counts, counts) == pytest.approx(0)


def test_different_bins_or_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 observed, expected 2"):
        population_stability([1, 2], [1])
    with pytest.raises(ValueError, match="got 3 expected and 0 observed"):
        population_stability([1, 2], [0, 0])


def test_values_fall_into_the_bins_that_training_counted_them_in() -> None:
    rows = [{"distance": value} for value in (199, 200.0, 200.1, 500, 1000, 1e9, None, "far", math.nan, math.inf)]
    _, seen = seen_rows(rows)
    assert seen.counts["distance"] == [2, 2, 1, 1, 4]
    _, seen = seen_rows([{"carrier": code} for code in ("UA", "B6", "XX", "other", None)])
    by_code = dict(zip(Reference.from_dict(BODY).features["carrier"].codes, seen.counts["carrier"], strict=False))
    assert by_code == {"other": 2, "UA": 1, "B6": 1}
    assert seen.counts["carrier"][-1] == 1


def test_moved_inputs_drift_and_equal_ones_do_not() -> None:
    source = random.Random(2)
    edges = [200.0, 500.0, 1000.0]
    # As at training: bins 25% each, codes 50/40/10.
    inside = [100.0, 300.0, 700.0, 2000.0]
    same = [{"distance": source.choice(inside), "carrier": source.choices(["UA", "B6", "ZZ"], [5, 4, 1])[0]}
            for _ in range(400)]  # fmt: skip
    reference, seen = seen_rows(same)
    assert max(drift(reference, seen).values()) < 0.1
    moved = [{**row, "distance": 2000.0} for row in same]
    reference, seen = seen_rows(moved)
    found = drift(reference, seen)
    assert found["distance"] > 0.25 > found["carrier"]
    assert bisect_left(edges, 2000.0) == 3


def test_rare_codes_do_not_look_like_drift_in_a_small_sample() -> None:
    source = random.Random(3)
    codes = {f"D{n:02}": 1000 // (n + 1) for n in range(60)}
    body = {"rows": sum(codes.values()), "features": {"dest": {"kind": "categorical", "counts": codes, "missing": 0}}}
    names, weights = list(codes), list(codes.values())
    for _ in range(20):
        rows = [{"dest": name} for name in source.choices(names, weights, k=300)]
        assert drift(*seen_rows(rows, body))["dest"] < 0.25


def test_nothing_seen_is_no_drift_of_zero_but_none_at_all() -> None:
    assert drift(*seen_rows([])) == {}


def test_counts_of_another_reference_are_not_taken_over() -> None:
    reference = Reference.from_dict(BODY)
    seen = Histogram(reference, {"distance": [1, 2], "carrier": [1, 2, 3, 4]}, rows=10)
    assert (seen.rows, seen.counts["carrier"]) == (0, [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "reference: got NoneType, expected an object"),
        ({"rows": 1}, "features: got NoneType"),
        ({"rows": -1, "features": {}}, "rows: got -1, expected a whole number"),
        ({"rows": 1, "features": {"x": {"kind": "text", "missing": 0}}}, "x.kind: got 'text'"),
        (
            {"rows": 1, "features": {"x": {"kind": "numeric", "edges": [2, 1], "counts": [1, 1, 1], "missing": 0}}},
            "x.edges: got",
        ),
        (
            {"rows": 1, "features": {"x": {"kind": "numeric", "edges": [1], "counts": [1], "missing": 0}}},
            "x.counts: got 1, expected 2",
        ),
        (
            {"rows": 1, "features": {"x": {"kind": "categorical", "counts": {"a": "b"}, "missing": 0}}},
            "x.counts: got 'b'",
        ),
    ],
)
def test_a_reference_of_another_form_is_refused_by_feature_and_value(body: object, words: str) -> None:
    with pytest.raises(UnreadableReference, match=words.replace(".", r"\.").replace("[", r"\[")):
        Reference.from_dict(body)


@given(
    st.dictionaries(st.sampled_from(["distance", "carrier", "z"]), st.none() | st.text() | st.floats() | st.integers())
)
def test_any_row_can_be_counted(row: dict[str, Any]) -> None:
    _, seen = seen_rows([row])
    assert [sum(counts) for counts in seen.counts.values()] == [1, 1]
