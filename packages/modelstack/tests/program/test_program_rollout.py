"""What the program declares for a rollout and its verdict, each promise with its reason, without an engine."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pulumi
import pytest

from modelstack.program.config.whole_numbers import whole
from modelstack.program.update_result import FIELDS
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.reason import Reason
from tests.program.recorded import (
    DIGEST,
    FACTS,
    IMAGE,
    LOCAL,
    OLD,
    Answers,
    World,
    idle,
    release,
    stopped,
    verdict,
)
from tests.program.recorded import run_program as run

SHADOW = {"kind": "shadow", "percent": 20, "bake_seconds": 30}


def test_shadow_gets_copies_beside_one_production_variant_and_by_the_share_that_is_asked_for() -> None:
    world = run(state=idle(OLD), rollout={"strategy": SHADOW})
    own = release(LOCAL)
    config = world.config(LOCAL.pair_of(OLD.config_name, own.config_name, 20))
    (production,), (shadow,) = config["productionVariants"], config["shadowProductionVariants"]
    assert (production["variantName"], shadow["variantName"]) == (OLD.variant, own.variant)
    assert shadow["initialVariantWeight"] / production["initialVariantWeight"] == pytest.approx(0.2)
    assert (shadow["instanceType"], shadow["initialInstanceCount"]) == ("ml.m5.large", 1)
    assert world.rollout["shadow_config"] == config["name"]
    assert world.rollout["plan"]["steps"][0] == {
        "weight": 20,
        "bake_seconds": 30,
        "shadow": True,
        "approve": False,
    }
    pairs = run(state=idle(OLD)).all(":EndpointConfiguration")
    assert not any("shadowProductionVariants" in item.inputs for item in pairs), "no strategy asks for copies there"


# --- what drives it may do


def test_the_two_functions_that_run_the_controller_share_its_role_and_no_other_has_it() -> None:
    world = run(retraining={"enabled": True})
    roles = {item.name: item.inputs["role"].rpartition(":")[2] for item in world.all("lambda/function:Function")}
    assert roles.pop("advance") == roles.pop("rollback") == "controller"
    assert all(role == name for name, role in roles.items()), "every other function has a role of its own"
    for function in ("advance", "rollback"):
        depends = world.one("lambda/function:Function", function).depends
        assert any("RolePolicy::controller" in urn for urn in depends), "a call before it would be refused"


@pytest.mark.parametrize(("function", "acts"), [("advance", 0), ("rollback", 60)])
def test_replay_fits_into_the_time_of_each_function_that_runs_it(function: str, acts: int) -> None:
    """The rollback function acts on its alarm first. If it then follows the next trial, it may replay too."""
    waits, retried = 20 + 60, 2 * 4 * 15  # following and replaying; the last two requests with all their attempts
    timeout = run().function(function)["timeout"]
    assert timeout >= acts + waits + retried
    assert timeout <= 900, "the most that Lambda has"


# --- the rollout


def test_rollout_begins_when_everything_that_could_stop_it_stands() -> None:
    depends = " ".join(run(state=idle(OLD)).one(":Rollout").depends)
    for needed in ("TopicSubscription", "MetricAlarm", "Endpoint::", "Table", "EventTarget"):
        assert needed in depends


def test_strategy_of_the_config_is_what_the_controller_gets() -> None:
    strategy = {**SHADOW, "then": {"kind": "canary", "weight": 5, "bake_seconds": 60}}
    inputs = run(state=idle(OLD), rollout={"strategy": strategy}).rollout
    names = ("weight", "bake_seconds", "shadow", "approve")
    steps = [tuple(step[name] for name in names) for step in inputs["plan"]["steps"]]
    assert steps == [(20, 30, True, False), (5, 60, False, False)]
    assert Plan.from_dict(whole(inputs["plan"])).steps[0].weight == 20
    assert inputs["trial_config"] == LOCAL.pair_of(OLD.config_name, release(LOCAL).config_name)
    assert "shadow_config" not in run(state=idle(OLD)).rollout, "a null is left out"
    assert {name for name in inputs if not name.startswith("__")} <= {
        *("endpoint", "table", "region", "topic", "plan", "wait", "urn"),
        *("desired_release", "trial_config", "shadow_config", "baseline_config", "start_trial", "live_state"),
    }, "a preview prints these names"


@pytest.mark.slow
def test_other_instances_are_moved_by_sagemaker_under_the_alarms_of_the_champion() -> None:
    champion = release(LOCAL)
    inputs = run(state=idle(champion), serving={"instance_count": 2}).rollout
    world = run(state=idle(champion))
    guard = inputs["plan"]["guard"]
    assert (guard["kind"], guard["percent"], guard["bake_seconds"]) == ("canary", 50, 20)
    assert guard["alarms"] == [f"flight-delay-local-{champion.variant}-{measure}" for measure in ("5xx", "p99")]
    assert set(guard["alarms"]) <= {item.inputs["name"] for item in world.all(":MetricAlarm")}
    assert "trial_config" not in inputs


def test_release_of_another_model_is_moved_by_the_controller_alone() -> None:
    def guard(world: World) -> Any:
        return world.rollout["plan"]["guard"]

    assert guard(run(state=idle(OLD))) is None
    assert guard(run()) is None, "the first release has nothing to go back to"
    other_instances = {"serving": {"instance_count": 2}, "rollout": {"infrastructure": None}}
    assert guard(run(state=idle(release(LOCAL)), **other_instances)) is None, "it is not wanted"


@pytest.mark.slow
def test_what_a_rollback_needs_stays_while_an_approval_may_outlast_the_update() -> None:
    before = release(LOCAL, "3" * 64)
    state = idle(OLD, previous=before)
    approved = {"kind": "steps", "steps": [{"weight": 5, "bake_seconds": 60, "approve": True}]}

    def declared(**changes: Any) -> set[str]:
        return {item.inputs["name"] for item in run(state=state, rollout=changes).all(":EndpointConfiguration")}

    assert before.config_name not in declared(), "its successor comes with this update, or nothing is deleted"
    assert before.config_name in declared(strategy=approved), "the update may succeed before the verdict"


def test_a_new_release_acts_and_a_settled_one_or_a_trial_that_is_not_waited_for_does_not() -> None:
    new = release(LOCAL)
    trial = idle(OLD, challenger=new, pair_config=LOCAL.pair_of(OLD.config_name, new.config_name), phase=Phase.BAKING)
    for state, wait, acts in (
        (idle(OLD), True, True),
        (idle(new), True, False),
        (trial, False, False),
        (trial, True, True),
    ):
        assert run(state=state, rollout={"wait": wait}).rollout["start_trial"] is acts


def test_rollback_fails_the_update_with_its_reason_and_still_tells_the_champion() -> None:
    world, why = stopped(
        answers=Answers(outcome="rolled_back", why="alarm 5xx: 52% of 40 requests failed"), state=idle(OLD)
    )
    assert "rolled back: alarm 5xx: 52% of 40 requests failed" in why
    assert world.exported["champion"] == OLD.package_digest
    assert world.exported["challenger"]["value"] is None
    assert world.exported["package_digest"] == OLD.package_digest, "the package that serves, not the rejected one"
    assert world.exported["metrics"] == world.answers.registered


def test_outputs_of_a_promotion_are_those_of_the_new_package() -> None:
    exported = run(state=idle(OLD)).exported
    assert (exported["champion"], exported["package_digest"], exported["metrics"]) == (DIGEST, DIGEST, FACTS["metrics"])


OUT_OF_TIME = "no verdict within 1800 s: too little traffic"
HELD = f"{OUT_OF_TIME}. It keeps its share of traffic: type modelstack approve"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "why", "told"),
    [("running", "", "running"), ("held", HELD, "the release was not promoted: held: no verdict.*modelstack approve")],
)
def test_trial_without_a_verdict_fails_an_update_that_waits_for_one(outcome: str, why: str, told: str) -> None:
    answers = Answers(outcome=outcome, why=why)
    run(answers=answers, state=idle(OLD), rollout={"wait": False})
    with pytest.raises(pulumi.RunError, match=told):
        run(answers=answers, state=idle(OLD), rollout={"wait": True})


def test_rejected_release_is_told_and_not_tried_again() -> None:
    new = release(LOCAL)
    world = run(state=idle(OLD, rejected={new.id: verdict(new)}))
    assert "is not tried again: alarm 5xx: 52% of 40 requests failed" in world.warned
    assert world.rollout["start_trial"] is False


@pytest.mark.slow
def test_champion_gets_the_instances_of_the_config_under_guard_while_the_release_it_asks_for_is_rejected() -> None:
    new = release(LOCAL)
    champion = replace(OLD, archive_uri="s3://bucket/packages/of-the-champion/model.tar.gz")
    state = idle(champion, rejected={new.id: verdict(new)})
    world = run(state=state, serving={"instance_count": 2})
    inputs = world.rollout
    target = inputs["desired_release"]
    moved = {"config_name", "instances", "serving"}
    assert {name for name, value in champion.as_dict().items() if target[name] != value} == moved, (
        "the champion as it is, and not the package of now"
    )
    assert (inputs["start_trial"], "trial_config" in inputs) == (True, False)
    assert inputs["plan"]["guard"]["alarms"] == [
        f"flight-delay-local-{champion.variant}-{name}" for name in ("5xx", "p99")
    ]
    (variant,) = world.config(target["config_name"])["productionVariants"]
    assert (variant["variantName"], variant["initialInstanceCount"]) == (champion.variant, 2)
    assert world.models()[champion.model_name]["modelDataUrl"] == champion.archive_uri
    assert f"release {new.id} was rolled back and is not tried again" in world.told
    assert f"the champion, {champion.id}, moves to other instances (2 x ml.m5.large, 100% of requests" in world.told

    moved = replace(champion, config_name=target["config_name"])
    again = run(state=replace(state, champion=moved), serving={"instance_count": 2})
    assert again.rollout["start_trial"] is False
    assert "moves to other instances" not in again.told


def test_champion_that_does_not_come_up_on_other_instances_fails_the_update() -> None:
    new = release(LOCAL)
    failed = Answers(outcome="failed", why="the champion does not come up on its other instances")
    told = "the champion did not move to other instances, and serves: failed: the champion does not come up on"
    with pytest.raises(pulumi.RunError, match=told):
        run(answers=failed, state=idle(OLD, rejected={new.id: verdict(new)}), serving={"instance_count": 2})


@pytest.mark.slow
def test_last_verdict_is_that_on_a_release_and_a_move_that_failed_is_told_beside_it() -> None:
    rolled_back = verdict(release(LOCAL, "2" * 64))
    reason = Reason("endpoint", OLD.variant, "no capacity")
    failed = replace(verdict(OLD), outcome="failed", reason=reason, rollout_id="000003", at=1.0)
    told = run(state=idle(OLD, verdict=rolled_back, moved=failed)).told
    assert f"last verdict: release {rolled_back.release} rolled back: {rolled_back.reason.text}" in told
    assert f"the champion, {OLD.id}, did not move to other instances: no capacity" in told
    assert "skip-trial" not in told, "a move is no trial"
    later = run(state=idle(OLD, verdict=replace(rolled_back, at=2.0), moved=failed)).told
    assert "did not move" not in later, "a release came after it"


UNEQUAL = "the trial compares unequal instances"


@pytest.mark.slow
def test_other_instances_in_mid_trial_are_told_to_begin_it_again_and_to_be_unequal() -> None:
    assert "instances" not in run(state=on_trial(Phase.BAKING)).told, "they are the same"
    warned = run(state=on_trial(Phase.BAKING), serving={"instance_count": 2}).warned
    begins = f"the trial of {release(LOCAL).id} ends, and begins again at its first step with the challenger on other"
    assert f"{begins} instances (2 x ml.m5.large, 100% of requests captured)" in warned
    assert f"{UNEQUAL}: the challenger has 2 x ml.m5.large, the champion, {OLD.id}, keeps others" in warned


@pytest.mark.slow
def test_trial_of_a_release_with_other_instances_than_the_champions_is_told_to_be_unequal_but_not_for_its_capture() -> (
    None
):
    assert run(state=idle(OLD), serving={"instance_type": "ml.m5.xlarge"}).warned.count(UNEQUAL) == 1
    for world in (
        run(state=idle(OLD), serving={"capture_percent": 50}),
        run(state=idle(replace(OLD, config_name="captures-half"))),
        run(state=idle(OLD)),
        run(serving={"instance_count": 2}),
    ):
        assert UNEQUAL not in world.warned


def test_champion_that_moves_to_other_instances_in_mid_trial_is_told_to_end_it() -> None:
    told = run(state=on_trial(Phase.BAKING), recipe=OLD.recipe, serving={"instance_count": 2}).told
    assert (
        "moves to other instances (2 x ml.m5.large, 100% of requests captured) without a trial; the trial of " in told
    )
    assert UNEQUAL not in told


def test_trial_that_waits_for_a_person_is_told_with_what_to_type() -> None:
    new = release(LOCAL)
    pair = LOCAL.pair_of(OLD.config_name, new.config_name)
    paused = idle(OLD, challenger=new, pair_config=pair, phase=Phase.PAUSED, step=0, paused_at=1.0)
    told = run(state=paused, rollout={"wait": False}).told
    assert f"release {new.id} is on trial and waits: step 1 of 1 is passed" in told
    assert "modelstack approve" in told


def on_trial(phase: Phase, **changes: Any) -> RolloutState:
    """The journal of a local stack with the wanted release on trial, by the plan of its committed config."""
    new = release(LOCAL)
    trial = run(state=idle(OLD)).rollout
    plan = Plan.from_dict(whole(trial["plan"]))
    began = {"challenger": new, "pair_config": trial["trial_config"], "plan": plan, "phase": phase, "step": 0}
    return idle(OLD, **{**began, **changes})


def test_trial_that_is_held_is_told_with_what_to_type() -> None:
    state = on_trial(Phase.HELD).noting(1.0, "held", release(LOCAL).id, Reason("timeout", "max_seconds", OUT_OF_TIME))
    assert (
        f"release {release(LOCAL).id} is on trial and waits: {HELD}" in run(state=state, rollout={"wait": False}).told
    )


def test_change_of_the_plan_in_mid_trial_is_told_to_count_from_the_next_release() -> None:
    state = on_trial(Phase.BAKING)
    assert "keeps the plan" not in run(state=state).warned, "it is the same"
    other = {"max_minutes": 40, "strategy": {"kind": "canary", "weight": 5, "bake_seconds": 60}}
    world = run(state=state, rollout=other)
    id_ = release(LOCAL).id
    assert f"the trial of {id_} keeps the plan that it began with: the change of rollout.strategy, rollout.max_min" in (
        world.warned
    )
    assert f"modelstack clear {id_}" in world.warned
    assert world.rollout["start_trial"] is True


def test_what_is_tolerated_of_failures_reaches_the_trial_and_its_change_is_told() -> None:
    state = on_trial(Phase.BAKING)
    assert state.plan is not None
    assert state.plan.max_failed == 0.05
    world = run(state=state, monitoring={"max_5xx_rate": 0.2})
    assert world.rollout["plan"]["max_failed"] == 0.2
    assert "the change of monitoring.max_5xx_rate counts from the next release" in world.warned


def test_without_captures_a_trial_without_replay_gate_is_no_other_plan() -> None:
    state = on_trial(Phase.BAKING)
    assert state.plan is not None
    state = replace(state, plan=replace(state.plan, replay=None))
    assert "keeps the plan" not in run(state=state, serving={"capture_percent": 0}).warned


def test_another_release_in_mid_trial_is_tried_by_the_plan_of_now() -> None:
    world = run(state=on_trial(Phase.BAKING), recipe="b" * 64, rollout={"max_minutes": 40})
    assert "keeps the plan" not in world.warned
    assert world.rollout["plan"]["max_seconds"] == 2400


def test_every_part_of_a_plan_that_a_config_sets_is_told_by_its_field() -> None:
    no_trials, never_set = {"guard"}, {"settle_seconds"}
    assert set(FIELDS) | no_trials | never_set == {field.name for field in fields(Plan)}


def test_the_quota_of_instances_is_named_before_the_first_update_and_before_other_instances() -> None:
    first = run("dev", serving={"image": IMAGE, "instance_count": 2}).told
    assert "quota `ml.m5.large for endpoint usage` in us-east-1 must be at least 6, as" in first
    assert "6 for a trial, and 8 with a shadow step" in first
    champion = release(replace(LOCAL, stack="dev"), image=IMAGE)
    assert "quota" not in run("dev", serving={"image": IMAGE}, state=idle(champion)).told
    larger = run("dev", serving={"image": IMAGE, "instance_count": 2}, state=idle(champion)).told
    assert "must be at least 6" in larger
    assert "quota" not in run().told, "the local cloud has none"
