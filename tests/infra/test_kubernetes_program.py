"""What the program declares on a cluster, each promise with its reason. Nothing here needs a cluster or an engine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pulumi
import pytest
import yaml

from infra.config.settings import Settings
from infra.kubernetes.cluster_now import neighbours
from infra.kubernetes.outputs import NAMES as OUTPUTS
from infra.kubernetes.program import measuring
from infra.kubernetes.rules import groups
from infra.kubernetes.workloads import wanted_release
from infra.plan.releases import plan_serving
from platforms.kubernetes.alertmanager import Receiver, alertmanager_config, config
from platforms.kubernetes.answers import NotFound
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import ROLLOUT
from platforms.kubernetes.names import CONFIG, CONTENT, CONTROLLER, ENDPOINT, VARIANT
from platforms.kubernetes.serving_config import Backend, ServingConfig
from platforms.kubernetes.spec import RolloutSpec
from rollout.core.plan import Plan, Step
from rollout.core.state import Phase, RolloutState
from rollout.core.verdict import Verdict
from rollout.reason import Reason
from tests.infra.on_cluster import (
    CONTROLLER_IMAGE,
    FACTS,
    IMAGE,
    NAMES,
    STACK,
    OnCluster,
    idle,
    manifests,
    release,
    run_on_cluster,
)
from tests.infra.recorded import DIGEST, RECIPE, World, stack_config
from tests.platforms.kubernetes.fake_api import FakeApi

OLD = release("1" * 64, package_digest=f"sha256:{'1' * 64}", manifest_sha256="9" * 64)
NEW = release()


@pytest.fixture(scope="module")
def first() -> World:
    return run_on_cluster()


@pytest.fixture(scope="module")
def trial() -> World:
    return run_on_cluster(state=idle(OLD))


def pods(world: World) -> list[dict[str, Any]]:
    return [item["spec"]["template"]["spec"] for (kind, _), item in manifests(world).items() if kind == "Deployment"]


def configs(world: World) -> dict[str, ServingConfig]:
    found = [item for (kind, _), item in manifests(world).items() if kind == "ConfigMap" and CONTENT in item["data"]]
    return {item["metadata"]["name"]: ServingConfig.from_json(item["data"][CONTENT]) for item in found}


def test_a_first_release_has_a_workload_and_a_config_of_one_name(first: World) -> None:
    assert first.stopped is None
    declared = manifests(first)
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "ConfigMap"):
        assert (kind, NEW.config_name) in declared, kind
    assert configs(first) == {NEW.config_name: ServingConfig(NEW.config_name, Backend(NEW.variant, NEW.config_name))}
    assert declared["ConfigMap", NEW.config_name]["immutable"] is True, "what a name stands for never changes"


def test_every_pod_keeps_the_restricted_level_and_a_read_only_root(trial: World) -> None:
    """Source: Pod Security Standards, level Restricted."""
    for pod in pods(trial):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"], "one model that grows must not take the node with it"
            assert "@sha256:" in container["image"], "a tag may be another image tomorrow"


def test_pods_of_models_have_no_token_of_a_service_account_and_the_controller_has_its_own(first: World) -> None:
    declared = manifests(first)
    model = declared["Deployment", NEW.config_name]["spec"]["template"]["spec"]
    assert model["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in model
    controller = declared["Deployment", CONTROLLER]["spec"]["template"]["spec"]
    assert controller["serviceAccountName"] == CONTROLLER


def test_a_controller_that_starts_slowly_is_not_killed_for_it(first: World) -> None:
    (container,) = manifests(first)["Deployment", CONTROLLER]["spec"]["template"]["spec"]["containers"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
    assert all(container[f"{kind}Probe"]["timeoutSeconds"] >= 5 for kind in ("startup", "readiness", "liveness"))


def test_the_archive_is_fetched_by_digest_and_verified_before_the_model_runs(first: World) -> None:
    pod = manifests(first)["Deployment", NEW.config_name]["spec"]["template"]["spec"]
    (fetch,), (model,) = pod["initContainers"], pod["containers"]
    variables = {item["name"]: item["value"] for item in fetch["env"]}
    assert fetch["args"] == ["fetch"]
    assert variables["MODELSTACK_ARCHIVE"] == FACTS["archive_uri"]
    assert variables["MODELSTACK_ARCHIVE"].endswith(DIGEST)
    assert variables["MODELSTACK_MANIFEST_SHA256"] == FACTS["manifest_sha256"]
    (mount,) = (item for item in model["volumeMounts"] if item["name"] == "package")
    assert mount["readOnly"] is True, "what was verified cannot be changed by what runs"
    assert fetch["image"] == model["image"] == IMAGE


def test_a_package_in_a_bucket_is_fetched_with_the_keys_of_a_secret_and_the_controller_reads_it_too() -> None:
    bucket = {"name": "packages", "endpoint": "http://minio.storage:9000", "secret": "bucket-keys"}
    world = run_on_cluster(kubernetes={"bucket": bucket})
    declared = manifests(world)
    (fetch,) = declared["Deployment", NEW.config_name]["spec"]["template"]["spec"]["initContainers"]
    (controller,) = declared["Deployment", CONTROLLER]["spec"]["template"]["spec"]["containers"]
    for container in (fetch, controller):
        variables = {item["name"]: item.get("value") for item in container["env"]}
        assert variables["AWS_ENDPOINT_URL_S3"] == "http://minio.storage:9000"
        assert container["envFrom"] == [{"secretRef": {"name": "bucket-keys"}}]
    assert {item["name"]: item["value"] for item in fetch["env"]}["MODELSTACK_ARCHIVE_SHA256"] == DIGEST[7:]
    policy = declared["NetworkPolicy", f"{NAMES.prefix}-models"]
    assert {"ports": [{"port": 9000}]} in policy["spec"]["egress"]
    assert world.package["bucket"] == {"region": "us-east-1", **bucket}


def test_images_and_packages_of_a_private_registry_are_pulled_by_one_secret_and_the_controller_reads_packages_too(
    first: World,
) -> None:
    """A look at captures, and a probe, begin with a member of the package: without the login that is a 401 for ever."""
    declared = manifests(run_on_cluster(kubernetes={"pull_secret": "registry-login"}))
    for name in (NEW.config_name, CONTROLLER):
        pod = declared["Deployment", name]["spec"]["template"]["spec"]
        assert pod["imagePullSecrets"] == [{"name": "registry-login"}]
        (reads,) = pod.get("initContainers", pod["containers"])
        folder = {item["name"]: item.get("value") for item in reads["env"]}["DOCKER_CONFIG"]
        (mount,) = (item for item in reads["volumeMounts"] if item["mountPath"] == folder)
        assert mount["readOnly"] is True
        (volume,) = (item for item in pod["volumes"] if item["name"] == mount["name"])
        assert volume["secret"]["secretName"] == "registry-login"
        assert volume["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    model = declared["Deployment", NEW.config_name]["spec"]["template"]["spec"]["containers"][0]
    assert "registry-login" not in json.dumps(model)
    assert "DOCKER_CONFIG" not in {item["name"] for item in model["env"]}, "who only answers needs no login"
    for pod in pods(first):
        assert "imagePullSecrets" not in pod
        assert "registry" not in {item["name"] for item in pod["volumes"]}


def test_a_pod_goes_without_losing_a_request(first: World) -> None:
    spec = manifests(first)["Deployment", NEW.config_name]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = spec["template"]["spec"]
    wait = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 5 <= wait < pod["terminationGracePeriodSeconds"], (
        "every proxy learns first that it goes, and it drains after"
    )


def test_a_node_drains_one_pod_at_a_time_and_is_not_held_up_by_one_that_crashes(first: World) -> None:
    """By default a pod that is not ready is not evicted while too few others are: a drain would wait for ever."""
    for name in (NEW.config_name, CONTROLLER):
        declared = manifests(first)
        budget = declared["PodDisruptionBudget", name]["spec"]
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        selected = budget["selector"]["matchLabels"].items()
        assert selected <= declared["Deployment", name]["spec"]["template"]["metadata"]["labels"].items()


def test_the_route_has_no_rules_and_no_mark_of_the_controller(first: World) -> None:
    """Server-side apply owns what is sent: with rules here, each update would set the weights back."""
    route = manifests(first)["HTTPRoute", NAMES.prefix]
    assert "rules" not in route["spec"]
    assert CONFIG not in route["metadata"]["annotations"]


def test_a_request_that_no_pod_has_got_is_sent_to_another_one_and_no_other_request_is(first: World) -> None:
    sent = manifests(first)["BackendTrafficPolicy", NAMES.prefix]["spec"]
    assert [(item["kind"], item["name"]) for item in sent.pop("targetRefs")] == [("HTTPRoute", NAMES.prefix)]
    assert sent.pop("retry")["retryOn"] == {"triggers": ["connect-failure", "refused-stream"]}
    assert sent == {"mergeType": "StrategicMerge"}, "anything else takes the route's backends out of the merged ones"


def test_the_journal_is_the_controllers_and_no_update_touches_it(first: World) -> None:
    rollout = manifests(first)["Rollout", NAMES.prefix]
    assert "status" not in rollout
    assert rollout["spec"]["stack"] == STACK


def test_a_trial_keeps_what_serves_and_adds_the_challenger_and_a_pair(trial: World) -> None:
    declared = manifests(trial)
    pair = NAMES.pair_of(OLD.config_name, NEW.config_name)
    assert configs(trial)[pair] == ServingConfig(
        pair, Backend(OLD.variant, OLD.config_name), Backend(NEW.variant, NEW.config_name)
    )
    for kind in ("Deployment", "Service"):
        assert {(kind, OLD.config_name), (kind, NEW.config_name)} <= declared.keys()
    assert trial.rollout["pair_config"] == pair
    assert trial.rollout["acts"] is True


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
    ] == ["spec", "metadata", "data"], "nothing live is changed under its name"


def test_nothing_of_what_never_changes_is_sent_again(trial: World) -> None:
    """A field that is ignored is sent all the same when another one changes, and takes it from who scales."""
    kept = [item for item in trial.resources if item.type.startswith("kubernetes:") and item.ignores]
    assert {item.inputs["kind"] for item in kept} == {"Deployment", "Service", "PodDisruptionBudget", "ConfigMap"}
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
    assert world.rollout["acts"] is False
    assert "is not tried again" in world.warned


def test_an_update_that_was_rolled_back_fails_and_says_why() -> None:
    world = run_on_cluster(state=idle(OLD), answers=OnCluster(outcome="rolled_back", why="errors: 3% against 0.1%"))
    assert world.stopped is not None
    assert "rolled back: errors: 3% against 0.1%" in str(world.stopped)


def test_a_refused_package_changes_nothing_else() -> None:
    world = run_on_cluster(answers=OnCluster(refused="log_loss 0.7 is above 0.62"))
    assert str(world.stopped) == "log_loss 0.7 is above 0.62"
    assert {kind for kind, _ in manifests(world)} <= {"CustomResourceDefinition"}


def test_every_object_of_a_stack_says_whose_it_is(first: World) -> None:
    shared = {CONTROLLER}
    for (kind, name), item in manifests(first).items():
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "modelstack"
        if kind != "CustomResourceDefinition":
            assert item["metadata"]["namespace"] == "models"
            assert (ENDPOINT in labels) is (name not in shared)
    assert manifests(first)["Deployment", NEW.config_name]["metadata"]["labels"][VARIANT] == NEW.variant


def test_two_models_in_one_namespace_share_no_object_but_the_controllers() -> None:
    ours, theirs = (
        manifests(run_on_cluster(model={"name": name}, kubernetes={"definitions": False})) for name in ("a", "b")
    )
    assert {name for _, name in ours.keys() & theirs.keys()} == {CONTROLLER}


def test_the_controller_may_write_journals_of_its_namespace_and_of_routes_and_secrets_what_is_its_stacks(
    first: World,
) -> None:
    declared = manifests(first)
    rules = declared["Role", CONTROLLER]["rules"]
    writes = {"create", "update", "patch", "delete", "deletecollection"}
    written = {name for rule in rules for name in rule["resources"] if writes & {*rule["verbs"]}}
    assert written == {
        *("rollouts/status", "modelpackages/status", "horizontalpodautoscalers", "events", "leases"),
    }
    assert not any("secrets" in rule["resources"] or "*" in rule["resources"] + rule["verbs"] for rule in rules)
    key, route = declared["Role", f"{NAMES.prefix}-key"]["rules"]
    own = [f"{NAMES.prefix}-signing", f"{NAMES.prefix}-token"]
    assert (key["resourceNames"], key["verbs"]) == (own, ["get"]), "of each stack, its own"
    assert (route["resources"], route["resourceNames"], route["verbs"]) == (["httproutes"], [NAMES.prefix], ["patch"])
    bound = declared["RoleBinding", f"{NAMES.prefix}-key"]
    assert bound["roleRef"]["name"] == f"{NAMES.prefix}-key"
    assert [(one["kind"], one["name"]) for one in bound["subjects"]] == [("ServiceAccount", CONTROLLER)]
    assert not any(kind.startswith("Cluster") for kind, _ in declared), "it has no rights beyond its namespace"


def test_groups_that_are_named_may_take_the_champion_and_others_may_not(first: World) -> None:
    world = run_on_cluster(promotion={"to": ["deployers-prod"]})
    name = f"{NAMES.prefix}-promotion"
    binding = manifests(world)["RoleBinding", name]
    assert binding["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "deployers-prod"}]
    assert {verb for rule in manifests(world)["Role", name]["rules"] for verb in rule["verbs"]} == {"get"}
    assert ("Role", name) not in manifests(first)


def test_a_stack_beside_another_declares_no_controller() -> None:
    assert ("Deployment", CONTROLLER) not in manifests(run_on_cluster(kubernetes={"controller": False}))
    assert manifests(run_on_cluster())["Deployment", CONTROLLER]["spec"]["replicas"] == 2


def test_the_controller_stays_where_it_drives_other_stacks_too(first: World) -> None:
    def kept(world: World) -> dict[str, bool]:
        found = [item for item in world.resources if item.type.startswith("kubernetes:")]
        ours = [item for item in found if item.inputs["metadata"]["name"] == CONTROLLER]
        other = [item for item in found if item.type.endswith(":Rollout")]
        return {item.inputs["kind"]: item.retained for item in (*ours, *other)}

    kinds = ["Deployment", "PodDisruptionBudget", "Role", "RoleBinding", "Rollout", "Service", "ServiceAccount"]
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


def test_a_given_certificate_makes_the_gateway_speak_tls() -> None:
    gateway = {"class": "localcluster", "host": "flights.example", "tls_secret": "tls", "ca_config_map": "authority"}
    world = run_on_cluster(kubernetes={"gateway": gateway})
    (listener,) = manifests(world)["Gateway", NAMES.prefix]["spec"]["listeners"]
    assert (listener["protocol"], listener["port"]) == ("HTTPS", 443)
    assert listener["tls"]["certificateRefs"] == [{"name": "tls"}]
    spec = RolloutSpec.from_dict(manifests(world)["Rollout", NAMES.prefix]["spec"])
    for checked_by in ((spec.host, spec.ca_config_map), (world.exported["host"], world.exported["ca_config_map"])):
        assert checked_by == ("flights.example", "authority"), "the controller and people ask it by its name"


def test_a_gateway_that_is_there_is_used_and_not_declared() -> None:
    world = run_on_cluster(kubernetes={"gateway": {"name": "shared", "host": "models.example.org"}})
    assert not [name for kind, name in manifests(world) if kind == "Gateway"]
    spec = manifests(world)["HTTPRoute", NAMES.prefix]["spec"]
    assert spec == {"parentRefs": [{"name": "shared"}], "hostnames": ["models.example.org"]}


def test_pods_of_models_reach_the_registry_names_and_the_controller_and_nothing_else(first: World) -> None:
    spec = manifests(first)["NetworkPolicy", f"{NAMES.prefix}-models"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    ports = sorted(port["port"] for rule in spec["egress"] for port in rule["ports"])
    assert ports == [53, 53, 443, 5000, 8081], "blobs and tokens of a registry on 5000 may come from 443"


def test_a_pod_reaches_a_registry_behind_a_service_by_the_port_of_its_pods() -> None:
    """A NetworkPolicy is held against the pod's port, and the URL has that of the Service."""
    section = {"registry": "registry.tools.svc/models", "egress_ports": [5000, 443]}
    spec = manifests(run_on_cluster(kubernetes=section))["NetworkPolicy", f"{NAMES.prefix}-models"]["spec"]
    assert sorted(port["port"] for rule in spec["egress"] for port in rule["ports"]) == [53, 53, 443, 5000, 8081]


