"""A workload per release, and a config of two per trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pulumi

from modelstack.platforms.kubernetes import access_token
from modelstack.platforms.kubernetes.autoscaled import manifest
from modelstack.platforms.kubernetes.names import (
    CONTENT,
    CONTROLLER,
    CONTROLLER_PORT,
    PORT,
    VARIANT,
    WORKLOAD,
)
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.program.config.kubernetes_settings import BucketSettings
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.kubernetes.kept_bucket import SCHEME
from modelstack.program.kubernetes.network import MODELS, PROXIES, ingress
from modelstack.program.kubernetes.pod import (
    CONTAINER_SECURITY,
    FETCHES,
    POD_SECURITY,
    RegistryLogin,
    disruption_budget,
    empty_dir,
    environment,
    keys_of,
    of_bucket,
    secret_value,
)
from modelstack.program.kubernetes.rights import workload_rights
from modelstack.program.kubernetes.site import Object, Site
from modelstack.program.options import Opts
from modelstack.program.package import Package
from modelstack.program.plan.releases import Declared, ServingPlan
from modelstack.rollout.core.release import Release
from modelstack.serving.unpacking import MAX_BYTES

UNCHANGING = ["spec", "metadata", "data", "rules", "roleRef", "subjects"]
"""A name is a digest of its content, so the content never changes. A live release keeps the settings of its release."""
_HTTPS = 443
_PACKAGE = "/opt/ml/model"
_MOUNT = {"name": "package", "mountPath": _PACKAGE}
_SCRATCH = {"name": "scratch", "mountPath": "/tmp"}  # noqa: S108
_PACKAGE_SIZE = f"{2 * MAX_BYTES // 1024**3 + 1}Gi"  # of an archive and its content
_SCRATCH_SIZE = "1Gi"
_GRACE, _BEFORE_STOP = 30, 5  # seconds: of a drain, and until every proxy has removed the pod
_ANSWERS = 13
"""Seconds until a pod itself answers 504 for its model. The gateway gives a request up after 15 s with all its retries,
and its own 504 says nothing of the model."""
_PATIENCE = 10
"""Twelve such pings in a row, 120 s, restart a pod. A busy one answers before: its server ends a model that hangs."""
_STARTS = 120  # seconds that a model may take to load


def shape_of(settings: ServingSettings) -> dict[str, Any]:
    """Everything besides the model that defines a release's pods."""
    return {
        "cpu": settings.cpu,
        "memory": settings.memory,
        "instance_count": settings.instance_count,
        "capture_percent": settings.capture_percent,
        **({"max_instance_count": most} if (most := settings.max_instance_count) else {}),
    }


