"""A challenger has the pods for its share before it gets it, and the champion keeps those for the way back.

No autoscaler runs here: what it and the Deployments' controller would do is done by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.autoscaled import HELD, LEAST, Autoscaler, lower, manifest
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import AUTOSCALER, DEPLOYMENT, ROLLOUT, ResourceKind
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase
from tests.platforms.kubernetes.world import ENDPOINT, IN_MEMORY, TestClock, World, on_both, pair, solo
from tests.program.on_cluster import manifests, run_on_cluster
from tests.rollout.worlds import release

OLD, NEW = solo("w-old", "v-old"), solo("w-new", "v-new")
PAIR = pair(OLD, NEW)
LEAST_PODS, MOST = 2, 10
WORLDS = IN_MEMORY


@pytest.fixture
def traffic(world: World, clock: TestClock) -> RouteTraffic:
    """A champion that has grown to 8 pods, beside a challenger of 2, before it has any traffic."""
    made = RouteTraffic(world.api, ENDPOINT, clock)
    for config in (OLD, NEW, PAIR):
        world.config(config)
    grows(world, "w-old", ready=8)
    grows(world, "w-new", ready=2)
    made.use_config(OLD.name)
    made.use_config(PAIR.name)
    world.gateway_follows()
    return made


def grows(world: World, name: str, *, ready: int) -> None:
    world.workload(name, ready=ready)
    declared = manifest(name, LEAST_PODS, MOST)
    metadata = {**declared["metadata"], "labels": names.labels_of(ENDPOINT)}
    world.api.apply(AUTOSCALER, {**declared, "metadata": metadata}, names.PROGRAM)


def floors(world: World) -> dict[str, int]:
    return {item["metadata"]["name"]: Autoscaler.of(item).floor for item in world.api.list(AUTOSCALER)}


def says(world: World, phase: Phase, champion: str, *, at: float = 0.0, **others: str) -> None:
    """The journal: the phase, when the rollout began, and which workload is whose."""
    journal = copied_journal(world.api, ENDPOINT)
    releases = {who: of(workload) for who, workload in {"champion": champion, **others}.items()}
    state = {"challenger": None, "previous": None, **releases}
    journal.write(replace(journal.read(), phase=phase, started_at=at, **cast(Any, state)))


def of(workload: str) -> Release:
    return replace(release(workload), config_name=workload)


def step(traffic: RouteTraffic, weight: int) -> None:
    traffic.set_weights({"v-old": 100 - weight, "v-new": weight})


def test_the_pods_of_a_share_are_there_before_the_share_is(world: World, traffic: RouteTraffic) -> None:
    """argo-rollouts PR 4612: a canary that is scaled for 5% gets 70%."""
    step(traffic, 10)
    assert world.weights() == {"w-old": 90, "w-new": 10}, "two pods are enough for a tenth of what eight do"
    with pytest.raises(Busy, match="v-new has 2 of the 4 pods that 50% needs"):
        step(traffic, 50)
    assert world.weights() == {"w-old": 90, "w-new": 10}
    assert floors(world)["w-new"] == 4, "they are asked for"
    world.endpoints("w-new", 3, unready=1)
    with pytest.raises(Busy, match="3 of the 4"):
        step(traffic, 50)
    world.endpoints("w-new", 4)
    step(traffic, 50)
    with pytest.raises(Busy, match="4 of the 8 pods that 100% needs"):
        step(traffic, 100)
    world.endpoints("w-new", 8)
    step(traffic, 100)
    assert world.weights() == {"w-old": 0, "w-new": 100}


def test_the_champion_is_not_shrunk_in_a_trial_and_a_rollback_waits_for_nothing(
    world: World, traffic: RouteTraffic
) -> None:
    step(traffic, 10)
    assert floors(world)["w-old"] == 8
    world.endpoints("w-new", 4)
    step(traffic, 50)
    world.endpoints("w-old", 1)  # a node is lost
    traffic.set_weights({"v-old": 100, "v-new": 0})
    assert world.weights() == {"w-old": 100, "w-new": 0}
    assert floors(world)["w-old"] == 8


def test_a_load_that_grows_in_the_trial_counts(world: World, traffic: RouteTraffic) -> None:
    step(traffic, 10)
    world.endpoints("w-new", 4)
    step(traffic, 50)
    world.endpoints("w-new", 5)  # its autoscaler went beyond the floor: the whole load takes ten
    with pytest.raises(Busy, match="5 of the 10 pods that 100% needs"):
        step(traffic, 100)


def test_no_more_than_the_most_is_waited_for(world: World, traffic: RouteTraffic) -> None:
    world.endpoints("w-old", 30)
    with pytest.raises(Busy, match="2 of the 10 pods that 50% needs"):
        step(traffic, 50)
    assert floors(world)["w-new"] == MOST
    assert floors(world)["w-old"] == MOST


def test_after_a_rollback_the_loser_goes_down_at_once_and_the_champion_a_while_later(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    says(world, Phase.BAKING, "w-old", challenger="w-new")
    step(traffic, 10)
    with pytest.raises(Busy):
        step(traffic, 50)
    says(world, Phase.ROLLING_BACK, "w-old", challenger="w-new")
    step(traffic, 0)
    lower(world.api, clock.now)
    assert floors(world) == {"w-old": 8, "w-new": 4}, "its end is not recorded yet"
    traffic.use_config(OLD.name)
    says(world, Phase.IDLE, "w-old")
    lower(world.api, clock.now)
    assert floors(world) == {"w-old": 8, "w-new": LEAST_PODS}
    lower(world.api, clock.now + 60)
    assert floors(world)["w-old"] == 8, "its load has only just come back"
    lower(world.api, clock.now + 3700)
    assert floors(world) == {"w-old": LEAST_PODS, "w-new": LEAST_PODS}
    annotations = world.api.get(AUTOSCALER, "w-old")["metadata"]["annotations"]
    assert HELD not in annotations
    assert annotations[LEAST] == str(LEAST_PODS)


def test_after_a_promotion_the_previous_champion_stays_warm_for_an_hour(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    with pytest.raises(Busy, match="2 of the 8 pods"):
        step(traffic, 100)
    world.endpoints("w-new", 8)
    step(traffic, 100)
    traffic.use_config(NEW.name)
    says(world, Phase.IDLE, "w-new", previous="w-old")
    lower(world.api, clock.now)
    assert floors(world) == {"w-old": 8, "w-new": 8}
    lower(world.api, clock.now + 1800)
    assert floors(world) == {"w-old": 8, "w-new": LEAST_PODS}
    lower(world.api, clock.now + 3700)
    assert floors(world) == {"w-old": LEAST_PODS, "w-new": LEAST_PODS}


def test_a_challenger_that_another_one_superseded_is_put_back_when_that_trial_is_over(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    with pytest.raises(Busy):
        step(traffic, 50)
    says(world, Phase.IDLE, "w-old", previous="w-another")
    lower(world.api, clock.now)
    assert floors(world) == {"w-old": 8, "w-new": LEAST_PODS}


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.BAKING, Phase.PAUSED, Phase.HELD, Phase.PROMOTING])
def test_what_a_trial_holds_is_not_put_back_in_it(
    world: World, traffic: RouteTraffic, clock: TestClock, phase: Phase
) -> None:
    step(traffic, 10)
    says(world, phase, "w-old", challenger="w-new")
    for seconds in (0, 1_000_000):
        lower(world.api, clock.now + seconds)
    assert floors(world)["w-old"] == 8


def test_a_trial_that_begins_soon_after_another_keeps_its_pods(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    step(traffic, 10)
    says(world, Phase.IDLE, "w-old")
    lower(world.api, clock.now)
    says(world, Phase.BAKING, "w-old", challenger="w-new")
    step(traffic, 0)
    step(traffic, 10)
    lower(world.api, clock.now + 3700)
    assert floors(world)["w-old"] == 8


def test_what_a_trial_raises_while_autoscalers_are_put_back_stays(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    step(traffic, 10)
    says(world, Phase.IDLE, "w-old")
    lower(world.api, clock.now)
    step(traffic, 0)
    listed = world.api.list

    def slow(kind: ResourceKind, *words: Any) -> list[Any]:
        found = listed(kind, *words)
        if kind is AUTOSCALER:
            step(traffic, 10)
        return found

    world.api.list = slow  # type: ignore[method-assign]
    lower(world.api, clock.now + 3700)
    world.api.list = listed  # type: ignore[method-assign]
    assert floors(world)["w-old"] == 8


@on_both
def test_an_autoscaler_that_its_own_controller_writes_meanwhile_stops_no_step(
    world: World, traffic: RouteTraffic
) -> None:
    get, raced = world.api.get, []

    def racing(kind: ResourceKind, name: str, namespace: str | None = None) -> Any:
        found = get(kind, name, namespace)
        if kind is AUTOSCALER and not raced:
            raced.append(name)
            world.patch(AUTOSCALER, name, {"metadata": {"annotations": {"seen": "now"}}}, "kube-controller-manager")
        return found

    world.api.get = racing  # type: ignore[method-assign]
    step(traffic, 10)
    assert raced == ["w-old"]
    assert floors(world)["w-old"] == 8


@pytest.mark.parametrize("journal", ["damaged", "gone"])
def test_an_endpoint_whose_journal_cannot_be_read_stops_no_other(
    world: World, traffic: RouteTraffic, clock: TestClock, journal: str
) -> None:
    step(traffic, 10)
    if journal == "gone":
        world.api.delete(ROLLOUT, ENDPOINT)
    else:
        rollout = world.api.get(ROLLOUT, ENDPOINT)
        metadata = {key: item for key, item in rollout["metadata"].items() if key != "managedFields"}
        status = {"revision": 1, "phase": "idle", "state": "{}"}
        world.api.replace_status(ROLLOUT, {**rollout, "metadata": metadata, "status": status})
    lower(world.api, clock.now)
    assert floors(world)["w-old"] == 8


def test_other_pods_of_the_champion_take_over_when_they_are_as_many(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    larger = solo("w-large", "v-old")
    world.config(larger)
    grows(world, "w-large", ready=2)
    traffic.use_config(OLD.name)
    says(world, Phase.MOVING, "w-old", challenger="w-large", at=clock.now)
    world.gateway_follows()
    traffic.use_config(larger.name)
    assert world.weights() == {"w-old": 100}
    assert floors(world)["w-large"] == 8, "they are asked for"
    live = traffic.read()
    assert (live.status, live.detail) == ("changing", "workload w-large has 2 of the 8 pods that are to take over")
    world.endpoints("w-old", 10)  # a load that grows is not run after
    clock.now += 130
    traffic.use_config(larger.name)
    assert floors(world)["w-large"] == 10
    world.endpoints("w-large", 8)
    traffic.use_config(larger.name)
    assert world.weights() == {"w-large": 100}


def test_pods_of_a_fixed_number_wait_for_nothing(world: World, traffic: RouteTraffic) -> None:
    for workload in ("w-old", "w-new"):
        world.api.delete(AUTOSCALER, workload)
    step(traffic, 50)
    assert world.weights() == {"w-old": 50, "w-new": 50}


@pytest.mark.slow
@on_both
def test_an_update_in_the_middle_leaves_the_autoscalers_number(world: World) -> None:
    """By server-side apply, as Pulumi applies: what it does not send it neither owns nor takes back."""

    def update(**serving: int) -> str:
        declared = manifests(run_on_cluster(serving=serving))
        deployments = {name: item for (kind, name), item in declared.items() if kind == "Deployment"}
        ((name, item),) = ((name, item) for name, item in deployments.items() if name.startswith("flight-delay-"))
        metadata = {key: item["metadata"][key] for key in ("name", "labels")}
        world.api.apply(DEPLOYMENT, {"metadata": metadata, "spec": item["spec"]}, names.PROGRAM, force=True)
        return name

    name = update(instance_count=2, max_instance_count=8)
    world.patch(DEPLOYMENT, name, {"spec": {"replicas": 5}}, "kube-controller-manager")
    assert update(instance_count=2, max_instance_count=8) == name
    assert replicas(world.api, name) == 5
    fixed = update(instance_count=2)
    world.patch(DEPLOYMENT, fixed, {"spec": {"replicas": 5}}, "kube-controller-manager")
    update(instance_count=2)
    assert replicas(world.api, fixed) == 2, "of a fixed number the update has the last word"


def replicas(api: Api, name: str) -> int:
    return int(api.get(DEPLOYMENT, name)["spec"]["replicas"])