def test_the_definitions_of_our_resources_stay_when_the_stack_goes(first: World) -> None:
    names = {name for kind, name in manifests(first) if kind == "CustomResourceDefinition"}
    assert names == {"rollouts.modelstack.dev", "modelpackages.modelstack.dev"}
    assert all(item.retained for item in first.all(":CustomResourceDefinition"))
    sent = [item.inputs["metadata"]["annotations"] for item in first.all(":CustomResourceDefinition")]
    assert {item.get("pulumi.com/patchForce") for item in sent} == {"true"}, "another stack may declare them later"


def test_a_plan_does_not_depend_on_whose_kubeconfig_it_is_made_with(first: World) -> None:
    """Another address of the API server would else make every object anew, and changed rules would be deleted first."""
    (cluster,) = (item.inputs for item in first.all("pulumi:providers:kubernetes"))
    assert cluster["clusterIdentifier"] == "the namespace's"
    assert cluster["enableConfigMapMutable"] in {True, "true"}
    assert "kubeconfig" not in cluster


def test_outputs_say_where_things_are_and_what_serves(first: World) -> None:
    assert first.exported.keys() == {*OUTPUTS}
    assert first.exported["platform"] == "kubernetes"
    assert first.exported["champion"] == DIGEST


def test_a_champion_that_moves_to_other_pods_is_watched_on_both() -> None:
    world = run_on_cluster(state=idle(OLD), recipe="1" * 64, serving={"cpu": "250m"}, rollout={"wait": False})
    moved = world.rollout["target"]["config_name"]
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


