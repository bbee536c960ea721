"""Two training sets are held against each other by what each package has sealed of its own."""

from __future__ import annotations

import numpy as np
import pytest

from modelstack.cli.report.data import drift
from modelstack.monitoring.statistics.profile import Categorical, Numeric, Profile


def numbers(values: np.ndarray, missing: int = 0) -> Numeric:
    edges = np.quantile(values, np.arange(1, 20) / 20)
    counts = np.bincount(np.searchsorted(edges, values), minlength=20)
    return Numeric(tuple(edges), tuple(map(int, counts)), missing, float(values.min()), float(values.max()))


def codes(**counts: int) -> Categorical:
    return Categorical(tuple(counts), (*counts.values(), 0), 0, frozenset())


def drawn(seed: int, rows: int = 20_000, level: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, 1, rows)


def test_the_same_training_set_has_no_drift_at_all() -> None:
    one = Profile({"x": numbers(drawn(1)), "c": codes(a=5, b=9)}, 20_000)
    assert drift(one, one).same


def test_another_sample_of_the_same_has_moved_no_more_than_chance() -> None:
    found = drift(Profile({"x": numbers(drawn(1))}, 20_000), Profile({"x": numbers(drawn(2))}, 20_000))
    (x,) = found.features
    assert 0 < x.distance < 2 * x.chance and not x.moved and not found.same


def test_bins_of_another_training_set_are_counted_over_those_of_the_champion() -> None:
    before, after = drawn(1), drawn(2, level=0.5)
    (x,) = drift(Profile({"x": numbers(before)}, 20_000), Profile({"x": numbers(after)}, 20_000)).features
    edges = np.quantile(before, np.arange(1, 20) / 20)
    truth = [np.bincount(np.searchsorted(edges, side), minlength=20) / len(side) for side in (before, after)]
    middle = sum(truth) / 2
    exact = np.sqrt(sum((side * np.log(side / middle)).sum() for side in truth) / 2)
    assert x.distance == pytest.approx(exact, rel=0.1)
    assert x.moved and x.what.startswith("level +0.")


def test_missing_values_and_new_codes_are_told() -> None:
    before = Profile({"x": numbers(drawn(1)), "c": codes(a=800, b=200)}, 1000)
    after = Profile({"x": numbers(drawn(1), missing=5000), "c": codes(a=500, b=200, z=300)}, 1000)
    found = {one.name: one for one in drift(before, after).features}
    assert found["x"].missing == (0.0, 0.2) and found["x"].moved
    assert found["c"].new == ("z",) and found["c"].what == "a -30.0 points"


def test_features_that_come_go_or_change_their_kind_are_named() -> None:
    before = Profile({"x": numbers(drawn(1)), "old": codes(a=1), "k": codes(a=1)}, 1)
    after = Profile({"x": numbers(drawn(1)), "new": codes(a=1), "k": numbers(drawn(1))}, 1)
    found = drift(before, after)
    assert (found.added, found.removed, found.other) == (("new",), ("old",), ("k",))
    assert [one.name for one in found.features] == ["x"] and not found.same
