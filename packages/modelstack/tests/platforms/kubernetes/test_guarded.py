from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from modelstack.platforms.kubernetes.guarded import GuardedMoves
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, ROUTE, ResourceKind
from modelstack.platforms.kubernetes.moving import MOVE, Move
from modelstack.platforms.kubernetes.route_store import RouteStore
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.errors import Busy, Conflict, Unreachable
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.live import Variant
from modelstack.rollout.core.plan import Guard, Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.reason import Reason
from modelstack.services.declaration.alarm_names import answer_alarms
from tests.platforms.kubernetes.simulated import killing
from tests.platforms.kubernetes.world import CRASH, ENDPOINT, IN_MEMORY, TestClock, World, on_both, solo
from tests.rollout.worlds import PERSON
from tests.rollout.worlds import release as plain

SMALL, LARGE, OTHER = solo("w-small", "v-a"), solo("w-large", "v-a"), solo("w-other", "v-a")
ALARMS = answer_alarms(ENDPOINT, "v-a")
GUARD = Guard("canary", 20, 60, ALARMS, 1800)
WORLDS = IN_MEMORY


@dataclass
class Bells:
    """The alarms: what fires, by name; None when nobody can say."""

    fires: dict[str, float] | None = field(default_factory=dict[str, float])

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        if self.fires is None:
            raise Unreachable("Prometheus does not answer")
        return tuple(VariantAlarm("v-a", Reason("alarm", name, "5% fail"), since) for name, since in self.fires.items())


@dataclass
class Scene:
    """An endpoint whose champion serves from small pods, and larger ones beside them."""

    world: World
    clock: TestClock = field(default_factory=TestClock)
    bells: Bells = field(default_factory=Bells)

    def over(self, by: str = "test") -> Controller:
        api, nothing = self.world.api, cast(Any, object())
        traffic, journal = RouteTraffic(api, ENDPOINT, self.clock), copied_journal(api, ENDPOINT, by)
        return Controller(
            traffic=traffic, signals=nothing, alarms=self.bells, journal=journal, clock=self.clock, replay=nothing,
            registry=ModelPackages(api, clock=self.clock), mover=GuardedMoves(traffic.store, journal, self.bells),
            notify=None,
        )  # fmt: skip

    def release(self, workload: str) -> Release:
        return replace(plain("a"), variant="v-a", config_name=workload, version=f"{self.world.api.namespace}/a")

    def move(self, to: str = "w-large", guard: Guard | None = GUARD) -> Controller:
        rollout = self.over()
        rollout.release(self.release(to), None, Plan(steps=(Step(50, 30),), guard=guard))
        self.world.gateway_follows()
        return rollout

    def tick(self, rollout: Controller, seconds: float = 2) -> RolloutState:
        state = rollout.tick().state
        self.world.gateway_follows()
        self.clock.sleep(seconds)
        return state

    def to_step(self, step: int) -> Controller:
        rollout = self.move()
        for _ in range(200):
            if (move := self.moving) is not None and move.step == step:
                return rollout
            self.tick(rollout)
        raise AssertionError(f"never at step {step}")

    @property
    def journal(self) -> RolloutState:
        return copied_journal(self.world.api, ENDPOINT).read()

    @property
    def moving(self) -> Move | None:
        text = self.world.route["metadata"]["annotations"].get(MOVE)
        return Move.from_json(text) if text else None


@pytest.fixture
def scene(world: World) -> Scene:
    made = Scene(world)
    for config, pods in ((SMALL, 1), (LARGE, 2), (OTHER, 1)):
        world.config(config)
        world.workload(config.champion.workload, ready=pods, replicas=pods)
    world.package("a")
    rollout = made.over()
    rollout.release(made.release("w-small"), None, Plan(steps=(Step(50, 30),)))
    for _ in range(3):
        made.tick(rollout)
    assert made.journal.phase is Phase.IDLE
    assert world.weights() == {"w-small": 100}
    return made


