"""Checks of the cluster before anything is declared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pulumi
import yaml

from modelstack.platforms.kubernetes.answers import Forbidden
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.gateway import AUTHORITY, is_tls
from modelstack.platforms.kubernetes.kinds import (
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    ENVOY_PROXY,
    GATEWAY,
    GATEWAY_CLASS,
    NAMESPACE,
    PATCH_POLICY,
    SECRET,
)
from modelstack.platforms.kubernetes.metrics import EDGES
from modelstack.platforms.kubernetes.names import CONTROLLER, GROUP, Names
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.sticky import refused
from modelstack.program.config.kubernetes_settings import KubernetesSettings
from modelstack.program.config.target import LOOPBACK, is_local
from modelstack.rollout.core.errors import RolloutError

LOCAL_NODE = "10.99.0.1"
"""The API server of `make cluster`."""
_ROUTES = "httproutes.gateway.networking.k8s.io"
_OPERATOR = ("prometheusrules.monitoring.coreos.com", "alertmanagerconfigs.monitoring.coreos.com")
_METRICS = "metrics.k8s.io/v1beta1"
_PATCHES = "envoypatchpolicies.gateway.envoyproxy.io"
_CONFIG, _CONFIG_FILE = "envoy-gateway-config", "envoy-gateway.yaml"  # of Envoy Gateway's chart
_ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"


def check_target(stack: str, api: Api) -> None:
    """Refuse a local stack that points at a cluster elsewhere."""
    host = urlsplit(api.server).hostname
    if is_local(stack) and host not in {*LOOPBACK, LOCAL_NODE}:
        raise pulumi.RunError(
            f"stack {stack!r} is a local stack, but the API server is {api.server}; it must be of this machine. Run: "
            "make up-kubernetes"
        )


def lacking(
    api: Api,
    settings: KubernetesSettings,
    names: Names,
    *,
    sticky: str = "",
    autoscaled: bool = False,
    mlflow_secret: str | None = None,
) -> list[str]:
    """What the cluster is missing, as sentences that say what to do.

    `sticky` is the header that selects the version in a trial, or empty; `mlflow_secret` the controller's Secret for
    MLflow, if any.
    """
    if api.find(NAMESPACE, names.namespace) is None:
        why = f"namespace {names.namespace} does not exist (modelstack:kubernetes.namespace)"
        return [
            f"{why}. Type: kubectl create namespace {names.namespace}",
            *(_class(api, settings.gateway.class_name) if settings.gateway.class_name else ()),
            *_rules(api, settings),
        ]
    return [
        *_gateway(api, settings),
        *(_sticky(api, settings, names) if sticky else ()),
        *(_metrics(api) if autoscaled else ()),
        *_rules(api, settings),
        *_secrets(api, settings, mlflow_secret),
        *_authority(api, settings),
        *_definitions(api, settings),
        *_controller(api, settings),
    ]


def unwatched(api: Api, settings: KubernetesSettings) -> str:
    """Why Prometheus cannot monitor a release, with what to do; empty if it can or the caller may not query it."""
    url = settings.prometheus or ""
    with api.reach(url) as client:
        try:
            Prometheus(client).values("vector(1)", time.time())
        except Forbidden:
            return ""
        except RolloutError as error:
            return (
                f'modelstack:kubernetes.prometheus = "{url}": {error}. Unless the cluster reaches it better, no '
                "release can be tried and no alarm fires. Start it, or correct the address"
            )
    return ""


def _gateway(api: Api, settings: KubernetesSettings) -> Iterator[str]:
    definition = api.find(CRD, _ROUTES)
    served = [one["name"] for one in definition["spec"]["versions"] if one["served"]] if definition else []
    if "v1" not in served:
        yield (
            "it serves no HTTPRoute of gateway.networking.k8s.io/v1 "
            f"({', '.join(served) or 'the Gateway API is missing'}). Install the Gateway API and Envoy Gateway"
        )
        return
    name = settings.gateway.class_name
    if settings.gateway.name is not None:
        gateway = api.find(GATEWAY, settings.gateway.name)
        if gateway is None:
            yield f"Gateway {api.namespace}/{settings.gateway.name} does not exist (modelstack:kubernetes.gateway.name)"
            return
        if _condition(gateway, "Programmed") != "True":
            why = _said(gateway, "Programmed")
            yield f"Gateway {api.namespace}/{settings.gateway.name} has no ready data plane: {why}"
        elif settings.gateway.host is None and is_tls(gateway):
            yield (
                f"Gateway {api.namespace}/{settings.gateway.name} speaks TLS, so its certificate is for a host. Name "
                "that host in modelstack:kubernetes.gateway.host, which is null"
            )
        name = gateway["spec"]["gatewayClassName"]
    yield from _class(api, name or "")


def _class(api: Api, name: str) -> Iterator[str]:
    found = api.find(GATEWAY_CLASS, name)
    if found is None:
        yield f"GatewayClass {name} does not exist (modelstack:kubernetes.gateway.class){_which(api)}"
    elif _condition(found, "Accepted") != "True":
        yield f"GatewayClass {name} is not accepted by a controller: {_said(found, 'Accepted')}"
    elif found["spec"]["controllerName"] != _ENVOY:
        yield (
            f"GatewayClass {name} is of {found['spec']['controllerName']}, and the metrics of a variant are not known "
            f"there; allowed is {_ENVOY}"
        )
    else:
        yield from _proxy(api, name, found["spec"].get("parametersRef"))


def _which(api: Api) -> str:
    try:
        return f"; there are: {', '.join(sorted(one['metadata']['name'] for one in api.list(GATEWAY_CLASS))) or 'none'}"
    except RolloutError:
        return ""


def _proxy(api: Api, name: str, reference: Mapping[str, Any] | None) -> Iterator[str]:
    """Without merged backends a variant has no metrics of its own, and a change from weight 0 loses requests."""
    proxy = None
    if reference and reference["kind"] == "EnvoyProxy":
        proxy = api.find(ENVOY_PROXY, reference["name"], namespace=reference.get("namespace"))
    if proxy is None or proxy["spec"].get("mergeBackends") is None:
        yield (
            f"GatewayClass {name} has no EnvoyProxy with `mergeBackends: {{}}` as its parametersRef: without it, "
            "variants have no metrics of their own, and a change from weight 0 loses requests"
        )
    elif not _fine(yaml.safe_load(proxy["spec"].get("bootstrap", {}).get("value", ""))):
        yield (
            f"EnvoyProxy {proxy['metadata']['name']} has not the latency buckets that a margin of latency needs: "
            "between Envoy's own, at 100 and 250 ms, a model may be twice as slow. Add the `bootstrap` of "
            "docs/how-to/kubernetes.md, and wait until the gateway's pods were replaced"
        )


def _fine(bootstrap: Any) -> bool:
    """Whether a bootstrap config, or a list of patches of one, has all bounds of buckets."""
    if isinstance(bootstrap, Mapping):
        bounds = bootstrap.get("buckets")
        return (isinstance(bounds, list) and set(EDGES) <= set(bounds)) or any(map(_fine, bootstrap.values()))
    return isinstance(bootstrap, list) and any(map(_fine, bootstrap))


def _sticky(api: Api, settings: KubernetesSettings, names: Names) -> Iterator[str]:
    """Sticky keys patch the gateway's route, which Envoy Gateway allows only if enabled."""
    why = ""
    if api.find(CRD, _PATCHES) is None:
        why = f"it knows no {_PATCHES} of Envoy Gateway"
    elif (policy := api.find(PATCH_POLICY, names.prefix)) is not None and (said := refused(policy)):
        why = f"EnvoyPatchPolicy {api.namespace}/{names.prefix}: {said}"
    elif not _patched(api, settings):
        why = "Envoy Gateway's own config does not have extensionApis.enableEnvoyPatchPolicy: true"
    if why:
        yield (
            f"an A/B test with sticky keys (modelstack:rollout.strategy) needs a gateway that takes patches: {why}. "
            "Enable it there, or set sticky_header: null, which decides each request anew"
        )