def test_a_guarded_move_that_can_never_come_to_its_end_is_refused_as_on_aws() -> None:
    rolling = {"serving": {"instance_count": 1}, "rollout": {"infrastructure": {"kind": "rolling", "percent": 50}}}
    with pytest.raises(pulumi.RunError, match="a batch is one instance at least, which is 100% of 1"):
        Settings.load(stack_config(STACK, **rolling), STACK)


PHASES = [Phase.IDLE, Phase.PREPARING, Phase.BAKING, Phase.HELD, Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING]


@pytest.mark.parametrize("asks_for", ["the champion", "other pods", "the release on trial", "another release"])
@pytest.mark.parametrize("phase", [*PHASES, Phase.MOVING], ids=lambda phase: phase.value)
def test_nothing_live_is_ever_left_out(phase: Phase, asks_for: str) -> None:
    """Pulumi deletes what a program leaves out. The one exception is what an update replaces and has waited for."""
    previous = release("2" * 64, package_digest=f"sha256:{'2' * 64}")
    trial = phase not in {Phase.IDLE, Phase.RESTORING, Phase.MOVING}
    beside = {"challenger": NEW, "pair_config": NAMES.pair_of(OLD.config_name, NEW.config_name)} if trial else {}
    if phase is Phase.MOVING:
        beside = {"challenger": replace(OLD, config_name=f"{OLD.config_name}0", serving={"cpu": "2"})}
    state = idle(OLD, previous=previous, plan=Plan((Step(10, 30),)), phase=phase, rollout_id="000002", **beside)
    recipe = {"the champion": "1" * 64, "other pods": "1" * 64, "the release on trial": RECIPE}.get(asks_for, "4" * 64)
    serving = {"serving": {"cpu": "250m"}} if asks_for == "other pods" else {}
    world = run_on_cluster(state=state, recipe=recipe, **serving)
    declared = manifests(world)
    live = {item.config_name for item in state.releases()}
    gone = {name for name in live if not {("Deployment", name), ("Service", name)} <= declared.keys()}
    trial_ends = {previous.config_name} if asks_for.endswith("trial") or asks_for.startswith("another") else set()
    move_ends = {OLD.config_name} if (asks_for, phase) == ("other pods", Phase.IDLE) else set()
    assert gone <= (trial_ends | move_ends if phase is not Phase.RESTORING else set())
    assert {*state.configs()} - gone <= configs(world).keys()


