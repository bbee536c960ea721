"""How every pod of ours runs: as nobody, on a read-only root, with no token that it does not need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.config.kubernetes_settings import BucketSettings

FETCHES = "package"
"""The init container that fetches a model's package."""
_REGION, _ENDPOINT = "AWS_REGION", "AWS_ENDPOINT_URL_S3"
USER = 10001
"""The user and the group of every container; an image of ours needs no other."""
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
"""What the level `restricted` of the Pod Security Standards asks for, and a read-only root."""


def disruption_budget(selector: Mapping[str, str]) -> dict[str, Any]:
    """Whoever drains nodes takes one pod at a time, and any that does not answer: it may never answer again.

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
    """Variables of a container; a value that is a mapping says where it comes from."""
    return [
        {"name": name, "valueFrom": dict(value)} if isinstance(value, Mapping) else {"name": name, "value": value}
        for name, value in variables.items()
    ]


def of_bucket(bucket: BucketSettings | None) -> dict[str, str]:
    """Variables of a container that reads a stack's bucket, see `serving.fetch`; its keys come with `keys_of`."""
    if bucket is None:
        return {}
    return {_REGION: bucket.region, **({_ENDPOINT: bucket.endpoint} if bucket.endpoint else {})}


def keys_of(bucket: BucketSettings | None) -> dict[str, Any]:
    """The fields of a container that give it the keys of a stack's bucket."""
    return {"envFrom": [{"secretRef": {"name": bucket.secret}}]} if bucket and bucket.secret else {}


def bucket_of(name: str, container: Mapping[str, Any]) -> BucketSettings | None:
    """The bucket that a container reads: what `of_bucket` and `keys_of` were made from; None where it reads none."""
    variables = {one["name"]: one.get("value") for one in container.get("env", ())}
    if _REGION not in variables:
        return None
    secret = next((one["secretRef"]["name"] for one in container.get("envFrom", ()) if "secretRef" in one), None)
    return BucketSettings(name=name, endpoint=variables.get(_ENDPOINT), region=variables[_REGION], secret=secret)


@dataclass(frozen=True)
class RegistryLogin:
    """What a pod is given to read a registry with a login: the kubelet for images, its containers for packages.

    Attributes:
        pod: Fields of the pod.
        variables: Variables of a container that reads packages.
        mounts: Mounts of that container.
        volumes: Volumes of the pod.
    """

    pod: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    mounts: tuple[Mapping[str, Any], ...] = ()
    volumes: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, secret: str | None) -> RegistryLogin:
        """That of a Secret of type kubernetes.io/dockerconfigjson; empty without one."""
        if secret is None:
            return cls()
        files = [{"key": ".dockerconfigjson", "path": "config.json"}]
        return cls(
            {"imagePullSecrets": [{"name": secret}]},
            {"DOCKER_CONFIG": _LOGIN},
            ({"name": "registry", "mountPath": _LOGIN, "readOnly": True},),
            ({"name": "registry", "secret": {"secretName": secret, "items": files}},),
        )


def secret_value(secret: str, key: str, *, optional: bool = False) -> dict[str, Any]:
    """Where a variable comes from that a Secret holds; an optional one is empty where there is no such Secret."""
    return {"secretKeyRef": {"name": secret, "key": key, **({"optional": True} if optional else {})}}
