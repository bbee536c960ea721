from __future__ import annotations

from typing import Any

import pytest

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, ROUTE, SERVICE
from modelstack.platforms.kubernetes.route import ASKED
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.rollout.core.fault import at_fault
from modelstack.rollout.core.live import Variant
from modelstack.rollout.core.release import Release
from tests.platforms.kubernetes.world import CRASH, ENDPOINT, IN_MEMORY, PULL, TestClock, World, on_both, pair, solo

WORLDS = IN_MEMORY
OLD, NEW = solo("w-old", "v-old"), solo("w-new", "v-new")
PAIR, SHADOW = pair(OLD, NEW), pair(OLD, NEW, 40)


@pytest.fixture
def traffic(world: World, clock: TestClock) -> RouteTraffic:
    return RouteTraffic(world.api, ENDPOINT, clock)


def serving(world: World, traffic: RouteTraffic, *, new: int = 1) -> None:
    for config in (OLD, NEW, PAIR, SHADOW):
        world.config(config)
    world.workload("w-old")
    world.workload("w-new", ready=new)
    traffic.use_config(OLD.name)
    world.gateway_follows()


def on_trial(world: World, traffic: RouteTraffic, weight: int = 10) -> None:
    serving(world, traffic)
    traffic.use_config(PAIR.name)
    traffic.set_weights({"v-old": 100 - weight, "v-new": weight})
    world.gateway_follows()


def release(name: str) -> Release:
    return Release(
        name, "r", "sha256:0", f"oci://{name}", "i", "m", f"models/{name}", name, f"v-{name}", f"w-{name}", "1"
    )


def written(world: World) -> str:
    return str(world.route["metadata"]["resourceVersion"])


def test_a_route_that_nobody_declared_is_an_error_that_says_so(world: World) -> None:
    with pytest.raises(NotFound, match="another"):
        RouteTraffic(world.api, "another").read()


def test_before_the_first_release_nothing_serves_and_changes_are_taken(traffic: RouteTraffic) -> None:
    live = traffic.read()
    assert (live.status, live.config, live.variants, live.failure) == ("ready", "", {}, "")


@on_both
def test_a_shadow_gets_copies_and_no_answer_of_it_is_returned(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic)
    traffic.use_config(SHADOW.name)
    world.gateway_follows()
    live = traffic.read()
    assert live.variants == {"v-old": Variant(100, 100, 1)}
    assert live.shadows == {"v-new": Variant(40, 40, 1)}
    assert world.weights() == {"w-old": 100}
    with pytest.raises(RolloutError, match="takes weights of v-old"):
        traffic.set_weights({"v-old": 90, "v-new": 10})


def test_until_the_gateway_has_seen_the_rules_the_endpoint_changes(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic)
    traffic.use_config(PAIR.name)
    assert traffic.read().status == "changing"
    world.gateway_follows(behind=1)
    assert traffic.read().status == "changing"
    world.gateway_follows()
    assert traffic.read().status == "ready"


def test_a_route_that_the_gateway_refuses_changes_and_says_why(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic)
    world.gateway_follows(accepted="False")
    live = traffic.read()
    assert (live.status, live.config) == ("changing", OLD.name)
    assert "NoMatchingParent" in live.detail


def test_a_lingering_rule_without_a_service_stops_nothing(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic)
    world.gateway_follows(resolved="BackendNotFound")
    assert traffic.read().status == "ready"


@on_both
def test_what_served_before_keeps_its_rule_until_the_next_config(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic)
    traffic.use_config(NEW.name)
    assert targets(world) == ["w-new", "w-old"]
    traffic.set_weights({"v-new": 100})
    traffic.use_config(NEW.name)
    assert targets(world) == ["w-new", "w-old"]
    traffic.use_config(OLD.name)
    assert targets(world) == ["w-old", "w-new"]
    traffic.use_config(PAIR.name)
    assert targets(world) == ["w-old", "w-new"]


def test_what_lost_its_service_keeps_no_rule(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic)
    world.api.delete(SERVICE, "w-old")
    traffic.use_config(NEW.name)
    assert targets(world) == ["w-new"]


def targets(world: World) -> list[str]:
    return [rule["backendRefs"][0]["name"] for rule in world.route["spec"]["rules"][:-1]]