@pytest.mark.parametrize("minutes", [5, None])
def test_an_alarm_waits_for_a_probe_where_one_runs_and_nowhere_else(minutes: int | None) -> None:
    settings = Settings.load(stack_config(STACK, slo={"probe_minutes": minutes}), STACK)
    assert measuring(settings).probe_minutes == (minutes or 0)
    wanted = wanted_release(NAMES, "1" * 64, IMAGE, settings.serving)
    plan = plan_serving(RolloutState(NAMES.prefix), wanted, NAMES.pair_of, resized=None, waits=True)
    text = json.dumps(groups(NAMES, plan, settings, settings.slo.objective(STACK)))
    assert f"{wanted.variant}-5xx" in text
    assert ("modelstack_probe" in text) is (minutes is not None)


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
    assert vars(RolloutSpec.from_dict(spec).measuring) == told


def test_grafana_finds_the_dashboard_by_its_usual_label_and_a_release_does_not_change_it(first: World) -> None:
    made = manifests(first)["ConfigMap", f"{NAMES.prefix}-dashboard"]
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = made["data"].values()
    assert json.loads(text)["title"] == f"models/{NAMES.prefix}"
    later = run_on_cluster(state=idle(OLD))
    assert manifests(later)["ConfigMap", f"{NAMES.prefix}-dashboard"]["data"] == made["data"]


