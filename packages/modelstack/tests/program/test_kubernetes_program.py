"""What the program declares on a cluster, each promise with its reason. Nothing here needs a cluster or an engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelstack.platforms.kubernetes.names import CONFIG, CONTROLLER, ENDPOINT, VARIANT
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.program.kubernetes.stack import KubernetesStack
from modelstack.rollout.core.release import Release
from modelstack.serving.unpacking import MAX_BYTES
from tests.program.on_cluster import (
    FACTS,
    IMAGE,
    NAMES,
    NEW,
    OLD,
    STACK,
    configs,
    idle,
    manifests,
    pods,
    run_on_cluster,
)
from tests.program.recorded import DIGEST, World


@pytest.fixture(scope="module")
def first() -> World:
    return run_on_cluster()


@pytest.fixture(scope="module")
def trial() -> World:
    return run_on_cluster(state=idle(OLD))


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


def test_a_pod_that_hangs_is_restarted_but_none_whose_server_still_answers_for_a_hanging_model(first: World) -> None:
    pod = manifests(first)["Deployment", NEW.config_name]["spec"]["template"]["spec"]["containers"][0]
    variables = {item["name"]: item.get("value") for item in pod["env"]}
    answers, probe = int(variables["SAGEMAKER_MODEL_SERVER_TIMEOUT"]), pod["livenessProbe"]
    assert answers < 15 - 1.6, "a gateway's 504, after its retries, would say nothing of the model"
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 4 * answers


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


def test_the_controller_is_handed_the_release_as_its_package_was_made(first: World) -> None:
    assert Release.from_dict(first.rollout["desired_release"]) == NEW


def test_a_request_that_no_pod_has_got_is_sent_to_another_one_and_no_other_request_is(first: World) -> None:
    sent = manifests(first)["BackendTrafficPolicy", NAMES.prefix]["spec"]
    group = "gateway.networking.k8s.io"
    assert sent.pop("targetRefs") == [{"group": group, "kind": "HTTPRoute", "name": NAMES.prefix}]
    retry = sent.pop("retry")
    assert retry["retryOn"] == {"triggers": ["connect-failure", "refused-stream"]}
    assert 1000 < _longest_ms(retry) < 2000, "two pods may be gone at once, and callers do not wait for long"
    assert sent == {"mergeType": "StrategicMerge"}, "anything else takes the route's backends out of the merged ones"


def _longest_ms(retry: dict[str, Any]) -> int:
    """How long Envoy waits at most between all tries: before the nth up to (2^n - 1) base intervals, but no longer."""
    pauses = retry["perRetry"]["backOff"]
    base, longest = (int(pauses[name].removesuffix("ms")) for name in ("baseInterval", "maxInterval"))
    return sum(min((2**number - 1) * base, longest) for number in range(1, int(retry["numRetries"]) + 1))


def test_the_journal_is_the_controllers_and_no_update_touches_it(first: World) -> None:
    rollout = manifests(first)["Rollout", NAMES.prefix]
    assert "status" not in rollout
    assert rollout["spec"]["stack"] == STACK


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


def test_groups_that_are_named_may_take_the_champion_and_others_may_not(first: World) -> None:
    world = run_on_cluster(promotion={"to": ["deployers-prod"]})
    name = f"{NAMES.prefix}-promotion"
    binding = manifests(world)["RoleBinding", name]
    assert binding["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "deployers-prod"}]
    assert {verb for rule in manifests(world)["Role", name]["rules"] for verb in rule["verbs"]} == {"get"}
    assert ("Role", name) not in manifests(first)


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


def admitted(section: dict[str, Any]) -> list[Any]:
    """Who may reach model pods, and the controller."""
    declared = manifests(run_on_cluster(kubernetes=section))
    policies = [declared["NetworkPolicy", name]["spec"] for name in (f"{NAMES.prefix}-models", CONTROLLER)]
    assert [rule["ports"] for policy in policies for rule in policy["ingress"]] == [[{"port": 8080}], [{"port": 8081}]]
    assert policies[1]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": CONTROLLER}
    return [rule.get("from") for policy in policies for rule in policy["ingress"]]


def test_only_gateway_and_prometheus_reach_model_pods_and_only_these_and_prometheus_the_controller() -> None:
    def in_namespace(name: str) -> dict[str, Any]:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}

    proxies = {"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"}
    proxy = {"namespaceSelector": {}, "podSelector": {"matchLabels": proxies}}
    model = {"podSelector": {"matchExpressions": [{"key": "modelstack.dev/workload", "operator": "Exists"}]}}
    service = {"prometheus": "http://prometheus.monitoring.svc:9090"}
    assert admitted(service) == [[one, in_namespace("monitoring")] for one in (proxy, model)]
    more = {**service, "ingress_from": ["alerts", "10.0.0.0/28"]}
    watching = [in_namespace("alerts"), {"ipBlock": {"cidr": "10.0.0.0/28"}}]
    assert admitted(more) == [[one, *watching] for one in (proxy, model)]
    assert admitted({"prometheus": "http://10.99.0.1:9090"}) == [None, None], "it is outside, nobody knows where"
    assert admitted({"prometheus": "http://10.99.0.1:9090", "ingress_from": []}) == [[proxy], [model]]


def test_every_volume_on_a_nodes_disk_has_a_limit_that_the_largest_package_fits_in(trial: World) -> None:
    limits = {item["name"]: item["emptyDir"]["sizeLimit"] for pod in pods(trial) for item in pod["volumes"]}
    assert limits.keys() == {"package", "scratch"}
    assert int(limits["package"].removesuffix("Gi")) * 2**30 > 2 * MAX_BYTES, "the archive, and what is unpacked of it"


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
    assert first.exported.keys() == {*KubernetesStack.OUTPUTS}
    assert first.exported["platform"] == "kubernetes"
    assert first.exported["champion"] == DIGEST
    assert first.exported["audit_key"] == "AUDIT"
