"""The objects of a stage in a cluster, as the Pulumi program makes them. Pure.

A release is a Deployment and a Service of one name; the route has no rules, which are the controller's alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from platforms.kubernetes import names
from platforms.kubernetes.api import Object
from platforms.kubernetes.serving_config import ServingConfig

GATEWAY, RELAY = "models", "relay"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
RULES = {"localcluster/rules": "true"}
"""Of a ConfigMap whose keys are rule files."""
_POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
_PING = {"httpGet": {"path": "/ping", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5}


def gateway() -> Object:
    """A Gateway, and so an Envoy, of its own."""
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return {"metadata": {"name": GATEWAY}, "spec": {"gatewayClassName": "localcluster", "listeners": [listener]}}


def route(endpoint: str, host: str) -> Object:
    """The route of an endpoint, without rules."""
    return {"metadata": {"name": endpoint}, "spec": {"parentRefs": [{"name": GATEWAY}], "hostnames": [host]}}


def config(one: ServingConfig) -> Object:
    """A config, which never changes."""
    return {"metadata": {"name": one.name}, "data": {names.CONTENT: one.to_json()}, "immutable": True}


def behaviour(name: str, how: Mapping[str, Any]) -> Object:
    """How a model behaves; a config has the workload's own name."""
    return {"metadata": {"name": f"{name}-behaviour"}, "data": {"behaviour.json": json.dumps(how)}}


def service(name: str) -> Object:
    """Its Service."""
    ports = [{"name": "http", "port": names.PORT, "targetPort": "http"}]
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}


def deployment(name: str, image: str, words: list[str], environment: Mapping[str, str], *, scraped: bool) -> Object:
    """One pod of the stub, which finds its behaviour in a ConfigMap."""
    container = {
        "name": "model",
        "image": image,
        "args": words,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "ports": [{"name": "http", "containerPort": names.PORT}],
        "resources": {"requests": {"cpu": "5m", "memory": "24Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": _CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {**_PING, "failureThreshold": 120},
        "readinessProbe": {**_PING, "failureThreshold": 2},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "volumeMounts": [{"name": "package", "mountPath": "/opt/ml/model", "readOnly": True}],
    }
    told = {"prometheus.io/scrape": "true", "prometheus.io/port": str(names.PORT), "prometheus.io/path": "/metrics"}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "progressDeadlineSeconds": 180,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": told if scraped else {}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": _POD,
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container],
                    "volumes": [{"name": "package", "configMap": {"name": f"{name}-behaviour"}}],
                },
            },
        },
    }
