"""The rollout controller of a namespace, and its permissions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from modelstack.platforms.kubernetes.names import CONTROLLER, CONTROLLER_PORT, GROUP
from modelstack.program.config.kubernetes_settings import BucketSettings, KubernetesSettings
from modelstack.program.config.mlflow_settings import MlflowSettings
from modelstack.program.kubernetes.network import MODELS, ingress
from modelstack.program.kubernetes.pod import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    RegistryLogin,
    disruption_budget,
    empty_dir,
    environment,
    keys_of,
    of_bucket,
    secret_value,
)
from modelstack.program.kubernetes.rights import granted, rule
from modelstack.program.kubernetes.site import Site
from modelstack.program.options import Opts
from modelstack.records.tracking.variables import KEYS, SERVER

_NAME = {"app.kubernetes.io/name": CONTROLLER}
_PORTS = [{"name": "http", "port": CONTROLLER_PORT, "targetPort": "http"}]
_REPLICAS = 2


class Controller(pulumi.ComponentResource):
    """The rollout controller of a namespace.

    Creates:
        A Deployment of two replicas; a Service for captures and wake-ups; a NetworkPolicy of its clients; a service
        account with a Role to read workloads and routes, and to write journals, verdicts and events.
        `retain_on_delete` in `opts` applies to all.
    """

    def __init__(
        self, name: str, site: Site, image: pulumi.Input[str], mlflow: MlflowSettings, opts: Opts = None
    ) -> None:
        super().__init__("modelstack:kubernetes:Controller", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=opts.retain_on_delete if opts else None)
        for logical, manifest in manifests(site.names.namespace, site.settings, site.bucket, image, mlflow).items():
            site.declare(logical, manifest, child, shared=True)
        self.register_outputs({"name": CONTROLLER})


def manifests(
    namespace: str,
    settings: KubernetesSettings,
    bucket: BucketSettings | None,
    image: pulumi.Input[str],
    mlflow: MlflowSettings | None = None,
) -> dict[str, dict[str, Any]]:
    """The objects of the controller of a namespace by logical name; `image` is by digest."""
    role, binding = granted(CONTROLLER, namespace, _rules())
    each: dict[str, dict[str, Any]] = {
        "account": {"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": False},
        "role": role,
        "binding": binding,
        "service": {"apiVersion": "v1", "kind": "Service", "spec": {"selector": _NAME, "ports": _PORTS}},
        "budget": disruption_budget(_NAME),
        "clients": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "spec": {
                "podSelector": {"matchLabels": _NAME},
                "policyTypes": ["Ingress"],
                "ingress": [ingress(CONTROLLER_PORT, settings, {"podSelector": MODELS})],
            },
        },
        "deployment": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": _deployment(_pod(settings, bucket, image, _of_mlflow(mlflow))),
        },
    }
    metadata = {"name": CONTROLLER, "labels": _NAME}
    return {logical: {**manifest, "metadata": metadata} for logical, manifest in each.items()}


def _of_mlflow(settings: MlflowSettings | None) -> dict[str, Any]:
    """A secret holds the keys of one way to sign in, so each is optional."""
    if settings is None or settings.server is None:
        return {}
    keys = KEYS if settings.secret else {}
    held = {name: secret_value(settings.secret or "", key, optional=True) for key, name in keys.items()}
    return {SERVER: settings.server, **held}


def _pod(
    settings: KubernetesSettings, bucket: BucketSettings | None, image: pulumi.Input[str], more: Mapping[str, Any]
) -> dict[str, Any]:
    secrets = {"DATABASE_URL": settings.database_secret, "WEBHOOK_URL": settings.webhook_secret}
    login = RegistryLogin.of(settings.pull_secret)
    variables = {
        "NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        **{name: secret_value(secret, "url") for name, secret in secrets.items() if secret},
        **more,
    }
    container = {
        "name": "controller",
        "image": image,
        "env": environment({**variables, **login.variables, **of_bucket(bucket)}),
        **keys_of(bucket),
        "ports": [{"name": "http", "containerPort": CONTROLLER_PORT}],
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
        # On a busy node Python starts slowly, and the liveness probe would restart it repeatedly.
        "startupProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 150,
        },
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 5},
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 20,
            "timeoutSeconds": 5,
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}, *login.mounts],  # noqa: S108
    }
    return {
        "serviceAccountName": CONTROLLER,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": 15,
        **login.pod,
        "containers": [container],
        "volumes": [{"name": "scratch", **empty_dir("64Mi")}, *login.volumes],
    }


def _deployment(pod: dict[str, Any]) -> dict[str, Any]:
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(CONTROLLER_PORT)}
    return {
        "replicas": _REPLICAS,
        "revisionHistoryLimit": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": _NAME},
        "template": {
            "metadata": {
                "labels": {"app.kubernetes.io/part-of": "modelstack", **_NAME},
                "annotations": scraped,
            },
            "spec": pod,
        },
    }


def _rules() -> list[dict[str, Any]]:
    """`modelstack.program.kubernetes.rights` adds permissions on single objects.

    A rule cannot name objects to list, to watch or to create; those are bounded by the namespace.
    """
    read = ["get", "list", "watch"]
    return [
        *(rule(GROUP, kind, read) for kind in ("rollouts", "modelpackages")),
        *(rule(GROUP, f"{kind}/status", ["get", "update"]) for kind in ("rollouts", "modelpackages")),
        *(rule("gateway.networking.k8s.io", kind, read) for kind in ("httproutes", "gateways")),
        rule("gateway.envoyproxy.io", "envoypatchpolicies", ["get"]),
        rule("autoscaling", "horizontalpodautoscalers", ["get", "list"]),
        rule("apps", "deployments", read),
        rule("discovery.k8s.io", "endpointslices", read),
        *(rule("", kind, read) for kind in ("configmaps", "services", "pods")),
        rule("", "events", ["create", "patch"]),
        rule("coordination.k8s.io", "leases", ["create"]),
        rule("coordination.k8s.io", "leases", ["get", "patch"], CONTROLLER),
    ]