@on_both
def test_a_champion_moves_by_steps_and_each_has_its_wait(scene: Scene) -> None:
    rollout = scene.move()
    traffic = RouteTraffic(scene.world.api, ENDPOINT, scene.clock)
    seen: list[tuple[int, float]] = []
    while (state := scene.tick(rollout)).phase is Phase.MOVING:
        share = scene.world.weights().get("w-large", 0)
        if not seen or share != seen[-1][0]:
            seen.append((share, scene.clock.now))
        live = traffic.read()
        assert live.shares() == live.shares(desired=True) == {"v-a": 100}
    assert [share for share, _ in seen] == [20, 100]
    assert seen[1][1] - seen[0][1] >= 60
    assert scene.clock.now - seen[1][1] >= 60
    assert (state.champion, state.moved.outcome if state.moved else "") == (scene.release("w-large"), "promoted")
    assert scene.world.weights() == {"w-large": 100}
    assert (traffic.read().config, scene.moving) == ("w-large", None)
    assert scene.tick(rollout).at_rest


def test_before_the_first_step_the_gateway_knows_the_new_pods_and_gives_them_nothing(scene: Scene) -> None:
    scene.move()
    assert scene.world.weights() == {"w-small": 100, "w-large": 0}
    targets = [rule["matches"][0]["headers"][0]["value"] for rule in scene.world.route["spec"]["rules"][:-1]]
    assert targets == ["v-a", "w-large"]
    live = RouteTraffic(scene.world.api, ENDPOINT, scene.clock).read()
    assert (live.status, live.config, live.variants) == ("changing", "w-small", {"v-a": Variant(100, 100, 3)})
    assert "0% of the traffic: before its first step" in live.detail


def test_without_a_guard_or_with_a_champion_that_answers_nobody_the_traffic_moves_at_once(scene: Scene) -> None:
    scene.move(guard=None)
    assert scene.world.weights() == {"w-large": 100}
    scene.tick(scene.over())
    scene.world.endpoints("w-large", 0)
    scene.move("w-other")
    assert scene.world.weights() == {"w-other": 100}


def test_an_alarm_that_fires_already_ends_the_move_before_it_has_any_traffic(scene: Scene) -> None:
    scene.bells.fires = {ALARMS[0]: scene.clock.now - 30}
    rollout = scene.move()
    for _ in range(4):
        state = scene.tick(rollout)
        assert scene.world.weights()["w-small"] == 100
    assert state.moved is not None
    assert (state.phase, state.champion, state.moved.outcome) == (Phase.IDLE, scene.release("w-small"), "failed")
    assert state.moved.reason.text.startswith(
        "the champion, a, does not come up on its other instances: One or more alarms are in ALARM state: "
        f"{ALARMS[0]}. The move to w-large was rolled back."
    )
    assert not state.rejected


@on_both
@pytest.mark.parametrize("step", [0, 1])
def test_an_alarm_that_begins_to_fire_brings_everything_back_in_the_same_look(scene: Scene, step: int) -> None:
    rollout = scene.to_step(step)
    scene.bells.fires = {ALARMS[1]: scene.clock.now}
    rollout.tick()
    assert scene.world.weights() == {"w-small": 100}
    scene.world.gateway_follows()
    state = scene.tick(rollout)
    assert state.moved is not None
    assert (state.phase, state.champion) == (Phase.IDLE, scene.release("w-small"))
    assert (state.moved.outcome, state.moved.reason.name) == ("withdrawn", ALARMS[1])


def test_another_alarm_does_not_end_a_move(scene: Scene) -> None:
    scene.bells.fires = {f"{ENDPOINT}-v-a-drift": scene.clock.now - 30}
    scene.to_step(0)
    assert scene.world.weights()["w-large"] == 20


def test_while_nobody_can_say_what_fires_no_step_is_taken_and_at_the_end_of_its_time_it_is_taken_back(
    scene: Scene,
) -> None:
    rollout = scene.to_step(0)
    scene.bells.fires = None
    for _ in range(3):
        scene.tick(rollout, 100)
        assert scene.world.weights()["w-large"] == 20
    scene.clock.sleep(1800)
    for _ in range(3):
        state = scene.tick(rollout)
    assert scene.world.weights() == {"w-small": 100}
    assert state.moved is not None
    assert "exceeded 1800 s: nobody can say whether an alarm fires" in state.moved.reason.text