def _patched(api: Api, settings: KubernetesSettings) -> bool:
    """Whether Envoy Gateway's own config enables patches; true if unreadable: the policy's status reports it later."""
    name = settings.gateway.class_name
    if settings.gateway.name is not None:
        gateway = api.find(GATEWAY, settings.gateway.name)
        name = gateway["spec"]["gatewayClassName"] if gateway else None
    found = api.find(GATEWAY_CLASS, name) if name else None
    namespace = ((found or {}).get("spec", {}).get("parametersRef") or {}).get("namespace")
    try:
        held = api.find(CONFIG_MAP, _CONFIG, namespace=namespace) if namespace else None
        told = yaml.safe_load(held["data"][_CONFIG_FILE]) if held else None
    except (RolloutError, KeyError, yaml.YAMLError):
        return True
    return told is None or (told.get("extensionApis") or {}).get("enableEnvoyPatchPolicy") is True


def _metrics(api: Api) -> Iterator[str]:
    if not api.serves(_METRICS):
        yield (
            f"it serves no {_METRICS}, by which pods follow the load (modelstack:serving.max_instance_count). Install "
            "metrics-server, or set null, which always runs instance_count pods"
        )


def _rules(api: Api, settings: KubernetesSettings) -> Iterator[str]:
    lacks = [name for name in _OPERATOR if settings.rules.kind == "prometheus_rule" and api.find(CRD, name) is None]
    if lacks:
        yield (
            f"it knows no {' and no '.join(lacks)}, of the Prometheus operator; without that, allowed is "
            "modelstack:kubernetes.rules: {kind: config_map}"
        )