@on_both
def test_rules_that_are_right_are_not_written(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic, 25)
    before = written(world)
    traffic.set_weights({"v-old": 75, "v-new": 25})
    traffic.use_config(PAIR.name)
    traffic.read()
    changed = written(world) != before
    assert changed  # a config begins with everything to the champion
    before = written(world)
    traffic.use_config(PAIR.name)
    assert written(world) == before


@pytest.mark.parametrize("wanted", [{"v-old": 90, "v-other": 10}, {"v-old": 90}, {"v-old": 110, "v-new": -10}])
def test_weights_that_are_not_of_the_config_are_refused(
    world: World, traffic: RouteTraffic, wanted: dict[str, int]
) -> None:
    on_trial(world, traffic)
    before = written(world)
    with pytest.raises(RolloutError, match="takes weights of v-new, v-old with the sum 100"):
        traffic.set_weights(wanted)
    assert written(world) == before


def test_no_weight_is_given_to_a_variant_without_a_ready_endpoint(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic, 10)
    world.endpoints("w-new", 0, unready=1)
    with pytest.raises(Busy, match="no ready endpoint to give more to: workload w-new"):
        traffic.set_weights({"v-old": 75, "v-new": 25})
    assert world.weights() == {"w-old": 90, "w-new": 10}


def test_a_variant_without_an_endpoint_loses_its_weight_at_once(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic, 50)
    world.endpoints("w-new", 0)
    traffic.set_weights({"v-old": 100, "v-new": 0})
    assert world.weights() == {"w-old": 100, "w-new": 0}


