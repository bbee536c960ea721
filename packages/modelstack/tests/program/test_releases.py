"""What is declared for serving never leaves out what is live, and never changes without a reason."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelstack.platforms.aws.names import Names
from modelstack.program.plan.releases import DesiredRelease, ServingPlan, plan_serving
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, Retiring, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason

NAMES = Names("flight-delay", "local", "000000000000", "us-east-1")
pair_of = NAMES.pair_of


def release(number: int, shape: int = 0) -> Release:
    recipe = hashlib.sha256(f"recipe {number}".encode()).hexdigest()
    return Release(
        id=recipe[:12],
        recipe=recipe,
        package_digest=f"sha256:{recipe}",
        archive_uri=f"s3://bucket/packages/{recipe}/model.tar.gz",
        image_uri="image",
        manifest_sha256=recipe,
        version=f"arn:package/{number}",
        model_name=f"model-{number}",
        variant=f"v-{recipe[:12]}",
        config_name=f"config-{number}-{shape}",
        instances=f"{shape + 1} x ml.m5.large",
    )


def wanted(number: int, shape: int = 0) -> DesiredRelease:
    made = release(number, shape)
    return DesiredRelease(made.id, made.recipe, made.variant, made.model_name, made.config_name, made.instances)


def verdict(of: Release) -> Verdict:
    return Verdict("rolled_back", Reason("alarm", "5xx", "half failed"), "1", of.id, of.recipe, of.package_digest, 0.0)


def resized(state: RolloutState, shape: int) -> Release | None:
    champion = state.champion
    return release(int(champion.model_name.removeprefix("model-")), shape) if champion else None


def plan(
    state: RolloutState,
    want: DesiredRelease,
    *,
    waits: bool = True,
    asks: bool = False,
    copied: int | None = None,
) -> ServingPlan:
    champion = resized(state, int(want.config_name.rpartition("-")[2]))
    return plan_serving(state, want, pair_of, resized=champion, waits=waits, asks=asks, copied=copied)


def configs(made: ServingPlan) -> set[str]:
    return {item.config_name for item in made.releases} | {pair.name for pair in made.pairs}


EMPTY = RolloutState("flight-delay-local")
V1, V2, V3 = release(1), release(2), release(3)


def pair(champion: Release, challenger: Release, copied: int | None = None) -> str:
    return pair_of(champion.config_name, challenger.config_name, copied)


def copying(percent: int | None) -> Plan:
    first = () if percent is None else (Step(percent, 10, shadow=True),)
    return Plan(steps=(*first, Step(10, 10)))


thorough = settings(max_examples=150, deadline=None)


@st.composite
def journals(draw: st.DrawFn) -> RolloutState:
    """Any state that a journal may hold: each of the releases in at most one role."""
    numbers = draw(st.permutations(range(6)))
    champion, challenger, previous, *old = [release(number) for number in numbers]
    has_champion = draw(st.booleans())
    on_trial = has_champion and draw(st.booleans())
    percents = st.none() | st.integers(1, 100)

    def shadow(of: Release, percent: int | None) -> str | None:
        return pair(champion, of, percent) if percent is not None else None

    retiring = tuple(
        Retiring(item, pair(champion, item), shadow(item, percent), percent)
        for item in (old[: draw(st.integers(0, 2))] if has_champion else [])
        for percent in [draw(percents)]
    )
    percent = draw(percents) if on_trial else None
    return RolloutState(
        "flight-delay-local",
        phase=Phase.BAKING if on_trial else Phase.IDLE if has_champion else Phase.NONE,
        champion=champion if has_champion else None,
        challenger=challenger if on_trial else None,
        previous=previous if has_champion and draw(st.booleans()) else None,
        pair_config=pair(champion, challenger) if on_trial else None,
        shadow_config=shadow(challenger, percent),
        plan=copying(percent) if on_trial else None,
        retiring=retiring,
        rejected={item.id: verdict(item) for item in (old[2:] if draw(st.booleans()) else [])},
    )


wants = st.builds(wanted, st.integers(0, 7), st.integers(0, 1))
copies = st.none() | st.integers(1, 100)


@thorough
@given(journals(), wants, st.booleans(), copies)
def test_everything_that_the_endpoint_uses_stays_declared(
    state: RolloutState, want: DesiredRelease, waits: bool, copied: int | None
) -> None:
    missing = set(state.configs()) - configs(plan(state, want, waits=waits, copied=copied))
    champion = state.champion
    moves = champion is not None and (champion.variant == want.variant or want.id in state.rejected)
    replaced = champion if moves else state.previous
    assert missing <= ({replaced.config_name} if replaced else set())


@thorough
@given(journals(), wants)
def test_what_a_rollback_needs_goes_only_when_the_update_waits_for_its_successor(
    state: RolloutState, want: DesiredRelease
) -> None:
    assert set(state.configs()) <= configs(plan(state, want, waits=False))
    waiting = plan(state, want, waits=True)
    if not set(state.configs()) <= configs(waiting):
        assert waiting.starts and want.config_name != (state.champion and state.champion.config_name)


@thorough
@given(journals(), wants, st.booleans(), copies)
def test_every_pair_has_two_releases_that_are_declared_and_every_name_is_declared_once(
    state: RolloutState, want: DesiredRelease, waits: bool, copied: int | None
) -> None:
    made = plan(state, want, waits=waits, copied=copied)
    solo = {item.config_name: item.variant for item in made.releases}
    assert len(solo) == len(made.releases)
    assert len({item.name for item in made.pairs}) == len(made.pairs)
    for item in made.pairs:
        assert {item.champion_config, item.challenger_config} <= solo.keys()
        assert solo[item.champion_config] != solo[item.challenger_config]
    assert {made.serving, want.config_name} <= solo.keys()
    assert made.pair is None or made.pair in configs(made)
    assert (made.shadow is None) is (copied is None or made.pair is None)
    assert made.shadow is None or made.shadow in configs(made)


@thorough
@given(journals(), wants, copies)
def test_update_after_a_promotion_declares_the_same(
    state: RolloutState, want: DesiredRelease, copied: int | None
) -> None:
    before = plan(state, want, copied=copied)
    target = next(
        item for item in [release(n, s) for n in range(8) for s in (0, 1)] if item.config_name == before.target
    )
    if not before.starts or state.retiring or state.challenger is not None:
        return
    moved = state.champion is not None and state.champion.id == target.id
    after = replace(
        state,
        phase=Phase.IDLE,
        champion=target,
        challenger=None,
        previous=state.previous if moved else state.champion,
        pair_config=None,
    )
    second = plan(after, want, copied=copied)
    assert configs(second) == configs(before)
    assert not second.starts


@thorough
@given(journals(), wants, copies)
def test_update_after_a_rollback_declares_the_same_and_does_not_try_again(
    state: RolloutState, want: DesiredRelease, copied: int | None
) -> None:
    before = plan(state, want, copied=copied)
    if before.pair is None or not before.starts or state.retiring or state.challenger is not None:
        return
    after = replace(state, rejected={**state.rejected, want.id: verdict(release(9))})
    second = plan(after, want, copied=copied)
    assert second.verdict is not None
    if second.starts:  # the release was tried with the instances of a new config: now the champion moves to them
        assert second.target == second.kept.config_name if second.kept else False
        return
    assert configs(before) <= configs(second), "the failed update left these behind: dropping one would be a change"


def test_trial_that_begins_with_copies_gets_a_config_for_them_too() -> None:
    state = replace(EMPTY, champion=V1, phase=Phase.IDLE)
    made = plan(state, wanted(2), copied=50)
    assert (made.pair, made.shadow) == (pair(V1, V2), pair(V1, V2, 50))
    assert configs(made) == {V1.config_name, V2.config_name, pair(V1, V2), pair(V1, V2, 50)}
    assert plan(state, wanted(2), copied=20).shadow != made.shadow, "a name is a digest of what it holds"
    assert plan(EMPTY, wanted(1), copied=50).shadow is None, "there is nobody whose requests could be copied"


def test_copying_config_that_serves_stays_when_the_strategy_is_another_by_now() -> None:
    state = replace(
        EMPTY,
        champion=V1,
        challenger=V2,
        pair_config=pair(V1, V2),
        shadow_config=pair(V1, V2, 50),
        plan=copying(50),
        phase=Phase.BAKING,
    )
    made = plan(state, wanted(3), copied=None)
    kept = next(item for item in made.pairs if item.name == pair(V1, V2, 50))
    assert (kept.champion_config, kept.challenger_config, kept.copied) == (V1.config_name, V2.config_name, 50)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_config_that_a_champion_stays_on_as_it_cannot_come_back_stays_declared(number: int) -> None:
    stays = Retiring(V2, pair(V1, V2), None, None)
    state = replace(EMPTY, champion=V1, phase=Phase.IDLE, rejected={V2.id: verdict(V2)}, retiring=(stays,))
    assert {V1.config_name, V2.config_name, pair(V1, V2)} <= configs(plan(state, wanted(number)))


def test_other_instances_of_the_champion_take_over_without_a_pair() -> None:
    made = plan(replace(EMPTY, champion=V1, phase=Phase.IDLE), wanted(1, shape=1))
    assert made.pair is None
    assert made.starts
    assert configs(made) == {"config-1-1"}, "the update waits until the endpoint serves from it, or deletes nothing"
    assert configs(plan(replace(EMPTY, champion=V1, phase=Phase.IDLE), wanted(1, shape=1), waits=False)) == {
        V1.config_name,
        "config-1-1",
    }


def test_approval_that_outlasts_the_update_keeps_the_way_back_and_is_none_of_a_change_of_instances() -> None:
    state = replace(EMPTY, champion=V1, previous=V2, phase=Phase.IDLE)
    assert V2.config_name not in configs(plan(state, wanted(3)))
    assert V2.config_name in configs(plan(state, wanted(3), asks=True))
    assert V1.config_name not in configs(plan(state, wanted(1, shape=1), asks=True))


@pytest.mark.parametrize("copied", [None, 50])
def test_champion_is_moved_to_the_instances_of_the_config_while_the_release_it_asks_for_is_rejected(
    copied: int | None,
) -> None:
    state = replace(EMPTY, champion=V1, previous=V3, phase=Phase.IDLE, rejected={V2.id: verdict(V2)})
    made, larger = plan(state, wanted(2, shape=1), copied=copied), release(1, shape=1)
    assert (made.starts, made.target, made.pair, made.shadow) == (True, larger.config_name, None, None)
    assert (made.kept, made.verdict) == (larger, verdict(V2)), "the rejection is still told"
    assert made.serving == larger.config_name
    known = {item.config_name: item.known for item in made.releases}
    assert known == {V3.config_name: V3, larger.config_name: larger, "config-2-1": None}, (
        "V1's is let go of when it is done"
    )
    assert {pair(larger, release(2, shape=1)), pair(V3, larger)} <= configs(made)

    done = plan(replace(state, champion=larger), wanted(2, shape=1), copied=copied)
    assert (done.starts, configs(done)) == (False, configs(made))
    unsure = plan(state, wanted(2, shape=1), copied=copied, waits=False)
    assert V1.config_name in configs(unsure), "the update may succeed before the endpoint has left it"


def test_move_of_the_champion_that_was_interrupted_goes_on_while_a_rejected_release_is_asked_for() -> None:
    larger = release(1, shape=1)
    state = replace(EMPTY, champion=V1, challenger=larger, phase=Phase.MOVING, rejected={V2.id: verdict(V2)})
    made = plan(state, wanted(2, shape=1))
    assert (made.starts, made.target) == (True, larger.config_name)
    assert set(state.configs()) <= configs(made)
    back = plan(state, wanted(2))
    assert (back.starts, back.target) == (True, V1.config_name), "the config went back: so does the endpoint"


def test_rejected_release_ends_no_other_trial_for_the_sake_of_the_champions_instances() -> None:
    trial = {"challenger": V3, "pair_config": pair(V1, V3), "phase": Phase.BAKING}
    state = replace(EMPTY, champion=V1, rejected={V2.id: verdict(V2)}, **trial)
    made = plan(state, wanted(2, shape=1))
    assert (made.starts, made.kept) == (False, None)
    assert set(state.configs()) <= configs(made)


def test_rejected_release_goes_when_another_is_wanted() -> None:
    state = replace(EMPTY, champion=V1, phase=Phase.IDLE, rejected={V2.id: verdict(V2)})
    assert V2.config_name not in configs(plan(state, wanted(1)))
    assert V2.config_name not in configs(plan(state, wanted(3)))


def test_rejected_image_leaves_the_champions_model_and_the_next_image_alone() -> None:
    in_image = {name: replace(V1, id=name, variant=f"v-{name}", config_name=f"config-{name}-0") for name in ("x", "y")}
    bad, next_ = (
        DesiredRelease(item.id, item.recipe, item.variant, "model", item.config_name, item.instances)
        for item in in_image.values()
    )
    state = replace(EMPTY, champion=V1, phase=Phase.IDLE, rejected={bad.id: verdict(in_image["x"])})
    assert (plan(state, bad).starts, plan(state, bad).verdict) == (False, verdict(in_image["x"]))
    assert plan(state, wanted(1)).verdict is None
    assert (plan(state, next_).starts, plan(state, next_).pair) == (True, pair(V1, in_image["y"]))


def test_champion_that_was_rejected_elsewhere_is_still_the_champion() -> None:
    state = replace(EMPTY, champion=V1, phase=Phase.IDLE, rejected={V1.id: verdict(V1)})
    made = plan(state, wanted(1))
    assert made.verdict is None
    assert not made.starts
    assert not plan(state, wanted(1, 1)).starts