def _secrets(api: Api, settings: KubernetesSettings, mlflow_secret: str | None) -> Iterator[str]:
    named = {
        "mlflow.secret": mlflow_secret,
        "kubernetes.pull_secret": settings.pull_secret,
        "kubernetes.database_secret": settings.database_secret,
        "kubernetes.webhook_secret": settings.webhook_secret,
        "kubernetes.bucket.secret": settings.bucket.secret if settings.bucket else None,
        "kubernetes.gateway.tls_secret": settings.gateway.tls_secret,
        **{
            f"kubernetes.alerts.{name}.webhook_secret": receiver.webhook_secret
            for name, receiver in (("page", settings.alerts.page), ("ticket", settings.alerts.ticket))
            if receiver is not None
        },
    }
    for field, name in named.items():
        if name is not None and api.find(SECRET, name) is None:
            yield f"Secret {api.namespace}/{name} does not exist (modelstack:{field})"


def _authority(api: Api, settings: KubernetesSettings) -> Iterator[str]:
    name = settings.gateway.ca_config_map
    if name is not None and AUTHORITY not in ((api.find(CONFIG_MAP, name) or {}).get("data") or {}):
        field = "modelstack:kubernetes.gateway.ca_config_map"
        yield f"ConfigMap {api.namespace}/{name} does not exist, or has no key {AUTHORITY} ({field})"


def _definitions(api: Api, settings: KubernetesSettings) -> Iterator[str]:
    if not settings.definitions and api.find(CRD, f"rollouts.{GROUP}") is None:
        yield "it knows no Rollout, and modelstack:kubernetes.definitions is false; one stack declares it"


def _controller(api: Api, settings: KubernetesSettings) -> Iterator[str]:
    if not settings.controller and api.find(DEPLOYMENT, CONTROLLER) is None:
        yield (
            f"no controller runs in namespace {api.namespace}, and modelstack:kubernetes.controller is false; one "
            "stack of the namespace declares it"
        )


def _condition(found: Mapping[str, Any], kind: str) -> str:
    return next(
        (one["status"] for one in found.get("status", {}).get("conditions", []) if one["type"] == kind), "Unknown"
    )


def _said(found: Mapping[str, Any], kind: str) -> str:
    told = [one for one in found.get("status", {}).get("conditions", []) if one["type"] == kind]
    return told[0].get("message") or told[0]["reason"] if told else "no controller has looked at it"