def test_new_pods_that_crash_lose_their_traffic_at_the_next_look(scene: Scene) -> None:
    rollout = scene.to_step(0)
    scene.world.endpoints("w-large", 0)
    scene.world.pod("w-large", CRASH, last="MemoryError")
    scene.tick(rollout)
    assert scene.world.weights() == {"w-small": 100}
    state = scene.tick(rollout)
    assert state.moved is not None
    assert (state.moved.outcome, state.champion) == ("failed", scene.release("w-small"))
    assert "MemoryError" in state.moved.reason.text


def test_no_traffic_goes_to_fewer_pods_than_were_asked_for(scene: Scene) -> None:
    scene.world.endpoints("w-large", 1, unready=1)
    rollout = scene.move()
    for _ in range(3):
        scene.tick(rollout, 30)
    assert scene.world.weights() == {"w-small": 100, "w-large": 0}
    scene.world.endpoints("w-large", 2)
    scene.tick(rollout)
    assert scene.world.weights() == {"w-small": 80, "w-large": 20}


def test_a_person_brings_everything_back_in_mid_move(scene: Scene) -> None:
    rollout = scene.to_step(1)
    rollout.roll_back(PERSON)
    assert scene.world.weights() == {"w-small": 100}
    scene.world.gateway_follows()
    state = scene.tick(rollout)
    assert (state.phase, state.champion) == (Phase.IDLE, scene.release("w-small"))


def test_who_asks_for_other_pods_in_mid_move_gets_those(scene: Scene) -> None:
    scene.to_step(1)
    rollout = scene.move("w-other", guard=None)
    for _ in range(4):
        state = scene.tick(rollout)
    assert state.champion == scene.release("w-other")
    assert scene.world.weights() == {"w-other": 100}


def test_a_move_can_be_made_again_after_it_was_taken_back(scene: Scene) -> None:
    scene.bells.fires = {ALARMS[0]: scene.clock.now - 30}
    rollout = scene.move()
    for _ in range(4):
        scene.tick(rollout)
    assert RouteTraffic(scene.world.api, ENDPOINT).read().failure
    scene.bells.fires = {}
    scene.to_step(0)
    assert not RouteTraffic(scene.world.api, ENDPOINT).read().failure


def test_the_failure_of_an_earlier_move_fails_no_move_whose_request_was_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any) -> None:
        raise Unreachable("the request did not arrive")

    scene.bells.fires = {ALARMS[0]: scene.clock.now - 30}
    rollout = scene.move()
    while scene.tick(rollout).phase is Phase.MOVING:
        pass
    scene.bells.fires = {}
    assert RouteTraffic(scene.world.api, ENDPOINT, scene.clock).read().failure
    with monkeypatch.context() as network, suppress(Unreachable):
        network.setattr(RouteTraffic, "use_config", lose)
        scene.move()
    assert (scene.journal.moves, scene.journal.requested) != (0, None)
    scene.tick(scene.over())
    assert scene.moving is not None and scene.moving.under_way
    assert scene.journal.phase is Phase.MOVING


def test_nothing_else_is_asked_of_an_endpoint_that_moves(scene: Scene) -> None:
    scene.to_step(0)
    traffic, before = RouteTraffic(scene.world.api, ENDPOINT, scene.clock), scene.world.route
    with pytest.raises(Busy, match="20% of the traffic: step 1 of 2"):
        traffic.use_config("w-other")
    with pytest.raises(Busy, match="20% of the traffic"):
        traffic.set_weights({"v-a": 100})
    traffic.use_config("w-large", GUARD)  # by a controller that is late
    assert scene.world.route == before


def test_rules_that_somebody_else_wrote_in_mid_move_are_taken_back(scene: Scene) -> None:
    rollout = scene.to_step(0)
    right = scene.world.route["spec"]["rules"]
    scene.world.patch(ROUTE, ENDPOINT, {"spec": {"rules": rules(SMALL, {"v-a": 100})}}, "kubectl-edit")
    scene.world.gateway_follows()
    scene.tick(rollout)
    assert scene.world.route["spec"]["rules"] == right
    assert [event["reason"] for event in scene.world.events()] == ["RulesTakenBack"]


