"""The sealed package of the release that the config asks for: one step of an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from infra.config.model_settings import ModelSettings
from infra.kubernetes.site import Site
from infra.plan.releases import Wanted
from infra.providers.kubernetes_package import KubernetesPackageProvider
from platforms.kubernetes.signing import secret_name

TYPE = "pulumi-python:dynamic/modelstack:Package"


class Package(Resource, module="modelstack", name="Package"):
    """A sealed and registered model version.

    Creates:
        For a new recipe: the trained, gated and sealed archive in the registry or the bucket, signed with the stack's
        key, and its ModelPackage. With a source: the same, as a copy of another stack's champion, byte by byte. Of a
        restored release, nothing: it is there.

    `signed_by` is the public key to verify it with, PEM. `refused` says why there is no package; nothing else is
    declared then.
    """

    recipe: pulumi.Output[str]
    image_uri: pulumi.Output[str]
    package_digest: pulumi.Output[str]
    archive_uri: pulumi.Output[str]
    manifest_sha256: pulumi.Output[str]
    model_package: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]
    signed_by: pulumi.Output[str]
    refused: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        wanted: Wanted,
        image: str,
        settings: ModelSettings,
        retain: bool,
        source: Mapping[str, Any] | None = None,
        candidate: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the package.

        Args:
            name: The logical name.
            site: Where it goes.
            wanted: The release that the config asks for.
            image: The serving image that the package is registered with.
            settings: The model's parameters and gates.
            retain: Whether packages stay when the stack is destroyed.
            source: The release of another stack to copy; None trains here.
            candidate: What lies here already, as what served before: `recipe`, `package_digest` and `archive_uri`, and
                `restored`, as it may not be built again from the checkout. It is taken where that is the recipe of the
                release.
            opts: Options of the resource.
        """
        props: dict[str, object] = {
            "recipe": wanted.recipe,
            "parameters": settings.parameters if source is None else {},
            "gates": {metric: gate.model_dump(exclude_none=True) for metric, gate in settings.gates.items()},
            "context": site.settings.context or "",
            "namespace": site.names.namespace,
            "registry": site.settings.registry,
            "bucket": site.settings.bucket.model_dump() if site.settings.bucket else None,
            "prefix": site.names.prefix,
            "name": wanted.model_name,
            "signing_key": secret_name(site.names.prefix),
            "image_uri": image,
            "retain": retain,
            "source": source,
            "candidate": candidate,
            "urn": f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{TYPE}::{name}",
            **dict.fromkeys(
                (
                    *("package_digest", "archive_uri", "manifest_sha256", "model_package", "metrics", "signed_by"),
                    "refused",
                )
            ),
        }
        super().__init__(KubernetesPackageProvider(), name, props, opts)
        self._wanted = wanted

    def release(self) -> pulumi.Output[dict[str, Any]]:
        """The fields of the release: what is sealed, and the names that it goes by."""
        wanted = self._wanted
        return pulumi.Output.all(
            package_digest=self.package_digest,
            archive_uri=self.archive_uri,
            image_uri=self.image_uri,
            manifest_sha256=self.manifest_sha256,
            model_package_arn=self.model_package,
        ).apply(lambda facts: {**facts, **wanted.names})
