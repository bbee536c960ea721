"""The objects of a stage in a cluster, as the Pulumi program makes them.

A release is a Deployment and a Service with the same name; the route has no rules, which only the controller writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.api import Object
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.program.kubernetes.pod import CONTAINER_SECURITY

GATEWAY, RELAY = "models", "relay"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
RULES = {"localcluster/rules": "true"}
"""Of a ConfigMap whose keys are rule files."""
_POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
_PING = {"httpGet": {"path": "/ping", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5}


def gateway(name: str = GATEWAY) -> Object:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return {"metadata": {"name": name}, "spec": {"gatewayClassName": "localcluster", "listeners": [listener]}}


def route(endpoint: str, host: str) -> Object:
    return {"metadata": {"name": endpoint}, "spec": {"parentRefs": [{"name": GATEWAY}], "hostnames": [host]}}


def config(one: ServingConfig) -> Object:
    return {"metadata": {"name": one.name}, "data": {names.CONTENT: one.to_json()}, "immutable": True}


def behaviour(name: str, how: Mapping[str, Any]) -> Object:
    """How a model behaves; a config has the workload's own name."""
    return {"metadata": {"name": f"{name}-behaviour"}, "data": {"behaviour.json": json.dumps(how)}}


def service(name: str) -> Object:
    ports = [{"name": "http", "port": names.PORT, "targetPort": "http"}]
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}


def deployment(name: str, image: str, words: list[str], environment: Mapping[str, str], *, scraped: bool) -> Object:
    """One pod of the stub, which finds its behaviour in a ConfigMap."""
    model = container(
        {"image": image, "args": words, "env": [{"name": key, "value": value} for key, value in environment.items()]},
        reads=("package", "/opt/ml/model"),
        cpu="5m",
        memory="128Mi",
    )
    told = {"prometheus.io/scrape": "true", "prometheus.io/port": str(names.PORT), "prometheus.io/path": "/metrics"}
    pod = {
        "securityContext": _POD,
        "containers": [model],
        "volumes": [{"name": "package", "configMap": {"name": f"{name}-behaviour"}}],
    }
    return {"metadata": {"name": name}, "spec": workload({"app": name}, pod, annotations=told if scraped else {})}


def container(own: Mapping[str, Any], *, reads: tuple[str, str], cpu: str, memory: str) -> Object:
    """A model's container: when it is ready, and how it ends."""
    volume, path = reads
    return {
        "name": "model",
        **own,
        "ports": [{"name": "http", "containerPort": names.PORT}],
        "resources": {"requests": {"cpu": cpu, "memory": "24Mi"}, "limits": {"memory": memory}},
        "securityContext": dict(CONTAINER_SECURITY),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {**_PING, "failureThreshold": 120},
        "readinessProbe": {**_PING, "failureThreshold": 2},
        "livenessProbe": {**_PING, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "volumeMounts": [{"name": volume, "mountPath": path, "readOnly": True}],
    }


def workload(
    selector: Mapping[str, str],
    pod: Mapping[str, Any],
    *,
    replicas: int = 1,
    deadline: int = 180,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """The spec of a Deployment of a model: its pods, and how they take each other's place."""
    return {
        "replicas": replicas,
        "progressDeadlineSeconds": deadline,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": dict(selector)},
        "template": {
            "metadata": {"labels": {**selector, **(labels or {})}, "annotations": dict(annotations or {})},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 30,
                **pod,
            },
        },
    }
