"""Whole rollouts over the ports of Kubernetes: journal, verdicts and traffic are objects of an API server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import PACKAGE, ROLLOUT, ROUTE
from platforms.kubernetes.package_status import PackageStatus
from platforms.kubernetes.rules import rules, weights
from platforms.kubernetes.traffic import RouteTraffic
from rollout.controller.controller import Controller
from rollout.core.errors import Unreachable
from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState
from rollout.reason import Reason
from tests.platforms.kubernetes.world import CRASH, ENDPOINT, PULL, World, pair, solo
from tests.rollout.worlds import PERSON, PLAN
from tests.rollout.worlds import release as plain
from tests.simulator.platform import World as Simulated

A, B = solo("solo-a", "v-a"), solo("solo-b", "v-b")
PAIR, SHADOW = replace(pair(A, B), name="pair-ab"), replace(pair(A, B, 50), name="shadow-ab")
CONFIGS = (A, B, PAIR, SHADOW)
# Thousands of calls: the adapters are held to a real server one by one, and by the rollouts without this mark.
in_memory = pytest.mark.parametrize("world", ["memory"], indirect=True)


@dataclass
class Cluster(Simulated):
    """A simulated endpoint whose traffic goes by the rules of a route, as soon as the gateway has seen them.

    Attributes:
        around: The namespace.
        lost: Requests that went to a variant without an endpoint.
        meanwhile: Done each second, such as a tool that writes the route again.
    """

    around: World = None  # type: ignore[assignment]
    lost: Counter[str] = field(default_factory=Counter[str])
    meanwhile: Callable[[], None] = lambda: None
    seen: str = ""

    def pass_time(self, now: float, seconds: float) -> None:
        self.meanwhile()
        route = self.around.route
        mark = f"{route['metadata']['generation']}"
        if mark != self.seen:
            self.around.gateway_follows()
            self.seen = mark
        live = route["spec"].get("rules") or [{}]
        self._weights = {f"v-{name[-1]}": float(weight) for name, weight in weights(live).items()}
        filters = live[-1].get("filters") or []
        self.serving = "shadow-ab" if filters else "solo-a"
        self._pending = None
        super().pass_time(now, seconds)

    def _answer(self, variant: str, count: int, at: float) -> None:
        if variant in self.down:
            self.lost[variant] += count
        else:
            super()._answer(variant, count, at)

    @property
    def down(self) -> set[str]:
        """The variants without an endpoint."""
        return self._down

    _down: set[str] = field(default_factory=set[str])

    def goes_down(self, name: str, state: Mapping[str, Any], last: str = "") -> None:
        """Let a release's workload have no endpoint, and its pod be in a state."""
        self._down.add(f"v-{name}")
        self.around.endpoints(f"solo-{name}", 0)
        self.around.pod(f"solo-{name}", state, last=last)

    def over(self, around: World | None = None, *, by: str = "test") -> Controller:
        """A controller of its own over the ports of Kubernetes."""
        api = (around or self.around).api
        return self.controller(
            traffic=RouteTraffic(api, ENDPOINT, self.clock),
            journal=KubernetesJournal(api, ENDPOINT, by),
            registry=PackageStatus(api, self.clock),
        )

    def release(self, name: str) -> Release:
        """A release by its short name."""
        return replace(plain(name), model_package_arn=f"{self.around.api.namespace}/{name}")

    def begin(self, plan: Plan = PLAN) -> Controller:
        """Put b on trial beside a."""
        rollout = self.over()
        shadow = SHADOW.name if plan.steps[0].shadow else None
        rollout.release(self.release("b"), PAIR.name, plan, beside=A.name, shadow_config=shadow)
        return rollout

    @property
    def journal(self) -> RolloutState:
        """The journal now."""
        return KubernetesJournal(self.around.api, ENDPOINT).read()


@pytest.fixture
def cluster(world: World) -> Cluster:
    """A cluster where a is champion, and b is declared."""
    rates = {"v-a": 0.01, "v-b": 0.01}
    made = Cluster({"solo-a": {"v-a": 1.0}}, "solo-a", error_rates=rates, requests_per_second=60, around=world)
    made.shadows = {"shadow-ab": ("v-b", 50)}
    for config in CONFIGS:
        world.config(config)
    for name in "ab":
        world.workload(f"solo-{name}")
        world.package(name)
    made.over().release(made.release("a"), None, PLAN)
    made.over().follow(30, poll=1)
    assert made.journal.phase is Phase.IDLE
    assert world.weights() == {"solo-a": 100}
    return made


def ends(cluster: Cluster, rollout: Controller, seconds: float = 900) -> RolloutState:
    state = rollout.follow(seconds, poll=2)
    assert state.phase is Phase.IDLE, (state.phase, rollout.status().doing)
    return state


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