@on_both
def test_a_challenger_that_is_not_ready_is_waited_for_and_then_served(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    serving(world, traffic, new=0)
    world.pod("w-new", {"waiting": {"reason": "ContainerCreating"}})
    before = world.route["spec"]["rules"]
    traffic.use_config(PAIR.name)
    live = traffic.read()
    assert (live.status, live.config, live.failure) == ("changing", OLD.name, "")
    assert "ContainerCreating" in live.detail
    assert world.route["spec"]["rules"] == before
    clock.sleep(20)
    world.endpoints("w-new", 1)
    assert traffic.read().status == "ready"
    traffic.use_config(PAIR.name)
    world.gateway_follows()
    live = traffic.read()
    assert (live.status, live.config) == ("ready", PAIR.name)
    assert ASKED not in world.route["metadata"]["annotations"]


def test_a_container_that_crashes_is_a_failure_of_its_release_in_its_own_words(
    world: World, traffic: RouteTraffic
) -> None:
    serving(world, traffic, new=0)
    world.pod("w-new", CRASH, last="loading\nTraceback (most recent call last):\nValueError: no column dep_delay\n")
    traffic.use_config(PAIR.name)
    live = traffic.read()
    assert (live.status, live.config) == ("ready", OLD.name)
    assert "3 times by now" in live.failure
    assert "ValueError: no column dep_delay" in live.failure
    assert at_fault(live.failure, [release("old"), release("new")]) == release("new")


def test_an_image_that_is_not_there_is_nobodys_fault(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic, new=0)
    world.pod("w-new", PULL)
    traffic.use_config(PAIR.name)
    live = traffic.read()
    assert (live.status, live.config) == ("ready", OLD.name)
    assert "ImagePullBackOff" in live.failure
    assert "r/serving@sha256:0" in live.failure
    assert at_fault(live.failure, [release("old"), release("new")]) is None


def test_when_both_fail_at_once_neither_is_named(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic, new=0)
    world.endpoints("w-old", 0)
    world.pod("w-old", CRASH, last="disk full")
    world.pod("w-new", CRASH, last="disk full")
    traffic.use_config(PAIR.name)
    failure = traffic.read().failure
    assert "2 workloads do not come up at once: CrashLoopBackOff" in failure
    assert at_fault(failure, [release("old"), release("new")]) is None


def test_nothing_is_waited_for_without_an_end(world: World, traffic: RouteTraffic, clock: TestClock) -> None:
    serving(world, traffic, new=0)
    for _ in range(5):
        traffic.use_config(PAIR.name)
        assert traffic.read().status == "changing"
        clock.sleep(127)  # a fifth of the Deployment's deadline
        live = traffic.read()
        assert live.status == "ready"  # for a moment, for who wants something else by now
        assert "has no pod yet" in f"{live.detail} {live.failure}"
    assert (live.config, live.status) == (OLD.name, "ready")
    assert "has no pod yet" in live.failure
    traffic.use_config(PAIR.name)  # a new attempt has as much time
    assert traffic.read().failure == ""


@pytest.mark.parametrize("gone", ["config", "deployment", "scaled"])
def test_what_was_deleted_by_hand_is_a_failure_and_no_endless_wait(
    world: World, traffic: RouteTraffic, gone: str
) -> None:
    serving(world, traffic)
    if gone == "config":
        wanted, says = ServingConfig("lost", PAIR.champion, PAIR.challenger), "config lost is not there"
    else:
        wanted = pair(OLD, solo("w-lost", "v-lost"))
        says = "Deployment w-lost is not there"
        world.config(wanted)
    if gone == "scaled":
        world.workload("w-lost", ready=0, replicas=0)
        says = "Deployment w-lost has 0 replicas"
    traffic.use_config(wanted.name)
    live = traffic.read()
    assert live.status == "ready"
    assert says in live.failure


def test_a_challenger_that_crashes_with_traffic_has_failed(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic)
    world.endpoints("w-new", 0, unready=1)
    assert traffic.read().status == "changing"  # a restart
    world.pod("w-new", CRASH, last="MemoryError")
    live = traffic.read()
    assert live.status == "failed"
    assert live.detail.startswith("v-new does not come up")
    assert "MemoryError" in live.detail


def test_a_challenger_that_lacks_a_pod_for_an_hour_and_its_others_for_a_moment_is_waited_for(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    on_trial(world, traffic)
    world.endpoints("w-new", 0, unready=2)
    world.without_a_node("w-new")
    for ago in (4, 2):
        world.pod("w-new", {"running": {}}, lost=ago)
    world.deployment(
        "w-new",
        Available=("False", "MinimumReplicasUnavailable", 3600),
        Progressing=("False", "ProgressDeadlineExceeded", 3000),
    )
    assert traffic.read().status == "changing"
    clock.sleep(38)
    live = traffic.read()
    assert live.status == "failed"
    assert live.detail.startswith("workload w-new lost its pods: container")
    assert at_fault(live.detail, [release("old"), release("new")]) is None, (
        "its pods may be new, or hang with their node"
    )


def test_in_an_outage_of_both_the_challenger_is_not_to_blame(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic)
    for workload in ("w-old", "w-new"):
        world.endpoints(workload, 0)
        world.pod(workload, CRASH, last="cannot reach the network")
    assert traffic.read().status == "changing"


def test_a_champion_without_an_endpoint_does_not_stop_the_way_back(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic)
    traffic.use_config(NEW.name)
    world.gateway_follows()
    world.endpoints("w-new", 0)
    world.pod("w-new", CRASH, last="MemoryError")
    live = traffic.read()
    assert (live.status, live.variants["v-new"].instances) == ("ready", 0)
    assert "MemoryError" in live.detail
    traffic.use_config(OLD.name)
    assert world.weights() == {"w-old": 100}


def by_hand(world: World, manager: str, **spec: Any) -> None:
    world.patch(ROUTE, ENDPOINT, {"spec": spec}, manager)
    world.gateway_follows()


@on_both
@pytest.mark.parametrize("how", ["weights", "filter", "headers", "strips", "stranger"])
def test_rules_that_somebody_else_wrote_are_seen_named_and_taken_back(
    world: World, traffic: RouteTraffic, how: str
) -> None:
    on_trial(world, traffic, 10)
    right = world.route["spec"]["rules"]
    wrong = world.route["spec"]["rules"]
    if how == "weights":
        wrong[-1]["backendRefs"][0]["weight"], wrong[-1]["backendRefs"][1]["weight"] = 0, 100
    elif how == "filter":
        added = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-by", "value": "me"}]}}
        wrong[-1]["filters"] = [added]
    elif how == "headers":
        wrong[0]["matches"][0]["headers"][0]["value"] = "v-new"
    elif how == "strips":
        wrong = wrong[-1:]
    else:
        wrong[-1]["backendRefs"].append({"group": "", "kind": "Service", "name": "w-other", "port": 80, "weight": 50})
    by_hand(world, "kubectl-edit", rules=wrong)
    live = traffic.read()
    assert "kubectl-edit" in live.detail
    desired = live.shares(desired=True)
    assert any(abs(desired[name] - share) > 0.1 for name, share in {"v-old": 90, "v-new": 10}.items())
    traffic.set_weights({"v-old": 90, "v-new": 10})
    assert world.route["spec"]["rules"] == right
    told = world.events()
    assert [event["reason"] for event in told] == ["RulesTakenBack"]
    assert "kubectl-edit" in told[0]["message"]
    world.gateway_follows()
    live = traffic.read()
    assert live.shares(desired=True) == {"v-old": 90, "v-new": 10}
    assert "kubectl-edit" not in live.detail


@on_both
def test_a_champion_alone_whose_rules_were_changed_asks_for_its_weight_again(
    world: World, traffic: RouteTraffic
) -> None:
    serving(world, traffic)
    by_hand(world, "argocd-controller", rules=[{"backendRefs": [{"name": "w-new", "port": 8080}]}])
    assert traffic.read().shares(desired=True) == {"v-old": 0.0}
    traffic.set_weights({"v-old": 100})
    assert world.weights() == {"w-old": 100}


@on_both
def test_a_write_that_lost_the_race_is_repeated(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic)
    get, raced = world.api.get, []

    def racing(kind: Any, name: str, namespace: str | None = None) -> Any:
        found = get(kind, name, namespace)
        if kind is ROUTE and len(raced) < 2:
            raced.append(1)
            world.patch(ROUTE, ENDPOINT, {"metadata": {"labels": {"by": f"somebody-{len(raced)}"}}}, "kubectl-label")
        return found

    world.api.get = racing  # type: ignore[method-assign]
    traffic.set_weights({"v-old": 50, "v-new": 50})
    assert world.weights() == {"w-old": 50, "w-new": 50}
    assert world.route["metadata"]["labels"] == {"by": "somebody-2"}


@on_both
def test_others_annotations_labels_and_parents_stay(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic)
    world.patch(ROUTE, ENDPOINT, {"metadata": {"annotations": {"team": "flights"}}}, "kubectl-annotate")
    traffic.use_config(PAIR.name)
    assert world.route["metadata"]["annotations"] == {"team": "flights", names.CONFIG: PAIR.name}


@on_both
def test_a_route_that_was_deleted_meanwhile_is_not_made_again(world: World, traffic: RouteTraffic) -> None:
    serving(world, traffic)
    get = world.api.get

    def deleting(kind: Any, name: str, namespace: str | None = None) -> Any:
        found = get(kind, name, namespace)
        if kind is ROUTE:
            world.api.delete(ROUTE, ENDPOINT)
        return found

    world.api.get = deleting  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        traffic.use_config(PAIR.name)
    assert world.api.list(ROUTE) == []


@on_both
def test_a_config_whose_words_were_deleted_is_read_from_the_rules(world: World, traffic: RouteTraffic) -> None:
    on_trial(world, traffic, 30)
    world.api.delete(CONFIG_MAP, PAIR.name)
    fresh = RouteTraffic(world.api, ENDPOINT)
    assert fresh.read().variants == {"v-old": Variant(70, 70, 1), "v-new": Variant(30, 30, 1)}
    fresh.set_weights({"v-old": 100, "v-new": 0})
    assert world.weights() == {"w-old": 100, "w-new": 0}


@on_both
def test_a_route_that_lost_its_annotations_still_shows_what_serves_and_keeps_its_rules(
    world: World, traffic: RouteTraffic
) -> None:
    """As after `kubectl replace` by a manifest with rules only: no release is the first one then."""
    on_trial(world, traffic)
    world.patch(ROUTE, ENDPOINT, {"metadata": {"annotations": {names.CONFIG: None}}}, names.MANAGER)
    rules, live = world.route["spec"]["rules"], traffic.read()
    assert (live.config, live.shares()) == ("", {"v-old": 90.0, "v-new": 10.0})
    world.endpoints("w-new", 0)
    traffic.use_config(PAIR.name)
    assert world.route["spec"]["rules"] == rules


def test_what_the_program_declares_again_changes_nothing_and_takes_no_ownership(
    world: World, traffic: RouteTraffic
) -> None:
    on_trial(world, traffic, 25)
    world.declare()
    before = written(world)
    world.declare()
    assert written(world) == before
    assert traffic.read().detail == "serving"  # nobody else wrote the rules
