from __future__ import annotations

from typing import Any

from platforms.kubernetes.kinds import PACKAGE, ROLLOUT, ROUTE, ResourceKind
from platforms.kubernetes.rules import rules
from platforms.kubernetes.versions import ModelPackages
from rollout.core.state import Phase
from tests.platforms.kubernetes.simulated import PAIR, B, Cluster, ends, in_memory, killing
from tests.platforms.kubernetes.world import CRASH, ENDPOINT


def test_a_challenger_that_is_not_worse_becomes_champion_and_nobody_is_lost(cluster: Cluster) -> None:
    state = ends(cluster, cluster.begin())
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"
    assert cluster.around.weights() == {"solo-b": 100}
    assert cluster.over().status().live.config == B.name  # type: ignore[union-attr]
    assert ModelPackages(cluster.around.api).approval(cluster.release("b").version) == "Approved"
    assert not cluster.lost


def test_a_challenger_whose_container_crashes_is_rejected_in_its_own_words(cluster: Cluster) -> None:
    cluster.goes_down("b", CRASH, "Traceback\nValueError: no column dep_delay")
    state = ends(cluster, cluster.begin(), 60)
    assert state.verdict is not None
    assert state.verdict.outcome == "rolled_back"
    assert "no column dep_delay" in state.verdict.reason.text
    assert "b" in state.rejected
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


@in_memory
def test_a_controller_that_is_killed_after_each_new_write_in_turn_leaves_the_same_end(cluster: Cluster) -> None:
    cluster.begin()
    seen: set[str] = set()

    def mark(kind: ResourceKind, obj: Any) -> str:
        if kind is ROUTE and "status" in obj:
            return ""  # the gateway's word is no effect of a controller
        said = {ROLLOUT: "phase", PACKAGE: "approval"}.get(kind, "")
        return f"{kind.plural} {obj['status'][said] if said else obj.get('spec')}"

    for _ in range(400):
        if cluster.journal.phase is Phase.IDLE:
            break
        with killing(cluster.around.api, seen, mark):
            cluster.over().tick()
        cluster.clock.sleep(2)
    state = cluster.journal
    assert state.verdict is not None
    assert state.verdict.outcome == "promoted"
    assert cluster.around.weights() == {"solo-b": 100}
    assert len(seen) >= 8, seen