def test_a_config_that_was_deleted_in_mid_move_takes_it_back(scene: Scene) -> None:
    scene.to_step(0)
    scene.world.api.delete(CONFIG_MAP, "w-large")
    rollout = scene.over()
    scene.tick(rollout)
    state = scene.tick(rollout)
    assert scene.world.weights() == {"w-small": 100}
    assert state.moved is not None
    assert "config w-large is not there" in state.moved.reason.text


def test_the_config_that_serves_is_read_from_the_rules_in_mid_move_too(scene: Scene) -> None:
    scene.to_step(0)
    scene.world.api.delete(CONFIG_MAP, "w-small")
    rollout = scene.over()
    while scene.tick(rollout).phase is Phase.MOVING:
        assert scene.world.weights()["w-large"] in {20, 100}
    assert scene.journal.champion == scene.release("w-large")


@pytest.mark.parametrize("fires", [False, True])
def test_a_controller_that_is_killed_after_each_write_in_turn_leaves_the_same_end(scene: Scene, fires: bool) -> None:
    seen: set[str] = set()

    def mark(kind: ResourceKind, obj: Any) -> str:
        if kind is ROUTE:
            return "" if "status" in obj else f"route {obj['metadata'].get('annotations')}"
        return f"status {obj['status']['phase']}" if "phase" in obj.get("status", ()) else ""

    began = False
    for at in range(400):
        with killing(scene.world.api, seen, mark):
            if began:
                scene.over().tick()
            else:
                began = True
                scene.over().release(scene.release("w-large"), None, Plan(steps=(Step(50, 30),), guard=GUARD))
        scene.world.gateway_follows()
        scene.clock.sleep(2)
        if fires and at == 20:
            scene.bells.fires = {ALARMS[0]: scene.clock.now}
        if at > 10 and scene.journal.phase is Phase.IDLE:
            break
    end = "w-small" if fires else "w-large"
    assert scene.journal.champion == scene.release(end)
    assert {name: share for name, share in scene.world.weights().items() if share} == {end: 100}
    assert len(seen) >= 4, seen


@pytest.mark.slow
def test_two_controllers_take_each_step_once(scene: Scene) -> None:
    """While one of them looks, another one does all that it would do."""
    scene.move()
    api: Any = scene.world.api
    get, other, inside = api.get, scene.over("other"), [False]

    def busy(kind: Any, *words: Any) -> Any:
        found = get(kind, *words)
        if kind is ROUTE and not inside[0]:
            inside[0] = True
            with suppress(Unreachable, Busy, Conflict):
                other.tick()
            inside[0] = False
        return found

    shares: list[int] = []
    rollout = scene.over()
    object.__setattr__(api, "get", busy)
    try:
        for _ in range(120):
            if scene.journal.at_rest:
                break
            with suppress(Unreachable, Busy, Conflict):
                rollout.tick()
            shares.append(scene.world.weights().get("w-large", 0))
            scene.world.gateway_follows()
            scene.clock.sleep(2)
    finally:
        object.__setattr__(api, "get", get)
    assert sorted(set(shares)) == [0, 20, 100] or sorted(set(shares)) == [20, 100]
    assert shares == sorted(shares)
    assert shares.count(20) >= 29
    assert shares.count(100) >= 29
    assert [event.kind for event in scene.journal.history].count("promoted") == 2  # the first release, and the move


def test_a_move_that_another_controller_began_a_moment_ago_is_not_called_off(scene: Scene) -> None:
    """The journal is read after the route: one that was read before would not know of the move yet."""
    late = scene.journal
    journal = copied_journal(scene.world.api, ENDPOINT)

    class Stale:
        def read(self) -> RolloutState:
            if scene.moving is None:
                scene.move()
                return late
            return journal.read()

    store = RouteStore(scene.world.api, ENDPOINT, scene.clock)
    assert GuardedMoves(store, cast(Any, Stale()), scene.bells).advance() is False
    Stale().read()
    assert GuardedMoves(store, cast(Any, Stale()), scene.bells).advance() is True
    assert scene.moving is not None
    assert scene.moving.step == 0
