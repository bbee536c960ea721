"""What the program declares on a cluster where a stack asks for more: sticky keys, and pods that follow the load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi
import pytest

from modelstack.program.config.settings import Settings
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase
from tests.program.on_cluster import NAMES, NEW, OLD, idle, manifests, run_on_cluster
from tests.program.recorded import World, stack_config

GROWS = {"instance_count": 2, "max_instance_count": 8}


AB = {"strategy": {"kind": "ab", "weight": 50}}


def patched(world: World) -> dict[str, str]:
    """Listener -> its sticky header."""
    item = manifests(world).get(("EnvoyPatchPolicy", NAMES.prefix))
    patches = item["spec"]["jsonPatches"] if item else []
    hashed = [one for one in patches if one["operation"]["path"] == "/hash_policy"]
    return {one["name"].split("/")[-1]: one["operation"]["value"][0]["header"]["header_name"] for one in hashed}


@pytest.mark.slow
def test_an_ab_test_goes_by_a_header_and_other_trials_by_none() -> None:
    assert patched(run_on_cluster(state=idle(OLD))) == {}
    world = run_on_cluster(state=idle(OLD), rollout=AB)
    assert patched(world) == {"http": "x-user-id"}
    assert manifests(world)["Rollout", NAMES.prefix]["spec"]["stickyHeader"] == "x-user-id"
    own = {"strategy": {**AB["strategy"], "sticky_header": "x-session"}}
    assert patched(run_on_cluster(rollout=own)) == {"http": "x-session"}
    after_copies = {"strategy": {"kind": "shadow", "percent": 50, "bake_seconds": 1, "then": AB["strategy"]}}
    assert patched(run_on_cluster(rollout=after_copies)) == {"http": "x-user-id"}
    anew = {"strategy": {**AB["strategy"], "sticky_header": None}}
    assert patched(run_on_cluster(rollout=anew)) == {}


def test_keys_are_sticky_at_every_listener_of_a_gateway_that_is_there() -> None:
    gateway = {"name": "shared"}
    world = run_on_cluster(rollout=AB, kubernetes={"gateway": gateway}, listeners=("http", "https"))
    assert patched(world) == {"http": "x-user-id", "https": "x-user-id"}
    (target,) = {manifests(world)["EnvoyPatchPolicy", NAMES.prefix]["spec"]["targetRef"]["name"]}
    assert target == "shared"


@pytest.mark.slow
def test_a_trial_under_way_keeps_its_key_and_the_next_one_has_the_configs() -> None:
    """Users would else meet the other version in the middle of a test."""
    going = replace(idle(OLD), phase=Phase.BAKING, challenger=NEW, rollout_id="1", plan=Plan((Step(50, 60),)), step=0)
    canary = {"strategy": {"kind": "canary", "weight": 10, "bake_seconds": 30}}
    assert patched(run_on_cluster(state=going, sticky="x-session", rollout=canary)) == {"http": "x-session"}
    assert patched(run_on_cluster(state=going, sticky="x-session", rollout=AB, recipe="3" * 64)) == {
        "http": "x-user-id"
    }


def test_a_sticky_header_is_refused_on_aws_and_the_default_is_passed_over() -> None:
    """SageMaker draws a variant for each request."""
    assert Settings.load(stack_config("local", rollout=AB), "local").rollout.sticky_header == "x-user-id"
    for strategy, field in (
        ({**AB["strategy"], "sticky_header": "x-session"}, "rollout.strategy.sticky_header"),
        (
            {
                "kind": "shadow",
                "percent": 50,
                "bake_seconds": 1,
                "then": {**AB["strategy"], "sticky_header": "x-session"},
            },
            "rollout.strategy.then.sticky_header",
        ),
    ):
        with pytest.raises(pulumi.RunError) as caught:
            Settings.load(stack_config("local", rollout={"strategy": strategy}), "local")
        assert f'modelstack:{field} = "x-session": only stacks on a cluster have it' in str(caught.value)


def of_kind(world: World, kind: str) -> dict[str, dict[str, Any]]:
    found = {name: item for (one, name), item in manifests(world).items() if one == kind}
    return {name: item["spec"] for name, item in found.items() if name.startswith(f"{NAMES.prefix}-")}


def test_pods_that_follow_the_load_have_an_autoscaler_that_alone_says_how_many() -> None:
    world = run_on_cluster(serving=GROWS)
    ((name, autoscaler),) = of_kind(world, "HorizontalPodAutoscaler").items()
    deployments = of_kind(world, "Deployment")
    assert (autoscaler["minReplicas"], autoscaler["maxReplicas"]) == (2, 8)
    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert "replicas" not in deployments[name], "applied again, it would take the autoscaler's number back"
    assert of_kind(world, "PodDisruptionBudget")[name]["maxUnavailable"] == 1


def test_a_champion_of_before_keeps_its_number_of_pods_when_the_next_one_follows_the_load() -> None:
    world = run_on_cluster(state=idle(OLD), serving=GROWS)
    assert of_kind(world, "Deployment")[OLD.config_name]["replicas"] == 1
    assert OLD.config_name not in of_kind(world, "HorizontalPodAutoscaler")
    assert len(of_kind(world, "HorizontalPodAutoscaler")) == 1


def test_without_it_no_stack_changes() -> None:
    """The name of a workload is a digest of its shape: a new field in it would move every champion."""
    world = run_on_cluster()
    assert of_kind(world, "HorizontalPodAutoscaler") == {}
    assert NEW.config_name in of_kind(world, "Deployment")
    assert "max_instance_count" not in NEW.serving
