"""The controller of a namespace, as the program declares it: what it may do, and what it is told."""

from __future__ import annotations

from typing import Any, cast

import pytest

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.program.config import checkout
from modelstack.program.kubernetes.cluster_now import neighbours
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.program.on_cluster import CONTROLLER_IMAGE, NAMES, NEW, manifests, run_on_cluster
from tests.program.recorded import World


@pytest.fixture(scope="module")
def first() -> World:
    return run_on_cluster()


def test_a_controller_that_starts_slowly_is_not_killed_for_it(first: World) -> None:
    (container,) = manifests(first)["Deployment", CONTROLLER]["spec"]["template"]["spec"]["containers"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
    assert all(container[f"{kind}Probe"]["timeoutSeconds"] >= 5 for kind in ("startup", "readiness", "liveness"))


def test_the_controller_may_write_journals_of_its_namespace_and_of_routes_and_secrets_what_is_its_stacks(
    first: World,
) -> None:
    declared = manifests(first)
    rules = declared["Role", CONTROLLER]["rules"]
    writes = {"create", "update", "patch", "delete", "deletecollection"}
    written = {
        (name, *rule.get("resourceNames", ()))
        for rule in rules
        for name in rule["resources"]
        if writes & {*rule["verbs"]}
    }
    status = {("rollouts/status",), ("modelpackages/status",)}
    assert written == {*status, ("events",), ("leases",), ("leases", CONTROLLER)}
    assert [one["verbs"] for one in rules if one["resources"] == ["leases"]] == [["create"], ["get", "patch"]]
    assert not any("secrets" in rule["resources"] or "*" in rule["resources"] + rule["verbs"] for rule in rules)
    key, copy, route = declared["Role", f"{NAMES.prefix}-key"]["rules"]
    assert (copy["resources"], copy["resourceNames"]) == (["configmaps"], [f"{NAMES.prefix}-journal"])
    assert ("ConfigMap", f"{NAMES.prefix}-journal") in declared
    own = [f"{NAMES.prefix}-audit", f"{NAMES.prefix}-token"]
    assert (key["resourceNames"], key["verbs"]) == (own, ["get"]), "of each stack, its own"
    assert (route["resources"], route["resourceNames"], route["verbs"]) == (["httproutes"], [NAMES.prefix], ["patch"])
    scaled = declared["Role", NEW.config_name]["rules"]
    assert {(*one["resources"], *one["resourceNames"], *one["verbs"]) for one in scaled} == {
        (kind, NEW.config_name, "patch") for kind in ("deployments/scale", "horizontalpodautoscalers")
    }
    for name in (f"{NAMES.prefix}-key", NEW.config_name):
        bound = declared["RoleBinding", name]
        assert bound["roleRef"]["name"] == name
        assert [(one["kind"], one["name"]) for one in bound["subjects"]] == [("ServiceAccount", CONTROLLER)]
    assert not any(kind.startswith("Cluster") for kind, _ in declared), "it has no rights beyond its namespace"


def test_the_controller_stays_where_it_drives_other_stacks_too(first: World) -> None:
    def kept(world: World) -> dict[str, bool]:
        found = [item for item in world.resources if item.type.startswith("kubernetes:")]
        ours = [item for item in found if item.inputs["metadata"]["name"] == CONTROLLER]
        other = [item for item in found if item.type.endswith(":Rollout")]
        return {item.inputs["kind"]: item.retained for item in (*ours, *other)}

    kinds = ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding", "Rollout"]
    kinds += ["Service", "ServiceAccount"]
    assert kept(first) == dict.fromkeys(kinds, False)
    assert kept(run_on_cluster(beside=("another-prod",))) == dict.fromkeys(kinds, True) | {"Rollout": False}


def test_another_stack_may_take_the_controller_over(first: World) -> None:
    ours = [item["metadata"] for (_, name), item in manifests(first).items() if name == CONTROLLER]
    assert {item["annotations"].get("pulumi.com/patchForce") for item in ours} == {"true"}


def test_stacks_beside_this_one_are_found_by_their_rollouts() -> None:
    api = cast(Api, FakeApi())
    assert neighbours(api, NAMES) == ()
    for name in (NAMES.prefix, "flight-delay-prod", "another-prod"):
        api.create(ROLLOUT, {"metadata": {"name": name}})
    assert neighbours(api, NAMES) == ("another-prod", "flight-delay-prod")


def test_a_cluster_that_does_not_know_rollouts_yet_has_none() -> None:
    class New(FakeApi):
        def list(self, *_: Any) -> Any:
            raise NotFound("the server could not find the requested resource")

    assert neighbours(cast(Api, New()), NAMES) == ()


def test_the_controller_runs_by_digest_with_the_databases_url_from_a_secret(first: World) -> None:
    (container,) = manifests(first)["Deployment", CONTROLLER]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == CONTROLLER_IMAGE
    variables = {item["name"]: item for item in container["env"]}
    assert variables["DATABASE_URL"]["valueFrom"] == {"secretKeyRef": {"name": "database", "key": "url"}}


def test_what_is_measured_and_how_long_it_is_kept_reaches_the_controller() -> None:
    monitoring = {
        "drift_minutes": 5,
        "drift_false_alarms": 0.2,
        "labels_minutes": 7,
        "labels_days": 3.5,
        "max_loss_rise": 0.3,
        "concept_false_alarms": 0.02,
        "segments": ["carrier"],
    }
    world = run_on_cluster(monitoring=monitoring, retention={"requests_days": 9}, slo={"probe_minutes": 4})
    spec = manifests(world)["Rollout", NAMES.prefix]["spec"]
    told = {"requests_days": 9, "probe_minutes": 4} | {**monitoring, "segments": ("carrier",)}
    told |= {"custom": checkout.custom().digest}
    assert vars(RolloutSpec.from_dict(spec).measuring) == told