def test_no_file_of_a_stack_has_the_name_of_one_from_another_namespace() -> None:
    """A sidecar writes the files of all ConfigMaps into one folder, each over what has its name there."""
    named = [
        {key for (_, name), item in manifests(run_on_cluster(kubernetes={"namespace": namespace})).items()
         if name.endswith(("-dashboard", "-rules", "-alerts")) for key in item["data"]}
        for namespace in ("models", "others")
    ]  # fmt: skip
    assert [len(names) for names in named] == [2, 2], "the file of rules and that of alerts go to two programs"
    assert not named[0] & named[1]


PEOPLE = {"page": {"email": ["oncall@example.org"]}, "labels": {"alerts": "yes"}}


def test_alerts_wake_the_controller_and_tell_people_by_a_file_of_alertmanager() -> None:
    made = manifests(run_on_cluster(kubernetes={"alerts": PEOPLE}))["ConfigMap", f"{NAMES.prefix}-alerts"]
    assert made["metadata"]["labels"]["alerts"] == "yes"
    (text,) = made["data"].values()
    assert yaml.safe_load(text) == config(NAMES.prefix, NAMES.namespace, page=Receiver(("oncall@example.org",)))


def test_where_there_is_an_operator_it_is_told_by_its_own_object() -> None:
    alerts = {"ticket": {"webhook_secret": "tickets"}}
    rules = {"kind": "prometheus_rule", "labels": {"release": "prometheus"}}
    found = manifests(run_on_cluster(kubernetes={"alerts": alerts, "rules": rules}))
    assert ("ConfigMap", f"{NAMES.prefix}-alerts") not in found
    made = found["AlertmanagerConfig", f"{NAMES.prefix}-alerts"]
    assert made["spec"] == alertmanager_config(NAMES.prefix, NAMES.namespace, ticket=Receiver(secret="tickets"))
    declared = found["PrometheusRule", f"{NAMES.prefix}-rules"]
    spec = declared["spec"]
    assert declared["metadata"]["labels"]["release"] == "prometheus", "by which a Prometheus selects its rules"
    (text,) = manifests(run_on_cluster())["ConfigMap", f"{NAMES.prefix}-rules"]["data"].values()
    assert spec == yaml.safe_load(text), "the same rules as in a file"
    alerts = [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]
    named = {rule["labels"].get("namespace") for rule in alerts}
    assert named == {"models"}, "an operator gives an AlertmanagerConfig the alerts of its own namespace"


