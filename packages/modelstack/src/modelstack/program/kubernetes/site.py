"""The namespace of a stack, and the declaration of objects by their manifests.

    site = Site(names, settings.kubernetes, provider)
    site.declare("route", {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", ...}, opts)

The SDK's classes take half a second to load. The API server validates manifests at each preview.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pulumi

from modelstack.platforms.kubernetes.names import Names
from modelstack.platforms.kubernetes.signing import audit_secret_name, secret_name
from modelstack.program.config.kubernetes_settings import BucketSettings, KubernetesSettings

VERSION = metadata.version("pulumi-kubernetes")
"""Version of the SDK and of the plugin."""
_NO_WAIT = {"pulumi.com/skipAwait": "true"}
_TAKEN_OVER = {"pulumi.com/patchForce": "true"}
"""Server-side apply refuses to change fields of another manager, here another stack, without it."""


class Object(pulumi.CustomResource):
    """One object of the cluster, named by its manifest."""

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        group = manifest["apiVersion"] if "/" in manifest["apiVersion"] else f"core/{manifest['apiVersion']}"
        version = pulumi.ResourceOptions(version=VERSION)
        token = f"kubernetes:{group}:{manifest['kind']}"
        super().__init__(token, name, dict(manifest), pulumi.ResourceOptions.merge(opts, version))


@dataclass(frozen=True)
class Site:
    """One stack in its namespace; for `bucket` see `kept_bucket`."""

    names: Names
    settings: KubernetesSettings
    provider: pulumi.ProviderResource
    bucket: BucketSettings | None = None

    def place(self, name: str) -> dict[str, Any]:
        """The inputs of `modelstack.program.providers.kubernetes_package`; `name` is the ModelPackage's."""
        bucket = self.settings.bucket
        return {
            "context": self.settings.context or "",
            "namespace": self.names.namespace,
            "registry": self.settings.registry,
            "bucket": bucket.model_dump() if bucket else None,
            "prefix": self.names.prefix,
            "name": name,
            "signing_key": secret_name(self.names.prefix),
            "audit_secret": audit_secret_name(self.names.prefix),
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
        """Declare an object of the stack's namespace, or of the cluster if its manifest's namespace is None.

        An update does not wait for readiness, which the rollout controller judges. A `shared` object belongs to the
        namespace or the cluster and not to one stack.
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
