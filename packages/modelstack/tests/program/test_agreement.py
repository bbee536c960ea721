"""A release that people must agree to is registered and told, and nothing else changes until they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.program import on_cluster
from tests.program.recorded import LOCAL, OLD, Answers, World, idle, release, run_program, stopped, verdict

NEW = release(LOCAL)


def run(agreed: int, people: int = 2, **given: Any) -> World:
    return run_program(agreed=agreed, approval={"people": people}, **given)


@pytest.mark.parametrize(
    ("platform", "old", "new", "journal"),
    [(run_program, OLD, NEW, idle), (on_cluster.run_on_cluster, on_cluster.OLD, on_cluster.NEW, on_cluster.idle)],
    ids=["aws", "kubernetes"],
)
def test_a_release_that_waits_is_registered_and_goes_on_trial_when_enough_people_agree(
    platform: Callable[..., World], old: Release, new: Release, journal: Callable[..., RolloutState]
) -> None:
    world = platform(agreed=1, approval={"people": 2}, state=journal(old))
    assert f"release {new.id} waits for people: 1 of 2 have agreed" in world.warned
    assert 'approve --reason "..."' in world.warned
    assert world.package["recipe"] == new.recipe
    assert (world.rollout["start_trial"], world.rollout["desired_release"]["id"]) == (False, old.id)
    assert world.exported["awaits"] == {"release": new.id, "people": 2}
    world = platform(agreed=2, approval={"people": 2}, state=journal(old))
    assert (world.rollout["start_trial"], world.rollout["desired_release"]["id"]) == (True, new.id)
    assert world.exported["awaits"]["value"] is None
    assert "waits for people" not in world.told


def test_the_first_release_of_a_stack_makes_a_registry_and_no_endpoint() -> None:
    world = run(0)
    assert (world.all(":Endpoint"), world.all(":Rollout"), len(world.all(":Package"))) == ([], [], 1)
    assert world.exported["awaits"] == {"release": NEW.id, "people": 2}
    assert run(2).all(":Endpoint")


@pytest.mark.parametrize("state", [None, idle(OLD)], ids=["the first release", "a later one"])
def test_nobody_is_asked_about_a_release_that_is_refused(state: RolloutState | None) -> None:
    refused = "log_loss 0.7 is above 0.62"
    world, why = stopped(agreed=0, approval={"people": 2}, state=state, answers=Answers(refused=refused))
    assert why == refused
    assert "waits for people" not in world.told
    assert world.all(":Rollout") == []


@pytest.mark.slow
def test_a_trial_under_way_is_not_superseded_by_a_release_that_waits() -> None:
    other = release(LOCAL, "2" * 64)
    pair = LOCAL.pair_of(OLD.config_name, other.config_name)
    trial = idle(OLD, challenger=other, pair_config=pair, phase=Phase.BAKING)
    assert run(0, state=trial).rollout["start_trial"] is False
    assert run(2, state=trial).rollout["start_trial"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [
        idle(NEW),
        idle(OLD, challenger=NEW, pair_config=LOCAL.pair_of(OLD.config_name, NEW.config_name), phase=Phase.BAKING),
        idle(OLD, rejected={NEW.id: verdict(NEW)}),
    ],
    ids=["serves", "on trial", "rejected"],
)
def test_nobody_is_asked_about_what_serves_is_on_trial_or_was_rejected(state: RolloutState) -> None:
    assert "waits for people" not in run(0, state=state).told
    assert "waits for people" not in run(0, people=0, state=idle(OLD)).told


def test_the_first_release_of_a_stack_on_a_cluster_makes_a_package_and_nothing_that_serves() -> None:
    world = on_cluster.run_on_cluster(agreed=0, approval={"people": 1})
    assert (len(world.all(":Package")), world.all(":Rollout"), world.all(":Deployment")) == (1, [], [])
    assert world.exported["awaits"] == {"release": on_cluster.release().id, "people": 1}
    assert world.exported["namespace"] == "models"
