"""What users of other canary controllers complain of does not happen here.

docs/reference/peers.md has the complaints, what happens here, and the test that holds it. What a test elsewhere holds
already is not repeated; the page points to it, and the first test here follows every pointer.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, POD, ROUTE
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.errors import Busy
from tests.platforms.kubernetes.simulated import CONFIGS, PAIR, A, B, Cluster, ends
from tests.platforms.kubernetes.world import ENDPOINT, IN_MEMORY, World, pair, solo
from tests.rollout.worlds import PERSON

WORLDS = IN_MEMORY
ROOT = Path(__file__).resolve().parents[5]
PAGE = ROOT / "docs/reference/peers.md"
COMPLAINTS = {
    *("kserve#5983", "kserve#5335", "kserve#2130", "flagger#1857", "flagger#1647", "flagger#453", "flagger#616"),
    *(f"rollouts-plugin-trafficrouter-gatewayapi#{number}" for number in (158, 203, 208, 230)),
    *("argo-rollouts#4841", "argo-rollouts#4612", "gateway#6742", "gateway#7017", "gateway#4685", "linkerd2#14964"),
    *("pulumi-kubernetes#2542", "pulumi-kubernetes#2491"),
}


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(item.name for item in tree.body if isinstance(item, ast.FunctionDef))


def test_every_complaint_has_a_row_and_every_row_names_tests_that_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    told = {f"{name}#{number}" for name, number in re.findall(r"\[(?:[\w-]+/)?([\w-]+)#(\d+)\]", text)}
    assert told == COMPLAINTS
    for row in (line for line in text.splitlines() if line.startswith("| [")):
        named = re.findall(r"`(packages/modelstack/tests[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, name in named:
            assert name in functions_of(path), f"{path}::{name}"


def targets(world: World) -> set[str]:
    return {str(item["name"]) for rule in world.route["spec"]["rules"] for item in rule["backendRefs"]}


def on_trial(cluster: Cluster, weight: int) -> Controller:
    rollout = cluster.begin()
    for _ in range(300):
        if cluster.around.weights().get("solo-b") == weight:
            return rollout
        rollout.tick()
        cluster.clock.sleep(1)
    raise AssertionError(f"never at {weight}%")


def test_the_previous_champion_keeps_its_rule_through_the_trials_after_it(cluster: Cluster) -> None:
    """A gateway that has to learn of its pods first loses requests in that moment: the way back is to lose none."""
    state = ends(cluster, cluster.begin())
    assert state.previous is not None
    assert state.previous.config_name == "solo-a"
    around, after = cluster.around, pair(B, solo("solo-c", "v-c"))
    around.workload("solo-c")
    around.config(after)
    traffic = RouteTraffic(around.api, ENDPOINT)
    traffic.use_config(after.name)
    assert targets(around) == {"solo-a", "solo-b", "solo-c"}
    traffic.use_config("solo-b")
    assert targets(around) == {"solo-a", "solo-b", "solo-c"}
    traffic.use_config("solo-a")
    assert around.weights() == {"solo-a": 100}


def test_another_route_of_the_same_gateway_is_never_written(cluster: Cluster) -> None:
    """flagger#1857 and the plugin's #203: filters, rules and backends of people are thrown away.

    A filter belongs on a route of its own, or on the Gateway; the endpoint's own route has one owner.
    """
    api = cluster.around.api
    header = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-by", "value": "team"}]}}
    rule = {
        "filters": [header],
        "backendRefs": [{"name": "solo-a", "port": 8080, "weight": 3}, {"name": "w", "port": 1}],
    }
    theirs = api.create(ROUTE, {"metadata": {"name": "theirs"}, "spec": {"rules": [rule]}})
    rollout = on_trial(cluster, 50)
    rollout.roll_back(PERSON)
    ends(cluster, rollout)
    after = api.get(ROUTE, "theirs")
    assert after["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]
    assert after["spec"] == theirs["spec"]


def test_a_challenger_gets_no_larger_part_of_the_traffic_than_of_its_pods_is_ready(world: World) -> None:
    """argo-rollouts#4612: 70% of the traffic went to a canary that was scaled for 5%."""
    for config in CONFIGS:
        world.config(config)
    world.workload("solo-a", ready=1, replicas=4)
    world.workload("solo-b", ready=1, replicas=4)
    traffic = RouteTraffic(world.api, ENDPOINT)
    traffic.use_config(A.name)
    traffic.use_config(PAIR.name)
    traffic.set_weights({"v-a": 75, "v-b": 25})
    with pytest.raises(Busy, match=r"70% for v-b .*: 1 of its 4 pods are ready, and that much wants 3"):
        traffic.set_weights({"v-a": 30, "v-b": 70})
    assert world.weights() == {"solo-a": 75, "solo-b": 25}
    world.endpoints("solo-b", 3)
    traffic.set_weights({"v-a": 30, "v-b": 70})
    world.endpoints("solo-b", 1)
    traffic.set_weights({"v-a": 100, "v-b": 0})  # a champion gets its own back, with however few
    assert world.weights() == {"solo-a": 100, "solo-b": 0}


def test_no_pod_is_deleted_or_scaled_by_a_trial(cluster: Cluster) -> None:
    """kserve#5983: the stable pods were taken away before those of the canary could answer."""
    api = cluster.around.api
    before = {name: api.get(DEPLOYMENT, name)["spec"] for name in ("solo-a", "solo-b")}
    assert ends(cluster, cluster.begin()).champion == cluster.release("b")
    assert cluster.around.weights() == {"solo-b": 100}
    assert {name: api.get(DEPLOYMENT, name)["spec"] for name in before} == before
    assert api.list(POD) == []
