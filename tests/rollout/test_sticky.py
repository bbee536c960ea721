from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rollout import RolloutError
from rollout.sticky import StickyEndpoint, assigned

KEYS = [f"customer-{number}" for number in range(20_000)]


def test_a_variant_gets_keys_in_proportion_to_its_weight() -> None:
    for weights in ({"a": 90.0, "b": 10.0}, {"a": 1.0, "b": 1.0}, {"a": 6.0, "b": 3.0, "c": 1.0}):
        seen = Counter(assigned(key, weights, salt="trial") for key in KEYS)
        for name, weight in weights.items():
            assert binomtest(seen[name], len(KEYS), weight / sum(weights.values())).pvalue > 1e-4


@given(st.text(max_size=20), st.floats(0.01, 99), st.floats(0, 99))
def test_more_weight_for_the_challenger_takes_no_key_away_from_it(key: str, weight: float, more: float) -> None:
    before = assigned(key, {"champion": 100.0, "challenger": weight})
    after = assigned(key, {"champion": 100.0, "challenger": weight + more})
    assert after == "challenger" or before == "champion"


def test_a_variant_without_weight_gets_no_key_and_without_any_there_is_none() -> None:
    assert {assigned(key, {"a": 100.0, "b": 0.0}) for key in KEYS[:500]} == {"a"}
    assert assigned("customer", {"a": 0.0}) is None
    assert assigned("customer", {}) is None


def test_another_experiment_deals_the_keys_anew() -> None:
    both = {"a": 1.0, "b": 1.0}
    same = sum(assigned(key, both, salt="one") == assigned(key, both, salt="two") for key in KEYS)
    assert binomtest(same, len(KEYS)).pvalue > 1e-4


class Endpoint:
    """Answers as SageMaker does, with weights that a test sets."""

    def __init__(self) -> None:
        self.weights = {"v-a": 50.0, "v-b": 50.0}
        self.described = 0

    def __call__(self, _: str) -> Endpoint:
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        self.described += 1
        return {"ProductionVariants": [{"VariantName": n, "CurrentWeight": w} for n, w in self.weights.items()]}

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        variant = request.get("TargetVariant", next(iter(self.weights)))
        if variant not in self.weights:
            said = {"Code": "ValidationError", "Message": f"Variant {variant} not found"}
            raise ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": 400}}, "InvokeEndpoint")
        if request["Body"] == b"bad":
            said = {"Code": "ValidationError", "Message": "no"}
            raise ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": 400}}, "InvokeEndpoint")
        return {"InvokedProductionVariant": variant, "Body": io.BytesIO(b"{}")}


def test_one_key_meets_one_variant_and_the_weights_are_read_now_and_then() -> None:
    world, now = Endpoint(), [0.0]
    endpoint = StickyEndpoint(world, "endpoint", clock=lambda: now[0])
    seen = {key: endpoint.invoke(key, Body=b"{}")["InvokedProductionVariant"] for key in KEYS[:200]}
    assert set(seen.values()) == {"v-a", "v-b"}
    assert all(endpoint.invoke(key, Body=b"{}")["InvokedProductionVariant"] == seen[key] for key in KEYS[:200])
    assert world.described == 1
    world.weights["v-b"], now[0] = 0.0, 6.0
    assert {endpoint.invoke(key, Body=b"{}")["InvokedProductionVariant"] for key in KEYS[:200]} == {"v-a"}
    assert world.described == 2


def test_the_keys_of_a_challenger_that_is_gone_are_answered_by_the_champion_at_once() -> None:
    world = Endpoint()
    endpoint = StickyEndpoint(world, "endpoint", clock=lambda: 0.0)
    key = next(key for key in KEYS if endpoint.invoke(key, Body=b"{}")["InvokedProductionVariant"] == "v-b")
    del world.weights["v-b"]
    assert endpoint.invoke(key, Body=b"{}")["InvokedProductionVariant"] == "v-a"


def test_a_request_that_is_refused_for_itself_is_not_sent_twice() -> None:
    endpoint = StickyEndpoint(Endpoint(), "endpoint", clock=lambda: 0.0)
    with pytest.raises(RolloutError, match="ValidationError"):
        endpoint.invoke("customer", Body=b"bad")
