"""What a cluster lacks is told before anything is declared, by asking it. Here it answers from memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
import pulumi
import pytest
import yaml

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import ResourceKind
from modelstack.platforms.kubernetes.names import Names
from modelstack.program.config.kubernetes_settings import KubernetesSettings
from modelstack.program.kubernetes.checks import LOCAL_NODE, check_target, lacking, unwatched
from tests.platforms.kubernetes.stage import FINE

NAMES = Names("flight-delay", "prod", "models")
ROUTES, RULES = "httproutes.gateway.networking.k8s.io", "prometheusrules.monitoring.coreos.com"
TELLS = "alertmanagerconfigs.monitoring.coreos.com"
ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"
PROXY = {"kind": "EnvoyProxy", "name": "merged", "namespace": "envoy"}
SETTINGS = KubernetesSettings.model_validate({"gateway": {"class": "envoy"}, "database_secret": "database"})


def gateway_class(**spec: Any) -> dict[str, Any]:
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted"}
    return {"spec": {"controllerName": ENVOY, "parametersRef": PROXY, **spec}, "status": {"conditions": [accepted]}}


def envoy_proxy(buckets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    config = json.loads(json.dumps({"stats_config": {"histogram_bucket_settings": buckets}}))
    spec = {"mergeBackends": {}, "bootstrap": {"type": "Merge", "value": yaml.safe_dump(config)}}
    return {"metadata": {"name": "merged"}, "spec": spec}


COARSE = {"match": {"suffix": "upstream_rq_time"}, "buckets": [100, 250]}
WHOLE: dict[tuple[str, str], dict[str, Any]] = {
    ("Namespace", "models"): {},
    ("CustomResourceDefinition", ROUTES): {"spec": {"versions": [{"name": "v1", "served": True}]}},
    ("CustomResourceDefinition", RULES): {},
    ("CustomResourceDefinition", TELLS): {},
    ("GatewayClass", "envoy"): gateway_class(),
    ("EnvoyProxy", "merged"): envoy_proxy([FINE]),
    ("Secret", "database"): {},
}


class Cluster:
    namespace = "models"

    def __init__(self, server: str = "https://example.org", **changes: Any) -> None:
        self.server = server
        self.objects = {**WHOLE, **{cast(Any, tuple(key.split("__", 1))): one for key, one in changes.items()}}

    def list(self, kind: ResourceKind) -> list[dict[str, Any]]:
        return [{"metadata": {"name": name}} for name in ("shared", "other")]

    def serves(self, api_version: str) -> bool:
        return ("Group", api_version) in self.objects

    def find(self, kind: ResourceKind, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        return self.objects.get((kind.kind, name))


def told(cluster: Cluster, settings: KubernetesSettings = SETTINGS, **asked: Any) -> list[str]:
    return lacking(cast(Api, cluster), settings, NAMES, **asked)


def test_a_cluster_that_has_all_lacks_nothing() -> None:
    assert told(Cluster()) == []


@pytest.mark.parametrize(
    ("key", "one", "words"),
    [
        ("Namespace__models", None, "kubectl create namespace models"),
        (f"CustomResourceDefinition__{ROUTES}", None, "the Gateway API is missing"),
        (f"CustomResourceDefinition__{RULES}", None, "kind: config_map"),
        (f"CustomResourceDefinition__{TELLS}", None, f"it knows no {TELLS}, of the Prometheus operator"),
        ("GatewayClass__envoy", None, "(modelstack:kubernetes.gateway.class); there are: other, shared"),
        ("GatewayClass__envoy", gateway_class(controllerName="other"), "is of other"),
        ("GatewayClass__envoy", {"spec": {}}, "no controller has looked at it"),
        ("GatewayClass__envoy", gateway_class(parametersRef=None), "mergeBackends"),
        ("EnvoyProxy__merged", {"spec": {}}, "loses requests"),
        ("EnvoyProxy__merged", {"metadata": {"name": "merged"}, "spec": {"mergeBackends": {}}}, "latency buckets"),
        ("EnvoyProxy__merged", envoy_proxy([COARSE]), "latency buckets"),
        ("Secret__database", None, "Secret models/database does not exist"),
    ],
)
def test_what_is_missing_is_told_in_a_sentence_with_what_to_do(key: str, one: Any, words: str) -> None:
    (line,) = told(Cluster(**{key: one}))
    assert words in line


SECRETS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"bucket": {"name": "packages", "secret": "team"}}, {}, "kubernetes.bucket.secret"),
    ({"alerts": {"page": {"webhook_secret": "team"}}}, {}, "kubernetes.alerts.page.webhook_secret"),
    ({}, {"mlflow_secret": "team"}, "mlflow.secret"),
]


@pytest.mark.parametrize(("given", "asked", "field"), SECRETS)
def test_a_secret_that_the_config_names_has_to_be_there(
    given: dict[str, Any], asked: dict[str, Any], field: str
) -> None:
    settings = KubernetesSettings.model_validate({"gateway": {"class": "envoy"}, **given})
    assert told(Cluster(), settings, **asked) == [f"Secret models/team does not exist (modelstack:{field})"]
    assert told(Cluster(Secret__team={}), settings, **asked) == []


def test_a_gateway_without_a_data_plane_and_a_namespace_without_a_controller_are_told() -> None:
    given = {"gateway": {"name": "shared"}, "controller": False, "definitions": False}
    gateway = {"spec": {"gatewayClassName": "envoy"}, "status": {"conditions": []}}
    lines = told(Cluster(Gateway__shared=gateway), KubernetesSettings.model_validate(given))
    assert [word for word in ("no ready data plane", "no controller runs", "knows no Rollout") if word in str(lines)]
    assert len(lines) == 3


def test_a_gateway_of_tls_needs_a_host_by_which_its_certificate_is_checked() -> None:
    def said(protocols: list[str], **gateway: str) -> list[str]:
        spec = {"gatewayClassName": "envoy", "listeners": [{"protocol": one} for one in protocols]}
        shared = {"spec": spec, "status": {"conditions": [{"type": "Programmed", "status": "True"}]}}
        settings = KubernetesSettings.model_validate({"gateway": {"name": "shared", **gateway}})
        return told(Cluster(Gateway__shared=shared), settings)

    (line,) = said(["TCP", "HTTPS", "HTTP"])
    assert "modelstack:kubernetes.gateway.host, which is null" in line
    assert said(["TCP", "HTTPS", "HTTP"], host="a.example") == []
    assert said(["HTTP", "HTTPS"]) == [], "where it also speaks without TLS first, that is what is asked"


@pytest.mark.parametrize("held", [None, {}, {"data": {"tls.crt": "x"}}])
def test_the_certificate_of_ones_own_authority_has_to_be_there(held: Any) -> None:
    settings = KubernetesSettings.model_validate({"gateway": {"class": "envoy", "ca_config_map": "authority"}})
    (line,) = told(Cluster(ConfigMap__authority=held), settings)
    assert line == (
        "ConfigMap models/authority does not exist, or has no key ca.crt (modelstack:kubernetes.gateway.ca_config_map)"
    )
    assert told(Cluster(ConfigMap__authority={"data": {"ca.crt": "x"}}), settings) == []


PATCHES = "CustomResourceDefinition__envoypatchpolicies.gateway.envoyproxy.io"
CONFIG = "ConfigMap__envoy-gateway-config"
DISABLED = {"type": "Accepted", "status": "False", "reason": "Disabled", "message": "it is disabled"}
NO_PATCH: list[tuple[dict[str, Any], str]] = [
    ({}, "knows no envoypatchpolicies.gateway.envoyproxy.io"),
    ({PATCHES: {}, CONFIG: {"data": {"envoy-gateway.yaml": "provider: {type: Kubernetes}"}}}, "enableEnvoyPatchPolicy"),
    (
        {PATCHES: {}, f"EnvoyPatchPolicy__{NAMES.prefix}": {"status": {"ancestors": [{"conditions": [DISABLED]}]}}},
        "Disabled: it is disabled",
    ),
]


@pytest.mark.parametrize(("changes", "words"), NO_PATCH)
def test_a_gateway_that_takes_no_patches_has_no_sticky_keys_and_the_field_is_named(
    changes: dict[str, Any], words: str
) -> None:
    (line,) = told(Cluster(**changes), sticky="x-user-id")
    assert "modelstack:rollout.strategy" in line
    assert words in line
    assert "sticky_header: null" in line
    assert told(Cluster(**changes)) == []


def test_a_gateway_that_takes_patches_or_does_not_say_is_good_for_sticky_keys() -> None:
    taken = {"data": {"envoy-gateway.yaml": "extensionApis: {enableEnvoyPatchPolicy: true}"}}
    for changes in ({PATCHES: {}}, {PATCHES: {}, CONFIG: taken}):
        assert told(Cluster(**changes), sticky="x-user-id") == []


def test_a_cluster_without_metrics_of_pods_cannot_follow_the_load_and_the_field_is_named() -> None:
    (line,) = told(Cluster(), autoscaled=True)
    assert "metrics.k8s.io/v1beta1" in line
    assert "modelstack:serving.max_instance_count" in line
    assert told(Cluster(**{"Group__metrics.k8s.io/v1beta1": {}}), autoscaled=True) == []
    assert told(Cluster()) == []


def test_a_local_stack_points_at_no_cluster_elsewhere() -> None:
    with pytest.raises(pulumi.RunError, match="is a local stack, but the API server is"):
        check_target("local-kubernetes", cast(Api, Cluster()))
    check_target("local-kubernetes", cast(Api, Cluster(f"https://{LOCAL_NODE}:6443")))
    check_target("prod", cast(Api, Cluster()))


def watching(answer: httpx.Response | httpx.HTTPError) -> str:
    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    class Reaching(Cluster):
        def reach(self, url: str) -> httpx.Client:
            return httpx.Client(base_url=url, transport=httpx.MockTransport(handle))

    url = {"prometheus": "http://prometheus.monitoring:9090"}
    return unwatched(cast(Api, Reaching()), KubernetesSettings.model_validate(url))


def test_a_prometheus_that_does_not_answer_is_told_with_its_address_and_what_follows() -> None:
    whole = {"status": "success", "data": {"resultType": "vector", "result": []}}
    assert watching(httpx.Response(200, json=whole)) == ""
    assert watching(httpx.Response(403, text="forbidden")) == "", "who may not ask knows nothing of it"
    for answer in (httpx.Response(404, json={"message": "not found"}), httpx.ConnectError("refused")):
        said = watching(answer)
        assert said.startswith('modelstack:kubernetes.prometheus = "http://prometheus.monitoring:9090": Prometheus at ')
        assert said.endswith("no alarm fires. Start it, or correct the address")
