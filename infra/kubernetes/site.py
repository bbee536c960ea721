"""Where the objects of a stack are, and how one is declared: as Kubernetes itself writes it.

    site = Site(names, settings.kubernetes, provider)
    site.declare("route", {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", ...}, opts)

The SDK's own classes say the same with other names, and take half a second to load. What an object may hold is checked
by the API server, which knows its own schema, at each preview.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pulumi

from infra.config.kubernetes_settings import BucketSettings, KubernetesSettings
from platforms.kubernetes.names import Names
from platforms.kubernetes.signing import secret_name

RBAC = "rbac.authorization.k8s.io"
VERSION = metadata.version("pulumi-kubernetes")
"""Of the SDK, and so of the plugin."""
_NO_WAIT = {"pulumi.com/skipAwait": "true"}
_TAKEN_OVER = {"pulumi.com/patchForce": "true"}
"""Fields stay those of the stack that declared them before, and server-side apply refuses another stack's values."""


class Object(pulumi.CustomResource):
    """One object of the cluster. It has the name that its manifest gives it."""

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        group = manifest["apiVersion"] if "/" in manifest["apiVersion"] else f"core/{manifest['apiVersion']}"
        version = pulumi.ResourceOptions(version=VERSION)
        token = f"kubernetes:{group}:{manifest['kind']}"
        super().__init__(token, name, dict(manifest), pulumi.ResourceOptions.merge(opts, version))


@dataclass(frozen=True)
class Site:
    """One stack in its namespace.

    Attributes:
        names: The stack's names.
        settings: What it uses of the cluster.
        provider: Speaks with the cluster.
        bucket: The bucket that pods and the controller read; see `kept_bucket`.
    """

    names: Names
    settings: KubernetesSettings
    provider: pulumi.ProviderResource
    bucket: BucketSettings | None = None

    def place(self, name: str) -> dict[str, Any]:
        """Where a package goes, and who signs it, as `infra.providers.kubernetes_package` asks for it.

        Args:
            name: Of its ModelPackage.
        """
        bucket = self.settings.bucket
        return {
            "context": self.settings.context or "",
            "namespace": self.names.namespace,
            "registry": self.settings.registry,
            "bucket": bucket.model_dump() if bucket else None,
            "prefix": self.names.prefix,
            "name": name,
            "signing_key": secret_name(self.names.prefix),
        }

    def declare(
        self,
        logical: str,
        manifest: Mapping[str, Any],
        opts: pulumi.ResourceOptions,
        *,
        labels: Mapping[str, str] | None = None,
        shared: bool = False,
    ) -> Object:
        """Declare an object of the stack's namespace, or of the cluster where its manifest says so.

        An update does not wait until it works: whether a workload does, the rollout controller judges.

        Args:
            logical: The logical name.
            manifest: The object without labels; `metadata` needs no more than a name.
            opts: Options of the resource.
            labels: Labels besides the stack's.
            shared: Whether it belongs to the namespace or the cluster, and so is no stack's.
        """
        given = manifest["metadata"]
        own = {"app.kubernetes.io/part-of": "modelstack"} if shared else self.names.labels
        whole = {
            "namespace": self.names.namespace,
            **given,
            "labels": {**own, **(labels or {}), **given.get("labels", {})},
            "annotations": {**_NO_WAIT, **(_TAKEN_OVER if shared else {}), **given.get("annotations", {})},
        }
        if whole["namespace"] is None:
            del whole["namespace"]
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(provider=self.provider), opts)
        return Object(logical, {**manifest, "metadata": whole}, options)
