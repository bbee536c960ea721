"""Settings that all pods share: no root user, a read-only root, and no unneeded token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstack.program.config.kubernetes_settings import BucketSettings

FETCHES = "package"
"""The init container that fetches a model's package."""
_REGION, _ENDPOINT = "AWS_REGION", "AWS_ENDPOINT_URL_S3"
USER = 10001
"""User and group of every container."""
_LOGIN = "/registry"  # the folder with the docker config

POD_SECURITY: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The level `restricted` of the Pod Security Standards, and a read-only root."""


def disruption_budget(selector: Mapping[str, str]) -> dict[str, Any]:
    """A drain evicts one pod at a time, and unhealthy pods always, since they may never recover.

    Source: Kubernetes documentation, "Specifying a Disruption Budget", unhealthy pod eviction policy.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "spec": {
            "selector": {"matchLabels": dict(selector)},
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def environment(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Variables of a container; a mapping as value is its source."""
    return [
        {"name": name, "valueFrom": dict(value)} if isinstance(value, Mapping) else {"name": name, "value": value}
        for name, value in variables.items()
    ]


def of_bucket(bucket: BucketSettings | None) -> dict[str, str]:
    """Variables of a container that reads a bucket, see `modelstack.serving.fetch`."""
    if bucket is None:
        return {}
    return {_REGION: bucket.region, **({_ENDPOINT: bucket.endpoint} if bucket.endpoint else {})}


def keys_of(bucket: BucketSettings | None) -> dict[str, Any]:
    """Fields of a container that mount the keys of a bucket."""
    return {"envFrom": [{"secretRef": {"name": bucket.secret}}]} if bucket and bucket.secret else {}


def bucket_of(name: str, container: Mapping[str, Any]) -> BucketSettings | None:
    """The inverse of `of_bucket` and `keys_of`; None for a container without a bucket."""
    variables = {one["name"]: one.get("value") for one in container.get("env", ())}
    if _REGION not in variables:
        return None
    secret = next((one["secretRef"]["name"] for one in container.get("envFrom", ()) if "secretRef" in one), None)
    return BucketSettings(name=name, endpoint=variables.get(_ENDPOINT), region=variables[_REGION], secret=secret)


@dataclass(frozen=True)
class RegistryLogin:
    """What a pod needs for a registry with a login: for the kubelet's pulls, and for containers that read packages."""

    pod: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    mounts: tuple[Mapping[str, Any], ...] = ()
    volumes: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, secret: str | None) -> RegistryLogin:
        """Of a Secret of type kubernetes.io/dockerconfigjson; empty without one."""
        if secret is None:
            return cls()
        files = [{"key": ".dockerconfigjson", "path": "config.json"}]
        return cls(
            {"imagePullSecrets": [{"name": secret}]},
            {"DOCKER_CONFIG": _LOGIN},
            ({"name": "registry", "mountPath": _LOGIN, "readOnly": True},),
            ({"name": "registry", "secret": {"secretName": secret, "items": files}},),
        )


def empty_dir(size_limit: str) -> dict[str, Any]:
    """The source of a volume on the node's disk. The kubelet evicts a pod that writes more."""
    return {"emptyDir": {"sizeLimit": size_limit}}


def secret_value(secret: str, key: str, *, optional: bool = False) -> dict[str, Any]:
    """The source of a variable in a Secret; an optional one is empty without the Secret."""
    return {"secretKeyRef": {"name": secret, "key": key, **({"optional": True} if optional else {})}}
