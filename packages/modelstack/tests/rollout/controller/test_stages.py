"""What a plan may ask for besides live steps: a replay, a shadow, an approval, everything at once, other instances."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.plan import Guard, Plan, ReplayGate, Step
from modelstack.rollout.core.state import Phase, Replayed, RolloutState
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import release, served
from tests.simulator.platform import MemoryReplay, World

ADA = Reason("person", "ada", "looks well")
LARGER = replace(release("a"), config_name="solo-a-large")
GUARD = Guard("canary", 50, 60, ("v-a-5xx",))


def plan(*steps: Step, **more: Any) -> Plan:
    return Plan(**{"steps": steps or (Step(20, 20),), "window_seconds": 10, "max_seconds": 1200, **more})


def tried(world: World, asked: Plan, *, seconds: float = 1500, **configs: str) -> RolloutState:
    world.controller().release(release("b"), "pair-ab", asked, **configs)
    return follow(world, seconds)


def follow(world: World, seconds: float = 1500) -> RolloutState:
    return world.controller().follow(seconds)


def test_a_clean_replay_comes_before_any_live_traffic_and_is_told() -> None:
    world = served()
    world.clock.sleep(30)
    world.replays["v-b"] = Replayed(100, 0, 3, 1.2, ("predictions[0].late is true, was false",))
    state = tried(world, plan(replay=ReplayGate()))
    assert (state.champion, state.replayed) == (release("b"), world.replays["v-b"])
    kinds = [event.kind for event in world.sent]
    assert kinds.index("replayed") < kinds.index("weights")
    assert "100 captured requests replayed: 0 errors, 3 other decisions" in world.sent[kinds.index("replayed")].text


def test_requests_that_cannot_be_replayed_never_let_a_challenger_through() -> None:
    world = served(replay_problem="S3 does not answer")
    state = tried(world, plan(replay=ReplayGate(), max_seconds=100), seconds=90)
    assert (state.phase, world.served.get("v-b")) == (Phase.PREPARING, None)
    state = follow(world)
    assert (state.verdict.outcome, state.verdict.reason.source) == ("rolled_back", "timeout")
    assert "captured requests could not be replayed" in state.verdict.reason.text


@pytest.mark.parametrize("captured", [0, 19])
def test_a_gate_waits_for_captured_requests_and_tells_it_once(captured: int) -> None:
    world = served()
    world.replays["v-b"] = Replayed(captured, 0, 0, None)
    state = tried(world, plan(replay=ReplayGate()), seconds=300)
    assert (state.phase, world.served.get("v-b")) == (Phase.PREPARING, None)
    doing = world.controller().status().doing
    assert f"only {captured} captured requests were there to replay, at least 20 are needed" in doing
    assert [event.kind for event in world.sent].count("replayed") == 1
    world.replays["v-b"] = Replayed(20, 0, 0, 1.0)
    state = follow(world)
    assert (state.champion, state.replayed) == (release("b"), world.replays["v-b"])
    assert "could not be checked" not in state.verdict.reason.text


def test_a_gate_that_waits_looks_once_a_window() -> None:
    world = served()
    asked: list[float] = []

    class Few(MemoryReplay):
        def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
            asked.append(world.clock.time())
            return Replayed(0, 0, 0, None)

    controller = world.controller(replay=Few(world))
    controller.release(release("b"), "pair-ab", plan(replay=ReplayGate()))
    controller.follow(100)
    assert 2 <= len(asked) <= 11
    assert all(later - earlier >= 10 for earlier, later in pairwise(asked))


@pytest.mark.parametrize("on_too_few", ["wait", "pass"])
def test_a_replay_that_takes_several_runs_goes_on_where_it_was_and_says_so(on_too_few: Any) -> None:
    world = served()
    asked: list[tuple[int, int]] = []

    class Slow(MemoryReplay):
        def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
            asked.append((requests, before.requests))
            done = before.requests + 6
            return Replayed(done, 0, 0, 1.0, seconds=10.0 * done, reached="" if done > 60 else f"file#{done}")

    controller = world.controller(replay=Slow(world))
    controller.release(release("b"), "pair-ab", plan(replay=ReplayGate(on_too_few=on_too_few)))
    controller.follow(5)
    assert "the replay goes on: 6 captured requests were replayed in 60 s, at least 20 are" in controller.status().doing
    assert world.served.get("v-b") is None
    controller.follow(300)
    assert asked == [(100, 0), (94, 6), (88, 12), (82, 18)]
    assert (world.state.champion, world.state.replayed and world.state.replayed.requests) == (release("b"), 24)


@pytest.mark.parametrize("on_timeout", ["roll_back", "hold"])
@pytest.mark.parametrize("shadow", [False, True])
def test_a_gate_that_waits_in_vain_ends_in_a_rollback_without_live_traffic(on_timeout: Any, shadow: bool) -> None:
    world = served()
    world.replays["v-b"] = Replayed(3, 0, 0, None)
    steps = (Step(50, 30, shadow=True), Step(20, 20)) if shadow else (Step(20, 20),)
    gated = plan(*steps, replay=ReplayGate(), max_seconds=400, on_timeout=on_timeout)
    state = tried(world, gated, shadow_config="shadow-ab")
    assert (state.verdict.outcome, state.verdict.reason.source) == ("rolled_back", "timeout")
    assert "the challenger never got live traffic: the replay gate could not be checked" in state.verdict.reason.text
    assert "v-b" not in world.served


def test_a_gate_that_may_pass_unchecked_lets_an_idle_endpoint_be_released_and_the_verdict_says_so() -> None:
    world = served()
    world.requests_per_second = 0
    world.replays["v-b"] = Replayed(0, 0, 0, None)
    at_once = plan(Step(100, 20), replay=ReplayGate(on_too_few="pass"))
    state = tried(world, at_once)
    assert state.champion == release("b")
    assert state.verdict.reason.text.endswith(
        "; the replay gate could not be checked: only 0 captured requests were there to replay, at least 20 are "
        "needed (replay.min_requests); on_too_few: pass lets it through"
    )


def test_traffic_that_a_challenger_was_given_by_hand_before_the_gate_is_taken_back() -> None:
    world = served()
    world.replays["v-b"] = Replayed(0, 0, 0, None)
    world.controller().release(release("b"), "pair-ab", plan(replay=ReplayGate()))
    follow(world, 60)
    world.change("pair-ab", {"v-a": 50.0, "v-b": 50.0})
    state = follow(world, 60)
    assert (state.phase, world.live().shares()) == (Phase.PREPARING, {"v-a": 100.0, "v-b": 0.0})


def test_a_shadow_gets_copies_only_and_is_then_given_live_traffic() -> None:
    world = served()
    shadowed = plan(Step(50, 30, shadow=True), Step(20, 20), replay=ReplayGate())
    world.controller().release(release("b"), "pair-ab", shadowed, shadow_config="shadow-ab")
    follow(world, 20)
    assert world.live().shares() == {"v-a": 100.0}
    assert world.answered.count("v-b", 0, world.clock.time()) > 0
    assert "v-b" not in world.served
    state = follow(world)
    assert state.champion == release("b")
    assert state.replayed is not None  # once the challenger could be asked by name, before it got live traffic
    told = [event.text.partition(":") for event in world.sent if event.kind in {"weights", "replayed"}]
    assert [what for what, _, _ in told] == [
        "b gets copies of 50% of the requests", "b was sent captured requests", "b gets 20%",
    ]  # fmt: skip
    assert "errors not worse" in told[-1][2]


def test_a_shadow_without_live_steps_is_promoted_on_its_copies_alone() -> None:
    state = tried(served(), plan(Step(50, 30, shadow=True)), shadow_config="shadow-ab")
    assert (state.champion, state.verdict.reason.source) == (release("b"), "judge")
    assert [event.text.partition(":")[0] for event in state.history if event.kind == "weights"] == [
        "b gets copies of 50% of the requests"
    ]


def test_a_share_is_told_when_the_endpoint_gives_it_and_not_when_it_is_asked_for() -> None:
    world = served()
    world.change_seconds = 30
    world.controller().release(release("b"), "pair-ab", plan())

    def told() -> list[float]:
        return [event.at for event in world.state.history if event.kind == "weights"]

    while world.state.weights.get("v-b") != 20:
        world.clock.sleep(1)
        world.controller().tick()
    assert (world.live().shares()["v-b"], told()) == (0.0, [])
    state = follow(world, 40)
    assert (world.live().shares()["v-b"], told()) == (20.0, [state.step_started_at])
    assert state.history[-1].text == "b gets 20%: the endpoint is ready"


def test_a_challenger_turned_back_by_a_gate_after_copies_was_never_told_to_have_had_a_share() -> None:
    world = served()
    world.replays["v-b"] = Replayed(100, 50, 0, 1.0)
    gated = plan(Step(50, 30, shadow=True), Step(20, 20), replay=ReplayGate())
    state = tried(world, gated, shadow_config="shadow-ab")
    assert (state.verdict is not None, state.champion) == (True, release("a"))
    shares = [event.text.partition(":")[0] for event in state.history if event.kind == "weights"]
    assert shares == ["b gets copies of 50% of the requests"]


def test_a_shadow_step_needs_its_config() -> None:
    with pytest.raises(RolloutError, match="shadow_config: got None"):
        served().controller().release(release("b"), "pair-ab", plan(Step(100, 30, shadow=True)))


def test_a_step_that_asks_for_an_approval_waits_for_it_however_long() -> None:
    world = served()
    approved = plan(Step(20, 20, approve=True), Step(50, 20))
    state = tried(world, approved)
    assert (state.phase, state.at_rest, world.live().shares()["v-b"]) == (Phase.PAUSED, True, 20)
    world.clock.sleep(2 * approved.max_seconds)
    assert world.controller().tick().state.phase is Phase.PAUSED
    world.controller().approve(ADA)
    state = follow(world)
    assert state.champion == release("b")
    assert any(event.kind == "approved" and "looks well" in event.text for event in world.sent)
    with pytest.raises(RolloutError, match="nothing waits for an approval on endpoint endpoint, which is idle"):
        world.controller().approve(ADA)


def test_other_instances_of_the_same_model_move_under_the_platforms_guard() -> None:
    world = served()
    world.controller().release(LARGER, None, plan(guard=GUARD))
    assert (follow(world).champion, world.guards) == (LARGER, [GUARD])
    assert "the champion, a, moves to other instances, without a trial" in {event.text for event in world.state.history}
    world.controller().release(release("b"), "pair-ab", plan(guard=GUARD))
    assert follow(world).champion == release("b")
    assert set(world.guards[1:]) == {None}  # another model is the judge's, not the platform's


@pytest.mark.parametrize("shadow", [None, "pair-shadow"])
def test_other_instances_in_mid_trial_leave_the_trial_first_since_a_guard_takes_the_same_variants_on_both_sides(
    shadow: str | None,
) -> None:
    world = served(shadows={"pair-shadow": ("v-b", 50)})
    world.configs["pair-shadow"] = {"v-a": 1.0}
    trial = plan(Step(50, 600, shadow=shadow is not None), max_seconds=1200)
    world.controller().release(release("b"), "pair-ab", trial, shadow_config=shadow)
    world.controller().follow(30)
    assert (world.state.phase, world.serving) == (Phase.BAKING, shadow or "pair-ab")
    begun = len(world.guards)
    world.controller().release(LARGER, None, plan(guard=GUARD))
    state = follow(world)
    assert (state.champion, state.retiring, world.serving) == (LARGER, (), "solo-a-large")
    assert world.guards[begun:] == [None, GUARD], "to the champion alone, then under guard"
    assert any("b superseded: the champion, a, is wanted alone" in event.text for event in state.history)


def test_other_instances_that_wait_for_a_trial_to_be_left_are_given_up_when_its_config_cannot_be() -> None:
    world = served()
    world.controller().release(release("b"), "pair-ab", plan(Step(50, 600), max_seconds=1200))
    world.controller().follow(30)
    world.broken.add("solo-a")
    world.controller().release(LARGER, None, plan(guard=GUARD))
    world.controller().follow(60)
    state = follow(world)
    assert "the champion, a, does not come up on its other instances: solo-a did not come up" in state.moved.reason.text
    assert (state.phase, state.champion, world.serving, state.rejected) == (Phase.IDLE, release("a"), "pair-ab", {})
    assert "pair-ab" in state.configs()
    world.broken.clear()
    world.controller().release(LARGER, None, plan(guard=GUARD))
    state = follow(world)
    assert (state.champion, world.serving, state.retiring) == (LARGER, "solo-a-large", ())


def test_other_instances_that_an_alarm_turned_back_are_not_tried_again_by_themselves() -> None:
    world = served(broken={"solo-a-large"})
    world.controller().release(LARGER, None, plan(guard=GUARD))
    before, state = world.state.verdict, follow(world)
    assert (state.moved.outcome, state.champion, len(world.guards)) == ("failed", release("a"), 1)
    assert (state.verdict, state.last) == (before, state.moved), "the verdict is the release's"


def test_a_move_to_other_instances_leaves_the_last_verdict_to_the_release_that_it_is_about() -> None:
    world = served(error_rates={"v-b": 0.5})
    world.controller().release(release("b"), "pair-ab", plan())
    rejected = follow(world).verdict
    assert rejected.outcome == "rolled_back"
    for name in ("solo-a-large", "solo-a-huge"):
        world.configs[name] = {"v-a": 1.0}
    world.controller().release(replace(release("a"), config_name="solo-a-large"), None, plan())
    world.controller().release(replace(release("a"), config_name="solo-a-huge"), None, plan())
    assert (world.state.moved.outcome, world.state.verdict) == ("superseded", rejected)
    state = follow(world)
    assert (state.moved.outcome, state.verdict, state.last) == ("promoted", rejected, state.moved)
    assert RolloutState.from_json(state.to_json()) == state


@pytest.mark.slow
def test_a_challenger_that_must_be_better_advances_when_not_worse_and_is_promoted_only_when_better() -> None:
    asked = plan(Step(20, 20), Step(50, 20), promote_when="better", max_seconds=700)
    equal, better = served(error_rates={"v-a": 0.05, "v-b": 0.05}), served(error_rates={"v-a": 0.05, "v-b": 0.0})
    for world in (equal, better):
        world.controller().release(release("b"), "pair-ab", asked)
    follow(equal, 650)
    assert (equal.state.phase, equal.state.step) == (Phase.BAKING, 1)
    assert "better" in equal.controller().status().doing
    state = follow(equal)
    assert (state.verdict.outcome, state.verdict.reason.source) == ("rolled_back", "timeout")
    assert follow(better).champion == release("b")
