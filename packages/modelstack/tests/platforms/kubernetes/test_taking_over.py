from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, SkipTrial
from tests.platforms.kubernetes.test_autoscaled import says
from tests.platforms.kubernetes.test_guarded import Scene
from tests.platforms.kubernetes.world import ENDPOINT, IN_MEMORY, TestClock, World, solo
from tests.rollout.worlds import PERSON

OLD, NEW, OTHER_PODS = solo("w-old", "v-old"), solo("w-new", "v-new"), solo("w-more", "v-old")
PODS, LONGEST = 10, 630  # seconds: the default of a Deployment, and a margin
LATER = LONGEST / 5 + 1
WORLDS = IN_MEMORY


@pytest.fixture
def traffic(world: World, clock: TestClock) -> RouteTraffic:
    """Ten pods serve; of two other workloads one of ten pods is ready."""
    made = RouteTraffic(world.api, ENDPOINT, clock)
    for config in (OLD, NEW, OTHER_PODS):
        world.config(config)
        world.workload(config.name, ready=1, replicas=PODS)
    world.endpoints(OLD.name, PODS)
    made.use_config(OLD.name)
    world.gateway_follows()
    return made


@pytest.fixture
def moving(world: World, clock: TestClock) -> None:
    says(world, Phase.MOVING, OLD.name, challenger=NEW.name, at=clock.now)


@pytest.mark.usefixtures("moving")
@pytest.mark.parametrize("config", [NEW, OTHER_PODS])
def test_it_takes_over_when_as_many_of_its_pods_are_ready_as_serve(
    world: World, traffic: RouteTraffic, clock: TestClock, config: ServingConfig
) -> None:
    for ready in (1, PODS - 1):
        world.endpoints(config.name, ready)
        clock.now += LATER
        traffic.use_config(config.name)
        assert world.weights() == {OLD.name: 100}
        live = traffic.read()
        assert (live.status, live.config, live.failure) == ("changing", OLD.name, "")
        assert f"{config.name} has {ready} of the 10 pods" in live.detail
    world.endpoints(config.name, PODS)
    assert traffic.read().status == "ready"
    traffic.use_config(config.name)
    assert world.weights() == {config.name: 100}


@pytest.mark.usefixtures("moving")
def test_who_asks_just_after_another_controller_has_not_asked(
    world: World, traffic: RouteTraffic, clock: TestClock
) -> None:
    traffic.use_config(NEW.name)
    first, clock.now = traffic.store.read().asked, clock.now + 1
    with pytest.raises(Busy, match="config w-new was asked for a moment ago: workload w-new has 1 of the 10 pods"):
        traffic.use_config(NEW.name)
    assert traffic.store.read().asked == first
    clock.now += LATER
    assert traffic.read().status == "ready", "it may be asked for again"
    traffic.use_config(NEW.name)
    asked = traffic.store.read().asked
    assert first is not None
    assert asked == replace(first, at=clock.now)
    world.endpoints(NEW.name, PODS)
    traffic.use_config(NEW.name)
    assert world.weights() == {NEW.name: 100}


@pytest.mark.usefixtures("moving")
def test_no_more_pods_are_waited_for_than_it_is_to_have(world: World, traffic: RouteTraffic) -> None:
    few = solo("w-few", "v-few")
    world.config(few)
    world.workload(few.name, ready=1, replicas=2)
    traffic.use_config(few.name)
    assert "1 of the 2 pods" in traffic.read().detail
    world.endpoints(few.name, 2)
    traffic.use_config(few.name)
    assert world.weights() == {few.name: 100}


@pytest.mark.usefixtures("moving")
def test_pods_that_serve_and_are_lost_are_not_waited_for(world: World, traffic: RouteTraffic) -> None:
    traffic.use_config(NEW.name)
    world.endpoints(OLD.name, 0)
    assert traffic.read().status == "ready"
    traffic.use_config(NEW.name)
    assert world.weights() == {NEW.name: 100}


@pytest.mark.usefixtures("moving")
@pytest.mark.parametrize("phase", [Phase.ROLLING_BACK, Phase.RESTORING, Phase.PROMOTING, Phase.IDLE])
def test_no_way_back_and_no_end_of_a_trial_waits_for_a_number_of_pods(
    world: World, traffic: RouteTraffic, clock: TestClock, phase: Phase
) -> None:
    traffic.use_config(NEW.name)
    assert traffic.read().status == "changing"
    says(world, phase, OLD.name, challenger=NEW.name, at=clock.now)
    assert traffic.read().status == "ready"
    traffic.use_config(OTHER_PODS.name)
    assert world.weights() == {OTHER_PODS.name: 100}


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["v-a", "v-b"])
@pytest.mark.parametrize("late", [40, None])
def test_pods_that_are_too_few_for_ever_strand_no_update(
    world: World, clock: TestClock, variant: str, late: int | None
) -> None:
    """By the whole controller. Pods that come up late are waited for; the journal is not written all the time."""
    scene, plan = Scene(world, clock), Plan(steps=(Step(50, 30),))
    for config in (solo("w-small", "v-a"), solo("w-large", variant)):
        world.config(config)
        world.workload(config.name, ready=PODS, replicas=PODS)
    for name in "ab":
        world.package(name)
    rollout = scene.over()
    rollout.release(scene.release("w-small"), None, plan)
    for _ in range(3):
        scene.tick(rollout)
    world.endpoints("w-large", 1)
    target = scene.release("w-large")
    if variant == "v-b":
        target = replace(target, id="b", variant=variant, version=f"{world.api.namespace}/b")
        journal = copied_journal(world.api, ENDPOINT)
        journal.write(replace(journal.read(), skip_trial=SkipTrial("b", PERSON)))
    revision, began = scene.journal.revision, clock.now
    rollout.release(target, "pair", plan)
    while (state := scene.tick(rollout)).phase is Phase.MOVING and clock.now - began < 2 * LONGEST:
        if late and clock.now - began > late:
            world.endpoints("w-large", PODS)
        elif world.weights() != {"w-small": 100}:
            assert clock.now - began > LONGEST
    assert world.weights() == {"w-large": 100}
    assert (state.phase, state.champion) == (Phase.IDLE, target)
    assert (clock.now - began < 60) == bool(late)
    assert state.revision - revision < 20