NEEDED = [
    ({"registry": None}, "modelstack:kubernetes.registry is missing: a stack on a cluster needs it"),
    ({"prometheus": None}, "modelstack:kubernetes.prometheus is missing: a stack on a cluster needs it"),
    ({"gateway": {}}, "modelstack:kubernetes.gateway = {}: allowed is one of both"),
    (
        {"gateway": {"class": "a", "name": "b"}},
        'modelstack:kubernetes.gateway = {"class": "a", "name": "b"}: allowed is',
    ),
    (
        {"gateway": {"name": "b", "tls_secret": "c"}},
        'modelstack:kubernetes.gateway.tls_secret = "c": the certificate of',
    ),
    (
        {"gateway": {"class": "a", "tls_secret": "c"}},
        'modelstack:kubernetes.gateway.tls_secret = "c": a certificate is for a host, and',
    ),
    (
        {"alerts": {"page": {"webhook_secret": "pager"}}},
        'modelstack:kubernetes.alerts.page.webhook_secret = "pager": without the Prometheus operator',
    ),
    ({"alerts": {"page": {"email": ["oncall"]}}}, "a list of addresses such as oncall@example.org"),
    ({"database_secret": None}, "modelstack:serving.capture_percent = 100: kubernetes.database_secret is null"),
]


