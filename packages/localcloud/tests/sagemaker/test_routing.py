"""Shares of traffic."""

from __future__ import annotations

import random
from collections import Counter
from statistics import NormalDist

import pytest

from localcloud.sagemaker.deployment import Variant
from localcloud.sagemaker.routing import Routes


def routes(**weights: float) -> Routes:
    return Routes(
        [Variant(n, n, "ml.m5.large", "image", None, {}, "RANDOM", None, w, w, 1, 1) for n, w in weights.items()]
    )


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1}, {"a": 9, "b": 1}, {"a": 0.1, "b": 0.2, "c": 0.7}, {"a": 99, "b": 1}]
)
def test_shares_are_weight_over_sum_of_weights(weights):
    random.seed(20130101)
    draws = 20_000
    table = routes(**weights)
    seen = Counter(variant.name for _ in range(draws) if (variant := table.draw()))
    z = NormalDist().inv_cdf(1 - 0.001 / 2)
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(seen[name] - draws * share) <= z * (draws * share * (1 - share)) ** 0.5 + 0.5


def test_a_variant_of_weight_zero_is_never_drawn_but_can_be_named():
    table = routes(a=0, b=1, c=0)
    assert {variant.name for _ in range(1000) if (variant := table.draw())} == {"b"}
    named = table.named("a")
    assert named is not None
    assert named.name == "a"


def test_without_any_weight_nothing_is_drawn():
    assert routes(a=0, b=0).draw() is None


def test_the_largest_random_number_still_draws_the_last(monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 1 - 2**-53)
    drawn = routes(a=0.1, b=0.2, c=0.3, d=0).draw()
    assert drawn is not None
    assert drawn.name == "c"
