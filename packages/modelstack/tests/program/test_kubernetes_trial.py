"""What an update declares while a release serves and another is tried, rejected, or moved to other pods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.program.providers.kubernetes_trial import KubernetesRolloutProvider
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.program.on_cluster import NAMES, NEW, OLD, OnCluster, configs, idle, manifests, release, run_on_cluster
from tests.program.recorded import World


@pytest.fixture(scope="module")
def trial() -> World:
    return run_on_cluster(state=idle(OLD))


def test_a_trial_keeps_what_serves_and_adds_the_challenger_and_a_pair(trial: World) -> None:
    declared = manifests(trial)
    pair = NAMES.pair_of(OLD.config_name, NEW.config_name)
    assert configs(trial)[pair] == ServingConfig(
        pair, Backend(OLD.variant, OLD.config_name), Backend(NEW.variant, NEW.config_name)
    )
    for kind in ("Deployment", "Service"):
        assert {(kind, OLD.config_name), (kind, NEW.config_name)} <= declared.keys()
    assert trial.rollout["trial_config"] == pair
    assert trial.rollout["start_trial"] is True


def test_a_shadow_trial_has_a_config_that_copies() -> None:
    shadow = {"strategy": {"kind": "shadow", "percent": 20, "bake_seconds": 30}, "replay": None}
    world = run_on_cluster(state=idle(OLD), rollout=shadow)
    name = NAMES.pair_of(OLD.config_name, NEW.config_name, 20)
    assert configs(world)[name].copied == 20
    assert world.rollout["shadow_config"] == name


def test_what_is_live_keeps_the_shape_that_it_was_released_with() -> None:
    """A change of the config makes new pods for the next release; a restart of what serves would be no update."""
    old = replace(OLD, serving={"cpu": "2", "memory": "1Gi", "instance_count": 3, "capture_percent": 0})
    world = run_on_cluster(state=idle(old), serving={"cpu": "250m"})
    spec = manifests(world)["Deployment", old.config_name]["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}
    assert {item.name: item.ignores for item in world.all(":Deployment")}[
        f"deployment-{NAMES.short(old.config_name)}"
    ] == ["spec", "metadata", "data", "rules", "roleRef", "subjects"], "nothing live is changed under its name"


def test_nothing_of_what_never_changes_is_sent_again(trial: World) -> None:
    """A field that is ignored is sent all the same when another one changes, and takes it from who scales."""
    kept = [item for item in trial.resources if item.type.startswith("kubernetes:") and item.ignores]
    kinds = {"Deployment", "Service", "PodDisruptionBudget", "ConfigMap", "Role", "RoleBinding"}
    assert {item.inputs["kind"] for item in kept} == kinds
    for item in kept:
        assert {*item.inputs} - {"apiVersion", "kind", "immutable"} <= {*item.ignores}, item.name


def test_nothing_that_serves_is_on_trial_or_may_come_back_is_left_out() -> None:
    previous = release("2" * 64, package_digest=f"sha256:{'2' * 64}")
    pair = NAMES.pair_of(OLD.config_name, NEW.config_name)
    plan = Plan((Step(10, 30),))
    state = idle(
        OLD,
        challenger=NEW,
        previous=previous,
        pair_config=pair,
        plan=plan,
        phase=Phase.BAKING,
        rollout_id="000002",
        step=0,
    )
    world = run_on_cluster(state=state, rollout={"wait": False})
    kept = {name for kind, name in manifests(world) if kind == "Deployment"} - {CONTROLLER}
    assert kept == {OLD.config_name, NEW.config_name, previous.config_name}
    assert {*state.configs()} <= configs(world).keys()


def test_a_rejected_release_is_not_tried_again_and_the_champion_stays() -> None:
    why = Reason("alarm", "errors", "52% of 40 requests failed")
    rejected = {NEW.id: Verdict("rolled_back", why, "000002", NEW.id, NEW.recipe, NEW.package_digest, 0.0)}
    world = run_on_cluster(state=idle(OLD, rejected=rejected))
    assert world.rollout["start_trial"] is False
    assert "is not tried again" in world.warned
    for name, pods in ((OLD.config_name, 1), (NEW.config_name, 0)):
        assert manifests(world)["Deployment", name]["spec"]["replicas"] == pods, "it has pods when a rollout wants it"


def test_a_refused_package_changes_nothing_else() -> None:
    world = run_on_cluster(answers=OnCluster(refused="log_loss 0.7 is above 0.62"))
    assert str(world.stopped) == "log_loss 0.7 is above 0.62"
    assert {kind for kind, _ in manifests(world)} <= {"CustomResourceDefinition"}


def test_a_champion_that_moves_to_other_pods_is_watched_on_both() -> None:
    world = run_on_cluster(state=idle(OLD), recipe="1" * 64, serving={"cpu": "250m"}, rollout={"wait": False})
    moved = world.rollout["desired_release"]["config_name"]
    assert moved != OLD.config_name
    (text,) = manifests(world)["ConfigMap", f"{NAMES.prefix}-rules"]["data"].values()
    assert OLD.config_name in text
    assert moved in text


def test_a_champion_moves_to_other_pods_in_the_steps_of_the_config_under_its_own_alarms() -> None:
    steps = {"kind": "linear", "percent": 25, "bake_seconds": 10}
    own = {"serving": {"cpu": "250m"}, "rollout": {"wait": False, "infrastructure": steps}}
    world = run_on_cluster(state=idle(OLD), recipe="1" * 64, **own)
    guard = world.rollout["plan"]["guard"]
    assert (guard["kind"], guard["percent"], guard["bake_seconds"]) == ("linear", 25, 10)
    assert guard["alarms"] == [f"{NAMES.prefix}-{OLD.variant}-{measure}" for measure in ("5xx", "p99")]
    (text,) = manifests(world)["ConfigMap", f"{NAMES.prefix}-rules"]["data"].values()
    assert all(f"alert: {name}\n" in text for name in guard["alarms"])
    assert run_on_cluster(state=idle(OLD)).rollout["plan"]["guard"] is None, "another model is tried"


# --- a deleted Rollout


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The inputs of a rollout whose Rollout was deleted while it served."""
    api, name = FakeApi(), NAMES.prefix
    monkeypatch.setattr(Api, "of", lambda context, namespace: api.as_api)
    api.create(ROLLOUT, {"metadata": {"name": name}})
    journal = copied_journal(api.as_api, name)
    journal.write(replace(journal.read(), phase=Phase.IDLE, champion=OLD))
    api.delete(ROLLOUT, name)
    urn = "urn:pulumi:prod::modelstack::type::rollout"
    return {"endpoint": name, "context": "", "namespace": api.namespace, "urn": urn, "start_trial": False}


def test_an_update_without_a_refresh_says_how_a_deleted_rollout_is_made_again(deleted: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match=r"does not exist .* keeps serving.*: pulumi up --stack prod --refresh$"):
        KubernetesRolloutProvider().update("", {}, deleted)


def test_a_refresh_of_a_deleted_rollout_finds_its_champion_in_the_copy(deleted: dict[str, Any]) -> None:
    read = KubernetesRolloutProvider().read("", deleted)
    assert (read.outs or {})["champion"] == OLD.package_digest


def test_an_update_is_due_while_the_rollout_is_gone_and_not_before() -> None:
    seen = {"champion": OLD.package_digest, "challenger": "", "revision": 1}
    props = {
        "endpoint": "e",
        "context": "",
        "namespace": "models",
        "desired_release": {},
        "wait": True,
        "start_trial": False,
    }
    stored = {**props, "live_state": seen, "outcome": "promoted", "champion": OLD.package_digest, "challenger": ""}
    for gone in (False, True):
        news = {**props, "live_state": {**seen, **({"gone": True} if gone else {})}}
        assert KubernetesRolloutProvider().diff("", stored, news).changes is gone
