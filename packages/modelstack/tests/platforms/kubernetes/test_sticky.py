"""A challenger gets no traffic of an A/B test with sticky keys before the gateway goes by the key.

That the gateway then does what is asked of it is seen on one, in `test_on_a_gateway.py`.
"""

from __future__ import annotations

import pytest

from modelstack.platforms.kubernetes.gateway import taking
from modelstack.platforms.kubernetes.kinds import PATCH_POLICY
from modelstack.platforms.kubernetes.sticky import policy
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.core.errors import Busy
from tests.platforms.kubernetes.world import ENDPOINT, IN_MEMORY, World, on_both, pair, solo

OLD, NEW = solo("w-old", "v-old"), solo("w-new", "v-new")
PAIR = pair(OLD, NEW)
HEADER = "x-user-id"
WORLDS = IN_MEMORY
TAKEN = {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}


@pytest.fixture
def traffic(world: World) -> RouteTraffic:
    made = RouteTraffic(world.api, ENDPOINT, sticky=HEADER)
    for config in (OLD, NEW, PAIR):
        world.config(config)
    world.workload("w-old")
    world.workload("w-new")
    made.use_config(PAIR.name)
    world.gateway_follows()
    return made


def test_once_the_gateway_goes_by_the_header_a_challenger_gets_its_share(world: World, traffic: RouteTraffic) -> None:
    world.sticky(HEADER, **TAKEN)
    traffic.set_weights({"v-old": 90, "v-new": 10})
    assert world.weights() == {"w-old": 90, "w-new": 10}


@pytest.mark.parametrize(
    ("header", "said", "words"),
    [
        ("", {}, "there is no EnvoyPatchPolicy"),
        (HEADER, {}, "has not taken it yet"),
        (HEADER, {"Accepted": ("True", "Accepted")}, "has not taken it yet"),
        (HEADER, {"Accepted": ("False", "Disabled")}, "Disabled"),
        (HEADER, TAKEN | {"Programmed": ("False", "ResourceNotFound")}, "ResourceNotFound"),
        ("x-session", TAKEN, "goes by x-session"),
    ],
)
def test_until_then_it_gets_nothing_and_the_reason_is_told(
    world: World, traffic: RouteTraffic, header: str, said: dict[str, tuple[str, str]], words: str
) -> None:
    if header:
        world.sticky(header, **said)
    with pytest.raises(Busy, match=f"header {HEADER} does not decide which version answers: .*{words}"):
        traffic.set_weights({"v-old": 90, "v-new": 10})
    assert world.weights() == {"w-old": 100, "w-new": 0}


@on_both
def test_a_policy_that_changed_since_the_gateway_looked_counts_as_not_taken(
    world: World, traffic: RouteTraffic
) -> None:
    world.sticky(HEADER, **TAKEN)
    added = policy(ENDPOINT, world.api.namespace, "models", ["http", "https"], HEADER)
    world.api.apply(PATCH_POLICY, added, "modelstack-pulumi")
    with pytest.raises(Busy, match="has not taken it yet"):
        traffic.set_weights({"v-old": 90, "v-new": 10})


def test_the_way_back_asks_for_no_key(world: World, traffic: RouteTraffic) -> None:
    world.sticky(HEADER, **TAKEN)
    traffic.set_weights({"v-old": 50, "v-new": 50})
    world.api.delete(PATCH_POLICY, ENDPOINT)
    traffic.set_weights({"v-old": 100, "v-new": 0})
    assert world.weights() == {"w-old": 100, "w-new": 0}


def test_without_sticky_keys_no_policy_is_asked_for(world: World, traffic: RouteTraffic) -> None:
    RouteTraffic(world.api, ENDPOINT).set_weights({"v-old": 90, "v-new": 10})
    assert world.weights() == {"w-old": 90, "w-new": 10}


def test_only_listeners_that_take_the_routes_requests_are_patched() -> None:
    """A patch of one that has no route of ours matches nothing, and the gateway would refuse the whole policy."""
    listeners = [
        {"name": "http", "protocol": "HTTP"},
        {"name": "ours", "protocol": "HTTPS", "hostname": "models.example.org"},
        {"name": "below", "protocol": "HTTPS", "hostname": "*.example.org"},
        {"name": "theirs", "protocol": "HTTPS", "hostname": "shop.example.com"},
        {"name": "tcp", "protocol": "TCP"},
    ]
    gateway = {"spec": {"listeners": listeners}}
    assert taking(gateway, "models.example.org") == ("http", "ours", "below")
    assert taking(gateway, None) == ("http", "ours", "below", "theirs")
    patched = policy("a", "models", "shared", taking(gateway, "models.example.org"), HEADER)["spec"]["jsonPatches"]
    assert {item["name"] for item in patched} == {f"models/shared/{name}" for name in ("http", "ours", "below")}
