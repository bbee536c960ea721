"""What users of other canary controllers complain of does not happen here.

docs/reference/peers.md has the complaints, what happens here, and the test that holds it. What a test elsewhere holds
already is not repeated; the page points to it, and the first test here follows every pointer.
"""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from platforms.kubernetes.kinds import DEPLOYMENT, POD, ROUTE
from platforms.kubernetes.rules import lingering
from platforms.kubernetes.traffic import RouteTraffic
from rollout.controller.controller import Controller
from rollout.core.endings import Ignored
from rollout.core.errors import Busy
from rollout.core.plan import Step
from rollout.core.state import Phase
from rollout.reason import Reason
from tests.platforms.kubernetes.simulated import CONFIGS, PAIR, A, B, Cluster, cluster_in, ends, in_memory
from tests.platforms.kubernetes.world import ENDPOINT, World, pair, solo
from tests.rollout.worlds import PERSON, PLAN

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reference/peers.md"
COMPLAINTS = {
    *("kserve#5983", "kserve#5335", "kserve#2130", "flagger#1857", "flagger#1647", "flagger#453", "flagger#616"),
    *(f"rollouts-plugin-trafficrouter-gatewayapi#{number}" for number in (158, 203, 208, 230)),
    *("argo-rollouts#4841", "argo-rollouts#4612", "gateway#6742", "gateway#7017", "gateway#4685", "linkerd2#14964"),
    *("pulumi-kubernetes#2542", "pulumi-kubernetes#2491"),
}


@pytest.fixture
def cluster(world: World) -> Cluster:
    return cluster_in(world)


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(item.name for item in tree.body if isinstance(item, ast.FunctionDef))


def test_every_complaint_has_a_row_and_every_row_names_tests_that_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    told = {f"{name}#{number}" for name, number in re.findall(r"\[(?:[\w-]+/)?([\w-]+)#(\d+)\]", text)}
    assert told == COMPLAINTS
    for row in (line for line in text.splitlines() if line.startswith("| [")):
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, name in named:
            assert name in functions_of(path), f"{path}::{name}"


def targets(world: World) -> set[str]:
    return {str(item["name"]) for rule in world.route["spec"]["rules"] for item in rule["backendRefs"]}


def on_trial(cluster: Cluster, weight: int) -> Controller:
    """A trial that has come to a weight."""
    rollout = cluster.begin()
    for _ in range(300):
        if cluster.around.weights().get("solo-b") == weight:
            return rollout
        rollout.tick()
        cluster.clock.sleep(1)
    raise AssertionError(f"never at {weight}%")


@in_memory
def test_nothing_stays_on_the_route_of_trials_that_are_over(cluster: Cluster) -> None:
    """kserve#2130: canary after canary, routes of those before are left behind."""
    for _ in range(3):
        rollout = on_trial(cluster, 10)
        rollout.roll_back(PERSON)
        ends(cluster, rollout)
        assert targets(cluster.around) <= {"solo-a", "solo-b"}
        rollout.clear_rejection("b")
    ends(cluster, cluster.begin())
    assert targets(cluster.around) <= {"solo-a", "solo-b"}
    backends = [item.workload for item in lingering(cluster.around.route["spec"]["rules"], B)]
    assert backends == ["solo-a"], "what served before keeps one rule, so that the way back loses no request"
    assert len(cluster.around.route["spec"]["rules"]) == 3


@in_memory
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


@in_memory
def test_the_previous_champion_is_warm_after_a_promotion_and_serves_at_once_when_it_is_wanted(cluster: Cluster) -> None:
    """flagger#453 and #616: after a promotion there is no way back but another canary, or a start from nothing."""
    rollout = cluster.begin()
    state = ends(cluster, rollout)
    assert state.previous is not None
    assert state.previous.id == "a"
    assert "solo-a" in state.configs(), "so every `pulumi up` declares its pods"
    rollout.roll_back(PERSON)
    assert cluster.around.weights() == {"solo-a": 100}, "in the same call: nothing has to start"
    assert not cluster.lost
    state = ends(cluster, rollout)
    assert (state.champion.id if state.champion else "", "b" in state.rejected) == ("a", True)