class Serving(pulumi.ComponentResource):
    """Workloads and serving configs.

    Creates:
        Per release a Deployment, a Service and a PodDisruptionBudget of one name, a HorizontalPodAutoscaler if
        configured, a Role with its RoleBinding to scale them, and a config (an immutable ConfigMap) that serves it
        alone; per trial a config of champion and challenger, and one for a shadow challenger; a NetworkPolicy for all.

    Only the rollout controller writes the serving config and its weights to the route.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        plan: ServingPlan,
        package: Package,
        settings: ServingSettings,
        opts: Opts = None,
    ) -> None:
        super().__init__("modelstack:kubernetes:Serving", name, None, opts)
        self._site, self._package = site, package
        self._login = RegistryLogin.of(site.settings.pull_secret)
        self._child = pulumi.ResourceOptions(parent=self)
        self._kept = pulumi.ResourceOptions(parent=self, ignore_changes=UNCHANGING)
        policy = site.declare("models", _network_policy(site), self._child)
        solo = {item.config_name: Backend(item.variant, item.config_name) for item in plan.releases}
        configs = [ServingConfig(name, backend) for name, backend in solo.items()]
        configs += [
            ServingConfig(pair.name, solo[pair.champion_config], solo[pair.challenger_config], pair.copied)
            for pair in plan.pairs
        ]
        objects = [policy, *(self._config(config) for config in configs)]
        for item in plan.releases:
            # A withheld release (rejected or not approved) has no pods until a rollout needs it.
            withheld = plan.kept is not None and item.known is None and item.config_name != plan.target
            shape = {**shape_of(settings), "max_instance_count": None, **item.serving}
            objects += self._workload(item, shape, withheld=withheld)
        self.register_outputs({"configs": [config.name for config in configs]})

    def _config(self, config: ServingConfig) -> Object:
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": config.name},
            "immutable": True,
            "data": {CONTENT: config.to_json()},
        }
        return self._site.declare(f"config-{self._site.names.short(config.name)}", manifest, self._kept)

    def _workload(self, item: Declared, shape: Mapping[str, Any], *, withheld: bool) -> list[Object]:
        names, workload = self._site.names, item.config_name
        selector, labels = {WORKLOAD: workload}, {WORKLOAD: workload, VARIANT: item.variant}
        least, most = shape["instance_count"], shape.get("max_instance_count")

        def declare(kind: str, content: Mapping[str, Any]) -> Object:
            logical = f"{kind}-{names.short(workload)}"
            return self._site.declare(logical, {"metadata": {"name": workload}, **content}, self._kept, labels=labels)

        return [
            declare(
                "deployment",
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "spec": {
                        # An autoscaler owns the number; it ignores a Deployment scaled to 0.
                        **({"replicas": 0} if withheld else {} if most else {"replicas": least}),
                        "revisionHistoryLimit": 1,
                        "progressDeadlineSeconds": _STARTS + 60,
                        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                        "selector": {"matchLabels": selector},
                        "template": {
                            "metadata": {
                                "labels": {**names.labels, **labels},
                                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
                            },
                            "spec": self._pod(item, shape),
                        },
                    },
                },
            ),
            declare(
                "service",
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "spec": {"selector": selector, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
                },
            ),
            declare("budget", disruption_budget(selector)),
            *(declare(one["kind"].lower(), one) for one in workload_rights(names.namespace, workload)),
            *([declare("autoscaler", manifest(workload, least, most))] if most else []),
        ]

    def _pod(self, item: Declared, shape: Mapping[str, Any]) -> dict[str, Any]:
        sealed = item.known or self._package
        each = {
            "image": sealed.image_uri,
            "resources": {
                "requests": {"cpu": shape["cpu"], "memory": shape["memory"]},
                "limits": {"memory": shape["memory"]},
            },
            "securityContext": CONTAINER_SECURITY,
            "terminationMessagePolicy": "FallbackToLogsOnError",  # a verdict names a container's last words
        }
        variables = {"MODELSTACK_MANIFEST_SHA256": sealed.manifest_sha256, "SM_MODEL_DIR": _PACKAGE}
        return {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            "terminationGracePeriodSeconds": _GRACE,
            **self._login.pod,
            "initContainers": [{**each, **self._fetching(sealed, variables)}],
            "containers": [{**each, **self._serving(item, shape, variables)}],
            "volumes": [
                {"name": "package", **empty_dir(_PACKAGE_SIZE)},
                {"name": "scratch", **empty_dir(_SCRATCH_SIZE)},
                *self._login.volumes,
            ],
        }

    def _fetching(self, sealed: Release | Package, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The archive is verified by digest before any of it runs."""
        bucket, of_archive = self._bucket_of(sealed), dict[str, Any]()
        if bucket:
            digest = pulumi.Output.from_input(sealed.package_digest)
            sha256 = digest.apply(lambda known: known.removeprefix("sha256:"))
            of_archive = {"MODELSTACK_ARCHIVE_SHA256": sha256, **of_bucket(bucket)}
        return {
            "name": FETCHES,
            "args": ["fetch"],
            "env": environment(
                {**variables, "MODELSTACK_ARCHIVE": sealed.archive_uri, **self._login.variables, **of_archive}
            ),
            **keys_of(bucket),
            "volumeMounts": [_MOUNT, _SCRATCH, *self._login.mounts],
        }

    def _bucket_of(self, sealed: Release | Package) -> BucketSettings | None:
        """A new package goes to the configured bucket; existing ones stay where they are."""
        if isinstance(sealed, Package):
            return self._site.settings.bucket
        return self._site.bucket if sealed.archive_uri.startswith(SCHEME) else None

    def _serving(self, item: Declared, shape: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        names, percent = self._site.names, shape["capture_percent"]
        capturing = {
            "MODELSTACK_CAPTURE": f"http://{CONTROLLER}:{CONTROLLER_PORT}/captures/{names.prefix}/{item.variant}",
            "MODELSTACK_CAPTURE_PERCENT": str(percent),
            "MODELSTACK_CAPTURE_TOKEN": secret_value(
                access_token.secret_name(names.prefix), access_token.KEY, optional=True
            ),
        }
        serving = {
            **variables,
            "MODELSTACK_MODEL": names.model,
            "MODELSTACK_VARIANT": item.variant,
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(_ANSWERS),
            "BIND_HOST": "0.0.0.0",  # noqa: S104  the pod's own network
            "SAGEMAKER_BIND_TO_PORT": str(PORT),
            **(capturing if percent else {}),
        }
        ping = {"httpGet": {"path": "/ping", "port": "http"}, "periodSeconds": 1}
        return {
            "name": "model",
            "args": ["serve"],
            "env": environment(serving),
            "ports": [{"name": "http", "containerPort": PORT}],
            "startupProbe": {**ping, "failureThreshold": _STARTS},
            "readinessProbe": {**ping, "failureThreshold": 2},
            "livenessProbe": {**ping, "periodSeconds": _PATIENCE, "timeoutSeconds": _PATIENCE, "failureThreshold": 12},
            "lifecycle": {"preStop": {"sleep": {"seconds": _BEFORE_STOP}}},
            "volumeMounts": [{**_MOUNT, "readOnly": True}, _SCRATCH],
        }


def _network_policy(site: Site) -> dict[str, Any]:
    """Model pods are reached by the gateway and Prometheus, and reach DNS, the controller, registry and bucket.

    Storage is known by port only, since a registry may serve blobs and tokens from other hosts. The policy matches the
    pod's port, not the Service's.
    """
    bucket, registry = site.bucket, (site.settings.registry or "").partition("/")[0]
    ports = {_HTTPS, _port_of(f"https://{registry}"), *site.settings.egress_ports}
    ports |= {_port_of(bucket.endpoint or "https://")} if bucket else set()
    controller = {"matchLabels": {"app.kubernetes.io/name": CONTROLLER}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{site.names.prefix}-models"},
        "spec": {
            "podSelector": {"matchLabels": site.names.labels, **MODELS},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [ingress(PORT, site.settings, PROXIES)],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]},
                *({"ports": [{"port": port}]} for port in sorted(ports)),
                {"to": [{"podSelector": controller}], "ports": [{"port": CONTROLLER_PORT}]},
            ],
        },
    }


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else _HTTPS)
