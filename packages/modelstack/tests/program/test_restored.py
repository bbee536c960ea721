"""What the program declares while a release of before is restored, each promise with its reason, without an engine."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from modelstack.program.providers.package import PackageProvider
from modelstack.rollout.core.release import Release, release_id
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from modelstack.services.guardrails import guardrail
from tests.program import on_cluster
from tests.program.recorded import DIGEST, IMAGE, LOCAL, OLD, SIGNED_BY, SOURCE, Answers, World, idle, release, verdict
from tests.program.recorded import run_program as run

THEN = {"instance_type": "ml.m5.xlarge", "instance_count": 2, "capture_percent": 7}
WHY = Reason("person", "ada", "it sold more", kind=Kind.RESTORED)


def restored(of: Release, **changes: Any) -> Restored:
    facts = {
        "release": of.id,
        "recipe": of.recipe,
        "package_digest": of.package_digest,
        "archive_uri": of.archive_uri,
        "image_uri": of.image_uri,
        "serving": THEN,
    }
    return Restored(**{**facts, "reason": WHY, "at": 1e9, "served": 0.9e9, **changes})


PAST = release(LOCAL, "3" * 64, package_digest=f"sha256:{'3' * 64}")


def updated(champion: Release = OLD, of: Release = PAST, name: str = "local", **given: Any) -> World:
    return run(name, state=idle(champion, restored=restored(of)), **given)


def test_the_restored_package_is_taken_from_the_stacks_own_registry_and_nothing_is_trained() -> None:
    taken = updated().package
    assert taken["recipe"] == PAST.recipe, "not that of the checkout"
    assert taken["candidate"] == {
        "recipe": PAST.recipe,
        "package_digest": PAST.package_digest,
        "archive_uri": PAST.archive_uri,
        "restored": True,
    }
    assert "source" not in taken


def test_it_goes_on_trial_beside_the_champion_as_any_release() -> None:
    world = updated()
    assert world.rollout["start_trial"] is True
    assert world.rollout["desired_release"]["id"] == PAST.id
    assert world.rollout["baseline_config"] == OLD.config_name
    assert world.rollout["trial_config"] == LOCAL.pair_of(
        OLD.config_name, world.rollout["desired_release"]["config_name"], None
    )


def test_it_is_served_with_what_it_was_served_with_then_whatever_the_config_has() -> None:
    world = updated(serving={"instance_count": 1, "capture_percent": 100})
    target = world.rollout["desired_release"]
    assert target["serving"] == THEN
    assert target["instances"] == "2 x ml.m5.xlarge"
    config = world.config(target["config_name"])
    (variant,) = config["productionVariants"]
    assert (variant["instanceType"], variant["initialInstanceCount"]) == ("ml.m5.xlarge", 2)
    assert config["dataCaptureConfig"]["initialSamplingPercentage"] == 7
    pair = world.config(world.rollout["trial_config"])
    assert pair["dataCaptureConfig"]["initialSamplingPercentage"] == 7


@pytest.mark.parametrize(
    ("serving", "why"),
    [({"instance_count": 0}, "instance_count"), ({"accelerator": "ml.eia2.medium"}, "accelerator")],
    ids=["a value", "a field of another version"],
)
def test_what_it_was_served_with_is_checked_as_the_config_is(serving: dict[str, Any], why: str) -> None:
    said = f"release {PAST.id} is restored, and was served with what is not allowed now: .*{why}.*restore --clear"
    with pytest.raises(pulumi.RunError, match=said):
        run(state=idle(OLD, restored=restored(PAST, serving=serving)))


def test_it_is_served_by_the_image_of_then_whatever_the_config_names() -> None:
    target = updated(serving={"image": IMAGE}).rollout["desired_release"]
    assert PAST.image_uri != IMAGE
    assert (target["id"], target["image_uri"]) == (PAST.id, PAST.image_uri)


@pytest.mark.slow
def test_one_of_which_that_was_not_kept_is_served_with_what_the_config_has() -> None:
    world = run(state=idle(OLD, restored=restored(PAST, serving={})))
    assert world.rollout["desired_release"]["serving"] == {
        "instance_type": "ml.m5.large",
        "instance_count": 1,
        "capture_percent": 100,
    }


@pytest.mark.slow
def test_every_update_says_what_is_restored_by_whom_and_how_that_is_lifted() -> None:
    said = updated().warned
    assert f"release {PAST.id} is restored" in said
    assert "asked for by ada: it sold more" in said
    assert "on 2001-09-09T01:46:40" in said
    assert 'modelstack restore --clear --reason "..."' in said
    assert "is restored" not in run(state=idle(OLD)).told


def test_instances_that_are_those_of_then_are_told_without_advice_that_does_not_help() -> None:
    said = updated().warned
    assert "the trial compares unequal instances" in said
    assert "They are those that it was served with then" in said
    assert "set modelstack:serving back" not in said, "it does not count"


def test_the_update_after_it_was_promoted_changes_nothing() -> None:
    facts = {"package_digest": PAST.package_digest, "archive_uri": PAST.archive_uri, "serving": THEN}
    serves = Release.from_dict({**updated().rollout["desired_release"], **facts})
    world = updated(champion=serves)
    assert world.rollout["start_trial"] is False, "the checkout's own recipe does not take over again"
    assert world.rollout["desired_release"]["config_name"] == serves.config_name
    assert "is restored" in world.warned


def test_when_it_is_rolled_back_again_the_champion_stays_as_it_is_and_the_checkout_takes_no_turn() -> None:
    world = run(state=idle(OLD, restored=restored(PAST), rejected={PAST.id: verdict(PAST)}))
    assert world.rollout["start_trial"] is False
    assert world.rollout["desired_release"]["config_name"] == OLD.config_name, "not moved to the instances of then"
    assert f"release {PAST.id} was rolled back and is not tried again" in world.warned
    assert "is restored" in world.warned


def test_a_stack_that_takes_from_another_does_not_while_a_release_is_restored() -> None:
    source = {**SOURCE, "release": release(LOCAL, "2" * 64).as_dict()}
    world = updated(name="local-staging", answers=Answers(source=source))
    assert "source" not in world.package
    assert world.package["recipe"] == PAST.recipe


def test_what_is_restored_is_never_built_from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelstack.services import package_registry
    from modelstack.services.sealed_packages import Unsigned

    def unsigned(*_: object) -> None:
        raise Unsigned("it is not signed")

    monkeypatch.setattr(package_registry, "take", unsigned)
    monkeypatch.setattr(PackageProvider, "_built", lambda *_: pytest.fail("built"))
    registry = SimpleNamespace(signer=SimpleNamespace(public_key=SIGNED_BY.encode()))
    monkeypatch.setattr(PackageProvider, "registry", lambda *_: registry)
    candidate = {"recipe": "r", "package_digest": DIGEST, "archive_uri": "s3://bucket/key", "restored": True}
    props = {"recipe": "r", "candidate": candidate, "gates": {}, "urn": "urn:pulumi:local::p::t::n"}
    told = PackageProvider().outcome(props)
    assert told["refused"].startswith("it is not signed. `modelstack restore --at ")
    assert "restore --clear" in told["refused"]


ON_PODS = {"cpu": "2", "memory": "1Gi", "instance_count": 3, "capture_percent": 7}


def test_a_release_that_is_restored_on_a_cluster_counts_in_place_of_checkout_config_and_source() -> None:
    old = on_cluster.release("1" * 64)
    past = on_cluster.release("3" * 64, image_uri=f"10.99.0.1:5000/modelstack/serving@sha256:{'a' * 64}")
    past = replace(past, id=release_id(past.recipe, past.image_uri))
    state = on_cluster.idle(old, restored=restored(past, serving=ON_PODS))
    world = on_cluster.run_on_cluster(state=state, promotion={"from": "local-other"})
    assert world.stopped is None
    assert world.package["recipe"] == past.recipe
    assert world.package["image_uri"] == past.image_uri
    assert world.package["candidate"] == {
        "recipe": past.recipe,
        "package_digest": past.package_digest,
        "archive_uri": past.archive_uri,
        "restored": True,
    }
    assert "source" not in world.package
    target = world.rollout["desired_release"]
    assert (world.rollout["start_trial"], target["id"], target["serving"]) == (True, past.id, ON_PODS)
    pod = on_cluster.manifests(world)["Deployment", target["config_name"]]["spec"]
    assert pod["replicas"] == 3
    assert "is restored, in place of what checkout and config ask for: asked for by ada: it sold more" in world.told


def test_a_restored_champion_on_a_cluster_moves_in_as_many_batches_as_it_had_pods_then() -> None:
    serves = on_cluster.release("3" * 64)
    state = on_cluster.idle(serves, restored=restored(serves, serving=ON_PODS))
    rolling = {"kind": "rolling", "percent": 20, "bake_seconds": 60}
    asked = {"serving": {"instance_count": 2}, "rollout": {"wait": False, "infrastructure": rolling}}
    world = on_cluster.run_on_cluster(state=state, **asked)
    assert world.rollout["desired_release"]["instances"].startswith("3 x ")
    guard = world.rollout["plan"]["guard"]
    assert guard["max_seconds"] == guardrail(**rolling, instances=3).max_seconds