@in_memory
def test_for_the_watch_time_an_alarm_brings_the_previous_champion_back_and_after_it_only_a_person_does(
    cluster: Cluster,
) -> None:
    """flagger#616, and what the reader is told once the time is over."""
    rollout = cluster.begin(replace(PLAN, watch_seconds=600))
    promoted = ends(cluster, rollout).promoted_at
    rings = Reason("alarm", "v-b-5xx", "too many errors")
    cluster.clock.sleep(601)
    late = rollout.roll_back(rings, variant="v-b", at=cluster.clock.time())
    assert isinstance(late, Ignored)
    assert late.why == "champion b was promoted more than 600 s ago"
    assert cluster.around.weights() == {"solo-b": 100}
    rollout.roll_back(PERSON)
    assert cluster.around.weights() == {"solo-a": 100}
    ends(cluster, rollout)
    rollout.clear_rejection("b")
    rollout = cluster.begin(replace(PLAN, watch_seconds=600))
    assert ends(cluster, rollout).promoted_at > promoted
    cluster.clock.sleep(500)
    rollout.roll_back(rings, variant="v-b", at=cluster.clock.time())
    assert cluster.around.weights() == {"solo-a": 100}


@in_memory
def test_a_previous_champion_whose_pods_were_deleted_by_hand_is_named_and_the_champion_goes_on(
    cluster: Cluster,
) -> None:
    """flagger#453: who keeps the old version must say so when it is not there any more."""
    rollout = cluster.begin()
    ends(cluster, rollout)
    cluster.around.api.delete(DEPLOYMENT, "solo-a")
    cluster.around.endpoints("solo-a", 0)
    rollout.roll_back(PERSON, patience=5)
    state = ends(cluster, rollout, 300)
    assert cluster.around.weights() == {"solo-b": 100}
    assert state.last is not None
    assert (state.last.outcome, state.champion.id if state.champion else "") == ("failed", "b")
    assert "Deployment solo-a is not there" in state.last.reason.text


@in_memory
def test_a_trial_that_bakes_writes_nothing(cluster: Cluster) -> None:
    """The plugin's #230: the route is written in every reconciliation, though nothing of it changes."""
    rollout = on_trial(cluster, 10)
    cluster.clock.sleep(2)
    rollout.tick()
    api: Any = cluster.around.api
    before, version = len(api.calls), cluster.around.route["metadata"]["resourceVersion"]
    for _ in range(10):
        rollout.tick()
        cluster.clock.sleep(0.5)
    assert cluster.around.weights()["solo-b"] == 10
    assert ("patch", ROUTE.plural) not in api.calls[before:]
    assert cluster.around.route["metadata"]["resourceVersion"] == version
    assert Counter(verb for verb, _ in api.calls[before:])["create"] == 0


@in_memory
@pytest.mark.parametrize("weight", [10, 50])
@pytest.mark.parametrize("pods", ["all", "one of three of the champion", "none of the challenger"])
def test_who_ends_a_trial_finds_no_traffic_at_the_challenger_whatever_pods_are_there(
    cluster: Cluster, weight: int, pods: str
) -> None:
    """argo-rollouts#4841: an aborted canary keeps its weight for ever, as the stable pods were scaled down with it."""
    rollout = on_trial(cluster, weight)
    if pods.endswith("champion"):
        cluster.around.patch(DEPLOYMENT, "solo-a", {"spec": {"replicas": 3}}, "kubectl-scale")
    elif pods.startswith("none"):
        cluster.around.endpoints("solo-b", 0)
    rollout.roll_back(PERSON)
    assert cluster.around.weights()["solo-a"] == 100
    assert not cluster.around.weights().get("solo-b")
    ends(cluster, rollout, 60)
    assert cluster.around.weights() == {"solo-a": 100}


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


@in_memory
def test_a_gateway_that_does_not_say_which_version_of_a_route_it_has_taken_gets_no_trial(cluster: Cluster) -> None:
    """linkerd2#14964: `observedGeneration` stays empty, so nobody knows whether a weight is live. Never a pass."""
    cluster.around.gateway_follows(behind=cluster.around.route["metadata"]["generation"])  # it says 0
    follows = cluster.around.gateway_follows
    object.__setattr__(
        cluster.around, "gateway_follows", lambda: follows(behind=cluster.around.route["metadata"]["generation"])
    )
    rollout = cluster.begin(replace(PLAN, max_seconds=200, steps=(Step(10, 30),)))
    for _ in range(30):
        rollout.tick()
        assert not cluster.around.weights().get("solo-b"), "no step without the gateway's word"
        cluster.clock.sleep(2)
    assert "is not told yet of generation" in RouteTraffic(cluster.around.api, ENDPOINT).read().detail
    assert cluster.journal.phase in {Phase.PREPARING, Phase.ROLLING_BACK}


def test_no_pod_is_deleted_or_scaled_by_a_trial(cluster: Cluster) -> None:
    """kserve#5983: the stable pods were taken away before those of the canary could answer."""
    api = cluster.around.api
    before = {name: api.get(DEPLOYMENT, name)["spec"] for name in ("solo-a", "solo-b")}
    ends(cluster, cluster.begin())
    assert {name: api.get(DEPLOYMENT, name)["spec"] for name in before} == before
    assert api.list(POD) == []