@pytest.mark.parametrize(("fields", "line"), NEEDED, ids=[str(fields) for fields, _ in NEEDED])
def test_what_a_stack_on_a_cluster_needs_is_told_before_anything_is_asked(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config(STACK, kubernetes=fields), STACK)
    assert line in str(caught.value)


REFUSED = [
    ("serving", {"instance_type": "ml.m5.large"}, "a cluster has no instance types; allowed are cpu and memory"),
    ("retraining", {"enabled": True}, "on a cluster nothing is retrained yet; allowed is false"),
    ("retention", {"log_days": 5}, "how long logs are kept is the cluster's; allowed is to leave it out"),
    ("promotion", {"to": ["111122223333"]}, "a cluster knows no accounts; allowed are groups of its users"),
    ("promotion", {"to": ["system:authenticated"]}, "allowed are groups of its users, and not everybody"),
]


@pytest.mark.parametrize(("section", "fields", "why"), REFUSED, ids=[f"{one[0]} {one[1]}" for one in REFUSED])
def test_what_only_aws_has_is_refused_and_not_passed_over(section: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config(STACK, **{section: fields}), STACK)
    assert why in str(caught.value)


def test_what_only_a_cluster_has_is_refused_on_aws() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config("local", kubernetes={"namespace": "models"}, serving={"cpu": "1"}), "local")
    assert 'modelstack:kubernetes.namespace = "models": only stacks on a cluster have it' in str(caught.value)
    assert 'modelstack:serving.cpu = "1": only stacks on a cluster have it' in str(caught.value)


def test_a_cluster_needs_no_region_of_aws() -> None:
    config = stack_config(STACK)
    assert not [key for key in config if key.startswith("aws:")]
    assert json.loads(config["modelstack:kubernetes"])["namespace"] == "models"
    assert Settings.load(config, STACK).platform == "kubernetes"
