"""Reference bins: no row is lost, and the standard library puts values where numpy put them."""

from __future__ import annotations

import json
from bisect import bisect_left
from math import isfinite, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import archive
from pipeline.reference import reference

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(nan) | st.integers(0, 3).map(float), min_size=1, max_size=200)


@given(numbers, st.integers(2, 20))
def test_bins_count_every_value_once_where_bisect_finds_it(values: list[float], bins: int):
    found = reference({"x": np.array(values)}, bins=bins)
    feature = json.loads(json.dumps(found))["features"]["x"]
    edges, counts = feature["edges"], feature["counts"]
    assert edges == sorted(set(edges))
    assert len(counts) == len(edges) + 1 <= bins
    expected = [0] * len(counts)
    for value in values:
        if isfinite(value):
            expected[bisect_left(edges, value)] += 1
    assert counts == expected
    assert sum(counts) + feature["missing"] == found["rows"] == len(values)


def test_bins_of_a_continuous_feature_are_about_equally_full():
    counts = reference({"x": np.random.default_rng(0).normal(size=100_000)})["features"]["x"]["counts"]
    assert len(counts) == 10
    assert all(abs(count - 10_000) < 100 for count in counts)


def test_a_feature_with_one_value_has_one_bin_and_one_without_values_is_all_missing():
    found = reference({"one": np.full(5, 3.0), "none": np.full(5, nan)})["features"]
    assert found["one"] == {"kind": "numeric", "edges": [], "counts": [5], "missing": 0}
    assert found["none"] == {"kind": "numeric", "edges": [], "counts": [0], "missing": 5}


@given(st.lists(st.sampled_from(["a", "b", "c", "other", None]), min_size=1), st.integers(1, 4))
def test_codes_beyond_the_most_frequent_are_counted_as_other(values: list[str | None], codes: int):
    feature = reference({"x": np.array(values, dtype=object)}, codes=codes)["features"]["x"]
    assert "other" in feature["counts"]
    assert len(feature["counts"].keys() - {"other"}) <= codes
    assert sum(feature["counts"].values()) + feature["missing"] == len(values)
    assert feature["missing"] == values.count(None)
    kept = feature["counts"].keys() - {"other"}
    assert all(feature["counts"][code] == values.count(code) for code in kept)


def test_any_array_of_numbers_is_numeric_and_any_of_strings_is_codes():
    found = reference(
        {
            "whole": np.array([1, 2, 2]),
            "yes": np.array([True, False, True]),
            "objects": np.array([1, None, 2.5], object),
            "text": np.array(["a", "b", "b"]),
            "mixed": np.array(["a", nan, None], object),
        }
    )["features"]
    assert [found[name]["kind"] for name in ("whole", "yes", "objects")] == ["numeric"] * 3
    assert found["objects"]["missing"] == 1
    assert found["text"] == {"kind": "categorical", "counts": {"a": 1, "b": 2, "other": 0}, "missing": 0}
    assert found["mixed"] == {"kind": "categorical", "counts": {"a": 1, "other": 0}, "missing": 2}


@pytest.mark.parametrize("columns", [{}, {"x": np.array([])}, {"x": np.zeros(2), "y": np.zeros(3)}])
def test_nothing_to_count_is_refused(columns: dict):
    with pytest.raises(ValueError, match="cannot take a reference"):
        reference(columns)


def test_the_sealed_reference_covers_every_feature_of_the_model(sealed):
    from model.features import FEATURES

    found = json.loads(archive.read(sealed.path, "reference.json"))
    assert {name: feature["kind"] for name, feature in found["features"].items()} == {
        feature.name: feature.kind for feature in FEATURES
    }
