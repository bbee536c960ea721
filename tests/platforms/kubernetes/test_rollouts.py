"""Whole rollouts over the ports of Kubernetes: journal, verdicts and traffic are objects of an API server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from platforms.kubernetes.kinds import PACKAGE, ROLLOUT, ROUTE
from platforms.kubernetes.package_status import PackageStatus
from platforms.kubernetes.rules import rules
from rollout.core.errors import Unreachable
from rollout.core.plan import Step
from rollout.core.state import Phase
from rollout.reason import Reason
from tests.platforms.kubernetes.simulated import PAIR, B, Cluster, cluster_in, ends, in_memory
from tests.platforms.kubernetes.world import CRASH, ENDPOINT, PULL, World
from tests.rollout.worlds import PERSON, PLAN


@pytest.fixture
def cluster(world: World) -> Cluster:
    return cluster_in(world)


def test_a_challenger_that_is_not_worse_becomes_champion_and_nobody_is_lost(cluster: Cluster) -> None:
    state = ends(cluster, cluster.begin())
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"
    assert cluster.around.weights() == {"solo-b": 100}
    assert cluster.over().status().live.config == B.name  # type: ignore[union-attr]
    assert PackageStatus(cluster.around.api).approval(cluster.release("b").model_package_arn) == "Approved"
    assert not cluster.lost


@in_memory
def test_a_challenger_that_fails_requests_is_rolled_back(cluster: Cluster) -> None:
    cluster.error_rates["v-b"] = 0.5
    state = ends(cluster, cluster.begin())
    assert state.verdict is not None
    assert state.verdict.outcome == "rolled_back"
    assert cluster.around.weights() == {"solo-a": 100}
    assert PackageStatus(cluster.around.api).approval(cluster.release("b").model_package_arn) == "Rejected"


@in_memory
def test_a_shadow_first_and_then_a_share_of_the_traffic(cluster: Cluster) -> None:
    plan = replace(PLAN, steps=(Step(50, 30, shadow=True), Step(50, 30)))
    state = ends(cluster, cluster.begin(plan))
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"


def test_a_challenger_whose_container_crashes_is_rejected_in_its_own_words(cluster: Cluster) -> None:
    cluster.goes_down("b", CRASH, "Traceback\nValueError: no column dep_delay")
    state = ends(cluster, cluster.begin(), 60)
    assert state.verdict is not None
    assert state.verdict.outcome == "rolled_back"
    assert "no column dep_delay" in state.verdict.reason.text
    assert "b" in state.rejected
    assert not cluster.lost


@in_memory
def test_an_image_that_is_not_there_ends_the_trial_and_rejects_nobody(cluster: Cluster) -> None:
    cluster.goes_down("b", PULL)
    state = ends(cluster, cluster.begin(), 60)
    assert state.verdict is not None
    assert state.verdict.outcome == "failed"
    assert "ImagePullBackOff" in state.verdict.reason.text
    assert not state.rejected
    assert cluster.around.weights() == {"solo-a": 100}


@in_memory
def test_a_challenger_that_comes_up_late_is_tried(cluster: Cluster) -> None:
    cluster.goes_down("b", {"waiting": {"reason": "ContainerCreating"}})
    rollout = cluster.begin()
    rollout.follow(60, poll=2)
    assert cluster.journal.phase is Phase.PREPARING
    assert cluster.around.weights() == {"solo-a": 100}
    cluster.around.endpoints("solo-b", 1)
    cluster.down.clear()
    state = ends(cluster, rollout)
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"
    assert not cluster.lost


def test_a_challenger_that_crashes_in_its_trial_loses_its_traffic_at_the_next_tick(cluster: Cluster) -> None:
    rollout = cluster.begin()
    rollout.follow(20, poll=1)
    assert cluster.around.weights() == {"solo-a": 90, "solo-b": 10}
    cluster.goes_down("b", CRASH, "MemoryError")
    rollout.tick()
    assert cluster.around.weights()["solo-a"] == 100
    state = ends(cluster, rollout, 60)
    assert state.verdict is not None
    assert state.verdict.outcome == "rolled_back"
    assert "MemoryError" in state.verdict.reason.text


@in_memory
def test_a_champion_that_crashes_after_its_promotion_can_be_taken_back(cluster: Cluster) -> None:
    rollout = cluster.begin()
    ends(cluster, rollout)
    cluster.goes_down("b", CRASH, "MemoryError")
    rollout.roll_back(PERSON)
    state = ends(cluster, rollout, 60)
    assert state.champion is not None
    assert state.champion.id == "a"
    assert cluster.around.weights() == {"solo-a": 100}


@in_memory
def test_a_person_ends_a_trial_whose_challenger_does_not_come_up(cluster: Cluster) -> None:
    cluster.goes_down("b", {"waiting": {"reason": "ContainerCreating"}})
    rollout = cluster.begin()
    rollout.follow(20, poll=2)
    rollout.roll_back(PERSON)
    assert cluster.around.weights() == {"solo-a": 100}
    state = ends(cluster, rollout, 140)
    assert state.verdict is not None
    assert state.verdict.outcome == "rolled_back"


@in_memory
def test_a_challenger_that_never_comes_up_ends_its_trial_with_what_was_waited_for(cluster: Cluster) -> None:
    cluster.goes_down("b", {"waiting": {"reason": "ContainerCreating"}})
    plan = replace(PLAN, max_seconds=7200)
    rollout = cluster.begin(plan)
    state = rollout.follow(900, poll=10)
    assert state.phase is Phase.IDLE
    assert state.verdict is not None
    assert state.verdict.outcome == "failed"
    assert "ContainerCreating" in state.verdict.reason.text
    assert cluster.around.weights() == {"solo-a": 100}


@in_memory
def test_what_a_tool_writes_again_and_again_is_taken_back_and_ends_nothing(cluster: Cluster) -> None:
    around, every = cluster.around, iter(range(10_000))

    def tool() -> None:
        if next(every) % 20 == 19:
            around.patch(ROUTE, ENDPOINT, {"spec": {"rules": rules(PAIR, {"v-a": 0, "v-b": 100})}}, "argocd")

    rollout = cluster.begin()
    rollout.follow(15, poll=1)
    cluster.meanwhile = tool
    state = ends(cluster, rollout)
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"
    assert {event["reason"] for event in around.events()} == {"RulesTakenBack"}


@in_memory
def test_what_a_person_writes_at_rest_is_taken_back(cluster: Cluster) -> None:
    wrong = rules(PAIR, {"v-a": 50, "v-b": 50})
    cluster.around.patch(ROUTE, ENDPOINT, {"spec": {"rules": wrong}}, "kubectl-edit")
    cluster.clock.sleep(2)  # until the gateway has seen it
    cluster.over().tick()
    assert cluster.around.weights() == {"solo-a": 100}


class Killed(BaseException):
    """The process ends here."""


@in_memory
def test_a_controller_that_is_killed_after_each_new_write_in_turn_leaves_the_same_end(cluster: Cluster) -> None:
    cluster.begin()
    api: Any = cluster.around.api
    apply, put = api.apply, api.replace_status
    seen: set[str] = set()

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def after(kind: Any, obj: Any, *words: Any, **named: Any) -> Any:
            done = call(kind, obj, *words, **named)
            said = {ROLLOUT: "phase", PACKAGE: "approval"}.get(kind, "")
            mark = f"{kind.plural} {obj['status'][said] if said else obj.get('spec')}"
            if mark in seen or (kind is ROUTE and "status" in obj):  # the gateway's word is no effect of a controller
                return done
            seen.add(mark)
            raise Killed

        return after

    for _ in range(400):
        if cluster.journal.phase is Phase.IDLE:
            break
        api.apply, api.replace_status = deadly(apply), deadly(put)
        with suppress(Killed):
            cluster.over().tick()
        api.apply, api.replace_status = apply, put
        cluster.clock.sleep(2)
    state = cluster.journal
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"
    assert cluster.around.weights() == {"solo-b": 100}
    assert len(seen) >= 8, seen


def test_two_controllers_at_once_end_a_trial_once(cluster: Cluster) -> None:
    rollout, other = cluster.begin(), cluster.over(by="other")
    for _ in range(200):
        for one in (rollout, other):
            with suppress(Unreachable):
                one.tick()
        if cluster.journal.at_rest:
            break
        cluster.clock.sleep(2)
    state = cluster.journal
    assert state.phase is Phase.IDLE
    assert [event.kind for event in state.history].count("promoted") == 2  # a, and b
    assert cluster.around.weights() == {"solo-b": 100}


@in_memory
def test_an_alarm_takes_the_challenger_back_at_once(cluster: Cluster) -> None:
    rollout = cluster.begin()
    rollout.follow(20, poll=1)
    rollout.roll_back(Reason("alarm", "v-b-5xx", "too many errors"), variant="v-b")
    assert cluster.around.weights()["solo-a"] == 100
