"""Another serving image can break the champion's own model: it is a release on trial, with a verdict of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from modelstack.rollout.core.fault import at_fault
from modelstack.rollout.core.plan import Plan, ReplayGate
from modelstack.rollout.core.release import Release, release_id
from modelstack.rollout.core.state import Phase, Replayed, RolloutState
from modelstack.rollout.core.transitions import Rejected
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.simulator.platform import World

Make = Callable[[str], Release]
Worlds = Callable[..., World]
RECIPE = "a" * 64
PERSON = Reason("person", "ada", "the champion's archive is lost")


@pytest.fixture
def rebuilt(release: Make) -> Callable[[str], Release]:
    """Makes a release of the champion's model, byte by byte, in another image."""

    def make(name: str) -> Release:
        champion, other = release("a"), release(name)
        same = {key: getattr(champion, key) for key in ("recipe", "package_digest", "archive_uri", "manifest_sha256")}
        return replace(other, image_uri=f"registry/serving:{name}", **same)

    return make


def challenge(world: World, target: Release, plan: Plan, pair: str = "pair-ab", seconds: float = 200) -> RolloutState:
    world.controller().release(target, pair, plan, beside="solo-a")
    return world.controller().follow(seconds)


def ended(state: RolloutState) -> Verdict:
    assert state.verdict is not None
    return state.verdict


def test_a_release_is_called_by_its_recipe_and_its_image() -> None:
    image = "registry/serving@sha256:1"
    assert release_id(RECIPE, image) == release_id(RECIPE, image)
    assert len({release_id(recipe, uri) for recipe in (RECIPE, "b" * 64) for uri in (image, "registry/serving:2")}) == 4
    assert len(release_id(RECIPE, image)) == 12


def test_a_process_adds_nothing_to_the_recipe_and_so_has_the_same_id_on_every_local_stack() -> None:
    for stack in ("local", "local-staging"):
        assert release_id(RECIPE, f"000000000000.dkr.ecr.us-east-1.amazonaws.com/m-{stack}:process") == RECIPE[:12]


def test_another_image_is_put_on_trial_beside_the_champion_and_passes_the_replay_gate_first(
    served: Worlds, rebuilt: Make, plan: Plan
) -> None:
    world = served()
    world.clock.sleep(60)
    gated = replace(plan, replay=ReplayGate())
    world.replays["v-b"] = Replayed(100, 50, 0, 1.0)
    state = challenge(world, rebuilt("b"), gated)
    assert (ended(state).outcome, ended(state).reason.source) == ("rolled_back", "replay")
    assert world.served.get("v-b", 0) == 0
    begun = next(event.text for event in state.history if event.kind == "preparing")
    assert begun == "release b, the champion's model in another image, begins beside champion a"


def test_a_bad_image_is_rolled_back_by_itself_and_tried_again_only_after_it_is_cleared(
    served: Worlds, release: Make, rebuilt: Make, plan: Plan
) -> None:
    world, bad = served(), rebuilt("b")
    world.error_rates["v-b"] = 0.5
    state = challenge(world, bad, plan)
    assert (ended(state).outcome, state.champion, world.serving) == ("rolled_back", release("a"), "solo-a")
    assert (set(state.rejected), world.approvals) == ({"b"}, {"arn:a": "Approved", "arn:b": "Rejected"})

    with pytest.raises(Rejected, match="release b was rolled back before"):
        world.controller().release(bad, "pair-ab", plan)
    assert world.controller().release(release("a"), None, plan).state == state, "the champion is as it was"
    world.controller().clear_rejection("b")
    world.error_rates["v-b"] = 0.01
    state = challenge(world, bad, plan, seconds=1000)
    assert (state.champion, state.previous) == (bad, release("a"))
    assert world.approvals == {"arn:a": "Approved", "arn:b": "Approved"}


def test_a_rejected_image_rejects_neither_the_next_image_nor_the_next_model(
    served: Worlds, release: Make, rebuilt: Make, plan: Plan
) -> None:
    world = served()
    world.error_rates["v-b"] = 0.5
    challenge(world, rebuilt("b"), plan)
    assert challenge(world, rebuilt("c"), plan, "pair-ac", 1000).champion == rebuilt("c")
    world.controller().release(release("d"), "pair-cd", plan)
    assert world.controller().follow(1000).champion == release("d")


def test_an_image_that_was_promoted_is_taken_back_to_the_image_before(
    served: Worlds, release: Make, rebuilt: Make, plan: Plan
) -> None:
    world = served()
    challenge(world, rebuilt("b"), plan, seconds=1000)
    world.controller().roll_back(PERSON)
    state = world.controller().follow(60)
    assert (state.champion, set(state.rejected), world.serving) == (release("a"), {"b"}, "solo-a")
    assert world.approvals == {"arn:a": "Approved", "arn:b": "Rejected"}


def test_a_recipe_clears_every_image_of_it(served: Worlds, rebuilt: Make, plan: Plan) -> None:
    world = served(error_rates={"v-a": 0.01, "v-b": 0.5, "v-c": 0.5})
    challenge(world, rebuilt("b"), plan)
    assert set(challenge(world, rebuilt("c"), plan, "pair-ac").rejected) == {"b", "c"}
    assert world.controller().clear_rejection("a-recipe").rejected == {}


def test_leave_to_skip_the_trial_is_for_one_image_only(served: Worlds, rebuilt: Make, plan: Plan) -> None:
    world = served(unstartable={"v-a"})
    assert ended(challenge(world, rebuilt("b"), plan)).outcome == "failed"
    world.controller().skip_trial("b", PERSON)
    world.unstartable = set()
    world.controller().release(rebuilt("c"), "pair-ac", plan)
    assert world.state.phase is Phase.PREPARING, "it has its trial"


def test_an_archive_that_both_share_is_nobodys_own_fault(release: Make, rebuilt: Make) -> None:
    both = (rebuilt("b"), release("a"))
    assert at_fault(f'Failed to extract model data from URL: "{release("a").archive_uri}".', both) is None
    assert at_fault("production variant v-b did not pass the ping health check", both) == rebuilt("b")
